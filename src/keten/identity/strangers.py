"""Counting refusals, so that nobody can fill the disk with them (law 4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from keten.core.clock import SECOND, rfc3339
from keten.identity import signin_entries
from keten.identity.signin_entries import Method
from keten.ledger.model import Draft

MINUTE_US = 60 * SECOND
MAX_NETWORKS = 100
MAX_KEYS = 1000
MAX_SINGLE = 1000
SINGLE_PER_KEY = 10
OTHER = "other"
UNKNOWN = "unknown"

_Key = tuple[str, Method, str, bool]  # client, method, reason, proven


class Made(Protocol):
    """Makes the entry about a refusal."""

    def __call__(  # what the entry says, each by its name
        self,
        principal: str,
        method: Method,
        reasons: tuple[str, ...],
        minute: str,
        /,
        *,
        proven: bool,
        count: int = 1,
        place: Mapping[str, object] | None = None,
    ) -> Draft:
        """About a client or person."""


class Strangers:
    """How many strangers were refused, by network and minute; at most `networks` apart in a minute.

    pseudonym: of a network, for the entries.
    """

    def __init__(self, networks: int = MAX_NETWORKS, pseudonym: Callable[[str], str] = lambda _network: "") -> None:
        self._networks = networks
        self._pseudonym = pseudonym
        self._counts: dict[int, dict[str, int]] = {}

    def refused(self, address: str, now_us: int) -> None:
        """Count one."""
        counts = self._counts.setdefault(now_us // MINUTE_US, {})
        network = network_of(address)
        if network not in counts and len(counts) >= self._networks:
            network = OTHER
        counts[network] = counts.get(network, 0) + 1

    def flush(self, now_us: int, *, everything: bool = False) -> list[Draft]:
        """Entries for the minutes that are over (`everything`: the present one too, when the keeper stops)."""
        drafts = []
        for minute in _over(self._counts, now_us, everything=everything):
            counts = self._counts.pop(minute)
            at = rfc3339(minute * MINUTE_US)
            for network, count in counts.items():
                drafts.append(signin_entries.strangers_refused(network, at, count, self._pseudonym(network)))
        return drafts


class Refusals:
    """Refusals in the name of known clients: the first ten of a kind in a minute one by one, then only counted.

    A client's id is no secret, so anyone can be refused in its name. What one minute can add to the ledger is
    bounded: `single` entries one by one, `keys` counts, and one count per method and reason for what is beyond.
    """

    def __init__(
        self, keys: int = MAX_KEYS, single: int = MAX_SINGLE, make: Made = signin_entries.client_refused
    ) -> None:
        """`make`: the entry, as of clients or of people."""
        self._make = make
        self._keys = keys
        self._single = single
        self._singles = 0
        self._minute = -1
        self._seen: dict[_Key, int] = {}
        self._counts: dict[int, dict[_Key, int]] = {}

    def refused(  # what the entry says, each by its name
        self,
        client_id: str,
        method: Method,
        reason: str,
        now_us: int,
        *,
        proven: bool,
        place: Mapping[str, object] | None = None,
    ) -> Draft | None:
        """An entry to record now, or None when it was counted for later. `place`: where from, for its details."""
        minute = now_us // MINUTE_US
        if minute != self._minute:
            self._minute, self._singles, self._seen = minute, 0, {}
        key = (client_id, method, reason, proven)
        if key not in self._seen and len(self._seen) >= self._keys:
            key = ("", method, reason, proven)
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        if key[0] and seen <= SINGLE_PER_KEY and self._singles < self._single:
            self._singles += 1
            at = rfc3339(minute * MINUTE_US)
            return self._make(client_id, method, (reason,), at, proven=proven, place=place)
        counts = self._counts.setdefault(minute, {})
        counts[key] = counts.get(key, 0) + 1
        return None

    def flush(self, now_us: int, *, everything: bool = False) -> list[Draft]:
        """Entries for what was only counted in the minutes that are over (`everything`: the present one too)."""
        drafts = []
        for minute in _over(self._counts, now_us, everything=everything):
            at = rfc3339(minute * MINUTE_US)
            for (client_id, method, reason, proven), count in self._counts.pop(minute).items():
                drafts.append(self._make(client_id, method, (reason,), at, proven=proven, count=count))
        return drafts


def network_of(address: str) -> str:
    """The /24 or /48 of an address; an IPv4 address mapped into IPv6 counts as IPv4; "unknown" for no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else 48
    shift = parsed.max_prefixlen - prefix
    base = type(parsed)(int(parsed) >> shift << shift)
    return f"{base}/{prefix}"


def _over(minutes: Iterable[int], now_us: int, *, everything: bool) -> list[int]:
    return sorted(minute for minute in minutes if everything or minute < now_us // MINUTE_US)
