"""What a driver does, and how it says what is wrong. What a database says of a row is never repeated (law 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keten.core.errors import Invalid, Unavailable
from keten.systems.asking import Described, Rows, Where
from keten.vault.record_ids import normal_key

AT_MOST = 2  # rows that are read for one key: one more than there may be


class Driver(Protocol):
    """One connection to one system, used by one thread. Raises `Unavailable` (`system-…`); then it is thrown away."""

    def rows(self, where: Where, columns: Sequence[str], keys: Sequence[str], seconds: float) -> Rows:
        """The rows, read in one transaction that sees one moment."""

    def describe(self, where: Where, columns: Sequence[str], seconds: float) -> Described:
        """Of what form it is."""

    def close(self) -> None:
        """Let go of it."""


def unreachable(why: str) -> Unavailable:
    """The system does not answer, or not in time."""
    return Unavailable("system-unavailable", "The system that holds these records cannot be asked now.", why)


def changed(why: str) -> Unavailable:
    """The table, a column or its type is not what the register says."""
    return Unavailable("system-changed", "The system does not hold these records as the register says.", why)


def unusable(why: str) -> Unavailable:
    """A value can't be given."""
    return Unavailable("system-value", "The system holds something that cannot be given.", why)


def ambiguous(where: Where) -> Unavailable:
    """A key must be of one row."""
    why = f"{where.table} has more than one row with one {where.key}"
    return Unavailable("system-ambiguous", "The system has more than one record with this key.", why)


def forms(normal: str) -> list[str]:
    """How a key may be written where it is stored: as it is compared, and in capitals."""
    return list(dict.fromkeys((normal, normal.upper())))


def whole(normal: str) -> int | None:
    """The number that a normalised key is, of 64 bits; None: it is none, or one that is written in another way."""
    try:
        number = int(normal) if len(normal) <= 20 and normal.isascii() else None  # of -2**63
    except ValueError:
        return None
    fits = number is not None and str(number) == normal and -(2**63) <= number < 2**63
    return number if fits else None


def is_key(stored: object, normal: str) -> bool:
    """Whether what is stored is this key. Raises `Unavailable` for what can be no key at all."""
    try:
        return normal_key(stored) == normal
    except Invalid as error:
        raise unusable("a key that is stored is no text or whole number, or too long") from error
