"""Values of log lines, none of which is believed: sizes, times, ports."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from keten.core.clock import SECOND
from keten.watch.flows.model import LARGEST, UNSIZED

UID_BYTES = 8
_NOTHING = frozenset({"", "-", "(empty)"})
_LONGEST = 40
_UNITS = ((10**17, 1000), (10**14, 1), (10**11, -1000))
"""Whole numbers of nanoseconds, microseconds and milliseconds, told apart by their size (years 1973 to 5138)."""


class WrongError(Exception):
    """Why a line is not understood. Its text is one of few, and holds nothing of the line."""


def sized(value: object) -> int:
    """Bytes; `UNSIZED` where it says nothing. Raises `WrongError`."""
    if value is None or (isinstance(value, str) and value in _NOTHING):
        return UNSIZED
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
            raise WrongError("a size is no number")
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise WrongError("a size is no number")
    return value


def stamped(value: object) -> int:
    """Microseconds since 1970 UTC: of seconds (also with a fraction), milli-, micro- or nanoseconds, or ISO 8601.

    A time without a zone is UTC. Raises `WrongError`.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise WrongError("a time is none")
    text = str(value).strip()
    if len(text) > _LONGEST:
        raise WrongError("a time is none")
    try:
        if text.isascii() and text.isdigit():
            number = int(text)
            for least, times in _UNITS:
                if number >= least:
                    return number * -times if times < 0 else number // times
            return number * SECOND
        if "-" in text[1:] or ":" in text:
            found = datetime.fromisoformat(text)
            return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * SECOND)
        return int(float(text) * SECOND)
    except (ValueError, OverflowError) as error:
        raise WrongError("a time is none") from error


def service(source_port: object, target_port: object, *, by_target: bool) -> str:
    """The port by which a link is known: the target's, or, where who began is not known, the lower one; "" for none."""
    ports = [int(text) for one in (source_port, target_port) if (text := str(one)).isascii() and text.isdigit()
             and len(text) <= 5]  # fmt: skip
    if by_target and str(target_port).isascii() and str(target_port).isdigit():
        return str(target_port)[:5]
    return str(min(ports)) if ports else ""


def uid_of(*values: object) -> bytes:
    """A short digest of what makes a flow the same flow."""
    text = "\0".join(str(value) for value in values)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=UID_BYTES).digest()
