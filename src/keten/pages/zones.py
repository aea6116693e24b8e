"""The time zone of whoever is at a browser, as its own clock has it: said with the passkey, kept in a cookie.

Nothing else tells it: a request names languages and no place. It is no secret, and nothing is decided by it.
"""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

UNKNOWN = "UTC"
MOST = 64


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def known(name: str) -> str:
    """The name of an IANA time zone that is known here; "" for anything else."""
    return name if len(name) <= MOST and name in _names() else ""
