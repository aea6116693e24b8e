"""Alerts in plain Dutch and English: what was seen, what is usual, what was done, how to undo it. Pure and total."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keten.watch.amounts import size_text
from keten.watch.model import Fact
from keten.watch.words import LABELS, OTHER, TEXTS

LANGUAGES = ("en", "nl")
MOST_FACTS = 12


class Explanation(msgspec.Struct, frozen=True):
    """One alert in words. `undo`: what a person can do about it."""

    title: str
    seen: str
    usual: str
    done: str
    undo: str


DETECTORS = frozenset(TEXTS) - {OTHER}

_DONE: Mapping[str, tuple[str, str]] = {
    "": ("What was done stands in the alert.", "Wat er is gedaan, staat in de melding."),
    "note": ("It was noted; nothing else was done.", "Het is genoteerd; verder is er niets gedaan."),
    "alert": (
        "Nothing was stopped: this alert asks you to look.",
        "Er is niets gestopt: deze melding vraagt u te kijken.",
    ),
    "slow": ("It was slowed down{until}.", "Het is vertraagd{until}."),
    "step-up": (
        "What it had signed in with was ended; it had to sign in anew.",
        "Waarmee het was aangemeld, is beëindigd; het moest zich opnieuw aanmelden.",
    ),
    "suspend": (
        "It was suspended{until}: it gets no access, and what was under way was cut.",
        "Het is opgeschort{until}: het krijgt geen toegang, en wat bezig was, is afgebroken.",
    ),
    "freeze": (
        "Its supplier was frozen{until}: nobody of it gets access, and what was under way was cut.",
        "De leverancier is bevroren{until}: niemand ervan krijgt toegang, en wat bezig was, is afgebroken.",
    ),
}
_TOOK_NOTHING = ("note", "alert", "step-up")
_HELD: Mapping[str, tuple[str, str]] = {
    "limit": (
        "More was called for, but the watch has reached its limit of whom it may stop by itself: decide yourself.",
        "Er was meer nodig, maar de bewaking mag zelf niet meer accounts stoppen: beslis zelf.",
    ),
    "late": (
        "It was seen long after it happened, so nothing was stopped.",
        "Het is pas lang daarna gezien; daarom is er niets gestopt.",
    ),
    "nobody": (
        "There was nobody to stop, or no longer.",
        "Er was niemand om te stoppen, of niet meer.",
    ),
}
_UNDO = (
    "If this was fine: keten alerts fine {alert} --note TEXT gives access back at once. If not: keten revoke.",
    "Was dit in orde: keten alerts fine {alert} --note TEKST geeft de toegang meteen terug. Zo niet: keten revoke.",
)
_UNDONE = (
    "If this was fine: keten alerts fine {alert} --note TEXT, and it is not told for a while. If not: keten revoke.",
    "Was dit in orde: keten alerts fine {alert} --note TEKST; dan een tijd niet meer gemeld. Zo niet: keten revoke.",
)
"""Where nothing was taken away that could be given back."""
_WHO = ("a system account", "een systeemaccount")
_NOBODY = ("somebody", "iemand")
_DATASET = ("the data", "de gegevens")
_SUPPLIER = ("a supplier", "een leverancier")
_UNSIZED = ("An amount that the log does not say", "Een hoeveelheid die het log niet noemt")


def code_of(detector: str) -> str:
    """Which explanation goes with a detector: its own, or the one for all others."""
    return detector if detector in DETECTORS else OTHER


_ABOUT = frozenset(
    {"alert", "principal", "dataset", "response", "until", "held", "recipient", "bytes", "usual_bytes"}
)


def explain(detector: str, facts: Mapping[str, Fact], names: Mapping[str, str], language: str) -> Explanation:
    """An alert in words, in "en" or "nl" (any other: "en"). Whatever is missing or unknown, there is a sentence.

    facts: of its signal, with alert, principal, dataset, response, until and held where they are known, as its entry
    has them. names: what ids are called; what is not in it is not named.
    """
    at = LANGUAGES.index(language) if language in LANGUAGES else 0
    text = TEXTS[code_of(detector)][at]
    principal, dataset = str(facts.get("principal", "")), str(facts.get("dataset", ""))
    somebody = (_WHO if principal else _NOBODY)[at]
    if text.seen.startswith("{who}"):
        somebody = somebody[0].upper() + somebody[1:]
    values = {
        "who": names.get(principal) or somebody,
        "dataset": names.get(dataset) or _DATASET[at],
        "supplier": names.get(str(facts.get("recipient", ""))) or _SUPPLIER[at],
        "bytes": size_text(facts.get("bytes", 0), LANGUAGES[at]) if facts.get("bytes") else _UNSIZED[at],
        "usual": size_text(facts.get("usual_bytes", 0), LANGUAGES[at]),
    }
    seen = _filled(text.seen, values)
    listed = _listed(facts, at)
    title = text.title if code_of(detector) != OTHER else f"{text.title}: {detector[:60]}"
    usual = _filled(text.usual, values)
    undo = _undo(detector, facts, at)
    return Explanation(title, f"{seen} ({listed})" if listed else seen, usual, _done(facts, at), undo)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Names may hold anything, braces too."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _listed(facts: Mapping[str, Fact], at: int) -> str:
    shown = [(name, value) for name, value in facts.items() if name not in _ABOUT][:MOST_FACTS]
    return "; ".join(f"{LABELS[name][at] if name in LABELS else name}: {_value(value)}" for name, value in shown)


def _value(value: Fact) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:200]


def _done(facts: Mapping[str, Fact], at: int) -> str:
    response, until, held = (str(facts.get(name, "")) for name in ("response", "until", "held"))
    text = _DONE.get(response, _DONE[""])[at]
    when = ((" until ", " tot ")[at] + until) if until else ""
    parts = [text.replace("{until}", when)]
    if held in _HELD:
        parts.append(_HELD[held][at])
    return " ".join(parts)


def _undo(detector: str, facts: Mapping[str, Fact], at: int) -> str:
    """What can be given back: also what the budget's own test of misses took, whatever the ladder did."""
    text = _UNDONE if facts.get("response") in _TOOK_NOTHING and detector != "misses" else _UNDO
    return text[at].replace("{alert}", str(facts.get("alert") or ("ID", "ID")[at]))
