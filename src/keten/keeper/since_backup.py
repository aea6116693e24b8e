"""What happened after a backup was made, as far as a restore knows of it: what it does again, and what it can only say.

Persons and clients that were erased stay erased. Of running budgets nobody knows what was received, so they are spent.
What people sign in with is over as far as it may have been, and so is what waits for a second person. What changed and
did not end can't be redone: a client's key that was replaced, a contract's end that came nearer, a suspension, a legal
hold. The backup has the row as it was.
Which rows those are is in the backup's list (`backup.ended`), kept in the first entry of the log that goes on, and told
before an operator lets the instance serve, unless the row was changed here again since.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from keten.backup.ended import Line
from keten.budgets import service as budgets
from keten.core.errors import Corrupt, KetenError
from keten.identity import links, passkeys
from keten.identity.model import Client, Person
from keten.identity.person_sessions import PersonSessions
from keten.identity.recovery import service as recovery
from keten.identity.rows import clients, leave_erased
from keten.ledger.bound import newest_change
from keten.ledger.writing import Writing
from keten.subjects import holds, requests
from keten.subjects.model import Operator
from keten.suppliers.rows import BY_WORD, grants, organisation
from keten.vault import personal

_ERASABLE: dict[str, type[Person | Client]] = {"people": Person, "clients": Client}
MOST = 1000
SHOWN = 20
HOLD = "hold"
_WORDS = {rows.table_name: word for word, rows in BY_WORD.items()} | {"holds": HOLD}


def leave_erased_rows(
    writing: Writing, ends: Iterable[Line], gone: Collection[str], actor: str, notes: list[str]
) -> None:
    """What is left of persons and clients that were erased after the backup: so no estate file revives them.

    gone: those of whom the backup's renewed keys opened nothing. Of another, for the backup could not be reached, more
    than its row is here: it is noted.
    """
    for line in {line.row: line for line in ends if line.left}.values():
        left = msgspec.json.decode(line.left, type=_ERASABLE[line.table])
        try:
            personal.erase_key(writing, left.id)
            leave_erased(writing, left, actor)
        except KetenError as error:
            notes.append(f"{line.row} was erased after the backup, and its row does not hold: {error}")
            continue
        if left.id not in gone:
            notes.append(
                f"{left.id} was erased after the backup, which was not renewed since: entries about it are back. "
                f"Have it erased again: keten subject erase {left.id}"
            )


def end_sign_ins(writing: Writing, ends: Iterable[Line], actor: str, reason: str, notes: list[str]) -> None:
    """Nothing that somebody signed in with, and that was over, is of use again (law 6).

    1. Passkeys that the list says ended end here.
    2. Links lapse, all of them: which were used or replaced after the backup, nobody knows for sure.
    3. There are no sessions: everybody signs in anew.
    4. Cases of recovery that are pending are over: which were vetoed or used after the backup, nobody knows either.
    """
    for row in {line.row: None for line in ends if line.table == "passkeys"}:  # 1
        try:
            passkey = passkeys.get(writing.connection, row)
        except Corrupt as error:
            notes.append(f"passkey {row} ended after the backup, and its row does not hold: {error}")
            continue
        if passkey is not None and passkey.ended is None:
            passkeys.end(writing, passkey, reason, actor)
    links.lapse_all(writing, actor, lambda error: notes.append(f"{error} ({error.reason})"))  # 2
    PersonSessions.remove_all(writing)  # 3
    try:
        recovery.abandon(writing, actor)  # 4
    except Corrupt as error:  # a case whose row does not hold goes no further
        notes.append(f"{error} ({error.reason})")


def refuse_requests(writing: Writing, actor: str, notes: list[str]) -> None:
    """What waits for a second person is over: which of it was refused or taken back after the backup, nobody knows.

    What two people had approved goes on, for that can't be taken back.
    """
    operator = Operator(actor.removeprefix("operator:"), os.geteuid())
    count = requests.abandon(
        writing, operator, "the instance was restored", lambda error: notes.append(f"{error} ({error.reason})")
    )
    if count:
        notes.append(
            f"{count} waited for a second person, and may have been refused after the backup: refused here. "
            "What is still wanted is to be asked again (keten subject requests --all)"
        )


def spend_windows(writing: Writing, ended: Collection[str], actor: str, notes: list[str]) -> int:
    """Charge what is left of every running budget, of rows as the ledger has them; how many budgets that were.

    ended: rows that are over. A row that does not hold gives nobody anything: it is noted, and keeps nothing else from
    being restored.
    """

    def wrong(error: Corrupt) -> None:
        notes.append(f"{error} ({error.reason})")

    connection = writing.connection
    mine = next(iter(organisation.each(connection)), None)
    zone = mine.timezone if mine is not None else "UTC"
    of_supplier: dict[str, list[Client]] = {}
    for client in clients.each(connection, wrong):
        of_supplier.setdefault(client.supplier, []).append(client)
    spent = 0
    for grant in list(grants.each(connection, wrong)):
        if not grant.limits or grant.ended is not None or grant.id in ended:
            continue
        for client in of_supplier.get(grant.supplier, ()):
            if client.ended is None and client.id not in ended and (not grant.to or client.id in grant.to):
                spent += budgets.spend_rest(writing, grant, client.id, zone, actor) > 0
    return spent


def changed_since(connection: Connection, lines: Iterable[Line]) -> list[list[str]]:
    """Which rows the list says changed, and are live here as they were: [word, id, time], each once; `MOST` at most."""
    last = {line.row: line for line in lines if line.table in _WORDS}
    found = []
    for line in last.values():
        word = _WORDS[line.table]
        if word == HOLD:
            if not holds.there(connection, line.row):
                found.append([word, line.row, line.time])
        elif _name(connection, word, line.row):
            found.append([word, line.row, line.time])
    return found[:MOST]


def sentences(connection: Connection, changed: Sequence[Any], began: int) -> list[str]:
    """What is still to be done about these, in sentences. began: the size at which this life of the ledger began."""
    rows, held = [], 0
    for word, row_id, time in changed:
        if word == HOLD:
            held += 1
        elif (name := _name(connection, word, row_id)) and newest_change(connection, row_id) <= began:
            rows.append(f"{word} {name} ({time})")
    said = []
    if rows:
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        said.append(
            f"Changed after the backup was made, and here as before: {', '.join(rows[:SHOWN])}{more}. "
            "Apply the estate file as it is today (keten apply) before it serves, and suspend again who was suspended."
        )
    if held:
        what = "legal hold was" if held == 1 else "legal holds were"
        said.append(f"After the backup {held} {what} set that are not here: set them again (keten hold set).")
    return said


def _name(connection: Connection, word: str, row_id: str) -> str:
    """What a row is called; "" when it is not here, has ended, or does not hold (then it gives nobody anything)."""
    try:
        row = BY_WORD[word].get(connection, row_id)
    except Corrupt:
        return ""
    return row.name if row is not None and row.ended is None else ""
