"""Which of our languages a browser's reader prefers."""

from __future__ import annotations

from keten.pages.words import LANGUAGES

DEFAULT = "nl"
NAMES = (("nl", "Nederlands"), ("en", "English"))
MOST_ACCEPTED = 1000  # characters of Accept-Language that are looked at


def preferred(accepted: str) -> str:
    """The language that an Accept-Language header (RFC 9110 §12.5.4) prefers of ours; Dutch where it says nothing."""
    best, language = 0.0, DEFAULT
    for part in accepted[:MOST_ACCEPTED].split(","):
        named, _, rest = part.strip().partition(";")
        code = named.strip().lower().partition("-")[0]
        weight = _weight(rest.strip())
        if code in LANGUAGES and weight > best:
            best, language = weight, code
    return language


def _weight(text: str) -> float:
    """The weight of one language, 1 where there is none; 0 for what is none."""
    if not text:
        return 1.0
    name, _, value = text.partition("=")
    digits = value.strip()
    if name.strip().lower() != "q" or not digits.replace(".", "", 1).isdigit() or not digits.isascii():
        return 0.0
    return min(float(digits), 1.0)
