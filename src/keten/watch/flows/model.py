"""What flow logs say, as far as it is about suppliers. Addresses stay in the worker; the ledger gets pseudonyms."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

UNSIZED = -1
"""How much was sent is not known."""
LARGEST = 2**53
"""Bytes of one flow; a line that says more is wrong."""


class Flow(NamedTuple):
    """Something that went to a supplier. supplier: random id. target: its network or host, and the port.

    outside, inside: addresses, "" where the log does not say. sent: bytes, or `UNSIZED`. time_us: its beginning,
    microseconds since 1970 UTC. uid: the same for the same flow, whenever it is read.
    """

    supplier: str
    target: str
    outside: str
    inside: str
    sent: int
    time_us: int
    uid: bytes


class PlacesOf(msgspec.Struct, frozen=True):
    """Where a supplier's systems are, as the register says: random id, name, networks and hosts."""

    supplier: str
    name: str
    networks: tuple[str, ...]
    hosts: tuple[str, ...]


class LinkOf(msgspec.Struct, frozen=True):
    """What went one way on one day. outside, inside: networks (/24, /48), "" for not known. bytes; flows; unsized."""

    target: str
    outside: str
    inside: str
    bytes: int
    flows: int
    unsized: int


class DayOf(msgspec.Struct, frozen=True):
    """What went to a supplier on a day (since 1970 UTC), since it was reported last; the largest links first."""

    supplier: str
    day: int
    links: tuple[LinkOf, ...]


class Report(msgspec.Struct, frozen=True):
    """What is to be recorded. number: of the report. newest_us: of the newest flow up to here."""

    number: int
    newest_us: int
    days: tuple[DayOf, ...]


class Recorded(msgspec.Struct, frozen=True):
    """entries: made. before: it was recorded already. unknown: suppliers and days of no supplier (any more)."""

    entries: int = 0
    before: bool = False
    unknown: int = 0
