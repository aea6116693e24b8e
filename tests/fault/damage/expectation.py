"""What a damage must make verification say."""

from __future__ import annotations

import msgspec

from keten.ledger.faults import Fault


class Named(msgspec.Struct, frozen=True):
    """A fault that must be found: in one of these places, and with this index, row or file, and saying this."""

    where: frozenset[str]
    index: int | None = None
    row: str | None = None
    file: str | None = None
    says: str = ""

    def by(self, fault: Fault) -> bool:
        """Whether a fault is the one."""
        return (
            fault.where in self.where
            and (self.index is None or fault.index == self.index or _within(fault, self.index))
            and (self.row is None or fault.row == self.row)
            and (self.file is None or fault.file == self.file)
            and self.says in fault.what
        )


def named(
    *where: str, index: int | None = None, row: str | None = None, file: str | None = None, says: str = ""
) -> Named:
    """A fault that must be found."""
    return Named(frozenset(where), index, row, file, says)


def _within(fault: Fault, index: int) -> bool:
    """Whether a fault speaks of neighbouring entries, of which `index` is one."""
    end = f" {index} are missing"
    return fault.where == "entries" and fault.index is not None and fault.index <= index and fault.what.endswith(end)
