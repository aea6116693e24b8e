"""The register, row by row against the ledger, and the content in the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from keten.cli.doctor.findings import Case, Finding, note, wrong
from keten.core.db import translated
from keten.ledger.bound import bound_tables
from keten.ledger.faults import Fault
from keten.ledger.registerfaults import missing_rows, row_count, rows_against_entries
from keten.subjects import erasing as _erasing  # noqa: F401  # as below
from keten.subjects import requests as _requests  # noqa: F401  # as below
from keten.suppliers import register as _register  # noqa: F401  # declares its rows, or they would not be looked at
from keten.vault.checking import content_faults, present_count
from keten.watch import handling as _handling  # noqa: F401  # as above

MOST = 50_000  # rows, and objects, that are looked at: some seconds
NAMED = 20  # of those that do not hold


def rows(case: Case) -> Iterator[Finding]:
    """Every row of the register is what its last entry says it is, and none is gone."""
    with translated(), case.engine.connect() as connection:
        seen, faults = rows_against_entries(connection, MOST)
        faults += missing_rows(connection, NAMED + 1)
        count = row_count(connection)
        yield from _told(connection, faults, "register-row", "A row of the register does not hold")
    if seen < count:
        yield note(
            "register-part",
            f"{seen} of the {count} rows of the register were looked at.",
            "All of them, and every entry: keten ledger verify",
        )


def store(case: Case) -> Iterator[Finding]:
    """The content of every object is there, and of its size."""
    folder = case.settings.paths.store
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        yield note("store-not-seen", f"{folder} can't be seen by this user; whether content is missing is not known.")
        return
    with translated(), case.engine.connect() as connection:
        faults = content_faults(connection, folder, MOST)
        yield from _told(connection, faults, "content", "The content of a file does not hold")
        count = present_count(connection)
    if count > MOST:
        yield note(
            "content-part",
            f"The content of the newest {MOST} of {count} files was looked at.",
            "All of it: keten ledger verify",
        )


def _told(connection: Connection, faults: Iterable[Fault], code: str, what: str) -> Iterator[Finding]:
    """A finding for each fault, with the row's own name; many are counted."""
    more = 0
    for number, fault in enumerate(faults):
        if number < NAMED:
            yield wrong(code, f"{what}: {_name(connection, fault)}{fault}.", "keten ledger verify")
        else:
            more += 1
    if more:
        yield wrong(code, f"{what}: and {more} more, or as many as were looked for.", "keten ledger verify")


def _name(connection: Connection, fault: Fault) -> str:
    """The organisation's own name for the row, as it stands there now; nothing when it is not there."""
    if fault.table not in bound_tables():
        return ""
    table, _kind = bound_tables()[fault.table]
    found = connection.execute(select(table.c.name).where(table.c.id == fault.row)).scalar()
    return f"'{found:.100}' – " if isinstance(found, str) else ""
