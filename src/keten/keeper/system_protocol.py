"""What operators ask about systems, on their socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec


class AskSystems(msgspec.Struct, frozen=True):
    """Look at every table that stays in a system."""


class TableOf(msgspec.Struct, frozen=True):
    """One of them. code, problem: what is wrong, "" for nothing. columns: of all that are there, name → type."""

    dataset: str
    system: str
    table: str
    code: str = ""
    problem: str = ""
    form: str = ""
    columns: dict[str, str] = {}
    estimate: int = 0
    writes: str = ""
    indexed: bool = True


class SystemTables(msgspec.Struct, frozen=True):
    """All of them. unused: systems in the settings that the register does not have."""

    tables: tuple[TableOf, ...]
    unused: tuple[str, ...] = ()


SYSTEM_VERBS: dict[str, tuple[type, type]] = {"systems.check": (AskSystems, SystemTables)}
