"""Erasing a person or client: what goes, what stays and why, in steps that can be killed and go on at the next start.

What is about a *person* goes: its key, its row, its passkeys, links and sessions, and the payload of every entry that
it acted in or that is about it. What stays is the row of something else (an alert, a request for more) with what
changed it, and acts in the organisation's name (`person:<id>`): of the person they hold its random id alone.
Of a *client*, a system's account, its key and its row go, and what changed that row; entries of its accesses stay. They
are the organisation's own evidence of what it gave to whom (GDPR Art. 5(2), 17(3)(b) and (e)), and what is personal in
them, the caller's address, was under the key that is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from keten.core.clock import rfc3339
from keten.core.errors import Conflict, Invalid
from keten.identity import forgetting
from keten.identity import rows as identity
from keten.identity.model import Client, Person
from keten.identity.rows import clients, people
from keten.ledger import erasing
from keten.ledger.erasure_entries import PAYLOADS_ERASED
from keten.ledger.model import Entry
from keten.ledger.query import Filter, find
from keten.ledger.reading import read_indexes
from keten.ledger.writing import Writing
from keten.subjects import holds
from keten.subjects.model import ErasurePlan, Line, Request
from keten.subjects.requests import done
from keten.suppliers.register import Register
from keten.suppliers.rows import suppliers
from keten.vault import personal
from keten.vault.keys import Keys

WORDS = ("person", "client")
# What says that, why and by whom something was erased is what accountability rests on (GDPR Art. 5(2)).
_ACCOUNTS = (
    "subjects.",
    PAYLOADS_ERASED.name,
    "identity.person.erased",
    "identity.client.erased",
    "identity.passkey.erased",
    "identity.link.erased",
    "identity.channel.erased",
)
_OWN = frozenset({"people", "passkeys", "links", "recovery_channels"})
"""The tables whose rows are a person's own."""
_EXPORTED = "ledger.copy.exported"
_EXPORTS_SHOWN = 20
_MOVED = "keeper.database.moved"
_BEYOND = (
    "copies that suppliers fetched are theirs: the contract obliges them, Keten can't reach them",
    "copies that somebody made of the instance or of a backup without Keten, such as snapshots of a disk",
    "people inside the content of files: destroy the object or dataset (keten destroy)",
    "free blocks of the disk below the file system: only an encrypted disk protects those",
)


class Copies(Protocol):
    """What holds copies of the database outside of the instance's own file."""

    def foreseen(self) -> Sequence[str]:
        """In sentences, what `renew_keys` will not be able to reach."""

    def any(self) -> bool:
        """Whether there is one."""

    def gone(self) -> Sequence[str]:
        """In sentences, those that somebody said do not exist any more, and those that are not known here."""

    def renew_keys(self) -> Sequence[str]:
        """Make copies of before unreadable; returns, in sentences, those for which that can't be done here."""


def subject(register: Register, name_or_id: str) -> Person | Client:
    """A person or client by the organisation's name or by random id. Raises `Invalid` ("unknown-name")."""
    for word in WORDS:
        found = register.named(word, name_or_id)
        if isinstance(found, Person | Client):
            return found
    raise Invalid("unknown-name", f"There is no person or client {name_or_id!r} in the register.")


def erased_as(connection: Connection, keys: Keys, name: str) -> Person | Client | None:
    """The erased row of this former name, if there is one. Looks at every row. Raises `Corrupt`."""
    person, client = (keys.fingerprint(word, name) for word in WORDS)
    found = next((row for row in people.each(connection) if row.erased == person), None)
    return found or next((row for row in clients.each(connection) if row.erased == client), None)


def word_of(row: Person | Client) -> str:
    """What one is called."""
    return "person" if isinstance(row, Person) else "client"


def find_row(connection: Connection, kind: str, row_id: str) -> Person | Client:
    """A subject's row, checked. Raises `Invalid` ("unknown-name"), `Corrupt` ("register-mismatch")."""
    row = people.get(connection, row_id) if kind == "person" else clients.get(connection, row_id)
    if row is None:
        raise Invalid("unknown-name", f"There is no {kind} {row_id!r} in the register.")
    return row


# ---- before ------------------------------------------------------------------------------------------------------


def plan(connection: Connection, row: Person | Client, copies: Sequence[str], now_us: int) -> ErasurePlan:
    """What erasing this subject would do, exactly. copies: files beside the database that hold it as it was."""
    word = word_of(row)
    supplier = suppliers.get(connection, row.supplier) if row.supplier else None
    goes, stays = _counted(connection, row)
    if row.ended is None:
        goes[f"identity.{word}.ended"] += 1  # its end is recorded first
    erased = [] if row.erased else [Line("key", 1, "what is sealed under it can't be opened any more"), _row_line(row)]
    erased += _sign_in_lines(connection, row)
    erased += [Line(kind, count, "payload and salt") for kind, count in sorted(goes.items())]
    kept = [Line(kind, count, _why_kept(kind, person=isinstance(row, Person))) for kind, count in sorted(stays.items())]
    kept.append(Line("leaf", sum(goes.values()), "random id and commitment of each, so that every proof still holds"))
    return ErasurePlan(
        word,
        row.id,
        row.name,
        supplier.name if supplier else "",
        erased,
        kept,
        [*(f"db/{name} holds it as it was: remove it" for name in copies), *_unreached(connection)],
        [holds.told(one) for one in holds.on_subject(connection, row.id, now_us)],
        already=bool(row.erased) and not goes,
    )


def is_begun(connection: Connection, request: Request) -> bool:
    """Whether an erasure has destroyed the subject's key and row, whatever else is left of it."""
    return bool(find_row(connection, request.kind, request.target).erased)


def require_free(connection: Connection, subject_id: str, now_us: int) -> None:
    """Raises `Conflict` ("held") while a legal hold keeps what is known of a subject."""
    holds.require_none(holds.on_subject(connection, subject_id, now_us))


def _row_line(row: Person | Client) -> Line:
    what = "name, roles and sealed address" if isinstance(row, Person) else "name and public keys"
    return Line("row", 1, f"{what}; the row stays, ended and without them")


def _sign_in_lines(connection: Connection, row: Person | Client) -> list[Line]:
    if not isinstance(row, Person):
        return []
    found = forgetting.held(connection, row.id)
    lines = [
        Line("passkey", len(found.passkeys), "it signs in no more; credential, public key and name go"),
        Line("link", len(found.links), "it opens nothing any more; the hash of its secret goes"),
        Line("channel", len(found.channels), "its address goes"),
    ]
    return [line for line in lines if line.count]


def _why_kept(kind: str, *, person: bool) -> str:
    if kind.startswith(_ACCOUNTS):
        return "says who asked for what and who approved it: nothing personal"
    if person:
        return "the organisation's evidence; of the person it holds the random id alone"
    return "the organisation's evidence; the caller's address in it can't be opened any more"


def _counted(connection: Connection, row: Person | Client) -> tuple[Counter[str], Counter[str]]:
    """The kinds of entries that go, and of those that stay."""
    going = {entry.index: entry.kind for entry in _going(connection, row)}
    stays = {one.index: one.kind for one in find(connection, Filter(principal=row.id)) if one.index not in going}
    if isinstance(row, Person):  # what it did to others
        acted = find(connection, Filter(principal=f"person:{row.id}"))
        stays |= {one.index: one.kind for one in acted if one.index not in going}
    return Counter(going.values()), Counter(stays.values())


def _going(connection: Connection, row: Person | Client) -> Iterator[Entry]:
    """The entries whose payload goes with this subject: those that changed its row, and all that are about a person."""
    changed = erasing.changed(connection, row.id)
    for entry in read_indexes(connection, changed):
        if entry.payload is not None and not entry.kind.startswith(_ACCOUNTS):
            yield entry
    if not isinstance(row, Person):
        return
    seen = set(changed)
    for entry in find(connection, Filter(principal=row.id)):
        if entry.payload is None or entry.index in seen or entry.kind.startswith(_ACCOUNTS):
            continue
        if "row" in entry.payload.details and entry.payload.details.get("table") not in _OWN:
            continue  # the register stands on it, and it is somebody else's too
        if row.id == entry.payload.actor or row.id in entry.payload.subjects:
            yield entry


def kept(connection: Connection, request: Request) -> dict[str, int]:
    """How many entries about the subject stay, by kind."""
    return dict(_counted(connection, find_row(connection, request.kind, request.target))[1])


def _unreached(connection: Connection) -> Iterator[str]:
    exported = [one for one in find(connection, Filter(kind=_EXPORTED)) if one.payload is not None]
    for entry in exported[-_EXPORTS_SHOWN:]:
        target = entry.payload.details.get("target", "") if entry.payload else ""
        yield f"the export {target!r} of {rfc3339(entry.time_us)} holds payloads: ask whoever has it to destroy it"
    if len(exported) > _EXPORTS_SHOWN:
        yield f"{len(exported) - _EXPORTS_SHOWN} earlier exports: keten ledger show --kind {_EXPORTED}"
    for entry in find(connection, Filter(kind=_MOVED)):
        left = str(entry.payload.details.get("from", "")) if entry.payload else ""
        if "://" in left:  # what is left of a file is beside the one that is used, and named where it is there
            when = rfc3339(entry.time_us)
            yield f"the database {left}, which was left at {when}, holds what it held then, unless it was removed"
    yield from _BEYOND


# ---- the steps ---------------------------------------------------------------------------------------------------


class Traces(msgspec.Struct):
    """Random bytes that stood beside what was destroyed: where one of them is left in a file, more may be."""

    needles: list[bytes] = []


def forget(writing: Writing, keys: Keys, request: Request, traces: Traces) -> bool:
    """Destroy the subject's key and what its row says, in one transaction; false when that was done before.

    The row must have ended. What a person signs in with goes too, also when it came back from a backup. Raises
    `Conflict` ("held", "not-ended"), `Corrupt` ("register-mismatch").
    """
    row = find_row(writing.connection, request.kind, request.target)
    signs_in = forgetting.held(writing.connection, row.id) if isinstance(row, Person) else forgetting.NOTHING
    if row.erased and signs_in == forgetting.NOTHING:
        return False
    require_free(writing.connection, row.id, writing.time_us)
    if row.ended is None:
        raise Conflict("not-ended", "What has not ended is not erased.", row.id)
    traces.needles.extend(forgetting.rare(signs_in))
    if isinstance(row, Person):
        forgetting.forget(writing, row.id, request.approver)
    if row.erased:
        return False
    wrapped = personal.subject_key(writing.connection, row.id)
    if wrapped is not None:
        traces.needles.append(wrapped)
    traces.needles.extend(_rare(row))
    personal.destroy_subject_key(writing, keys, row.id)
    identity.erase(writing, row, keys.fingerprint(request.kind, row.name), request.approver)
    return True


def erase_some(writing: Writing, request: Request, traces: Traces) -> int:
    """Destroy the next payloads, with the entry that names them; returns how many, 0 when none is left.

    Raises `Conflict` ("held") while a hold keeps those that are left, `Corrupt` ("entry-damaged", …).
    """
    connection = writing.connection
    row = find_row(connection, request.kind, request.target)
    some = [entry.index for entry in islice(_going(connection, row), erasing.AT_ONCE)]
    if some:
        require_free(connection, row.id, writing.time_us)  # each time: a hold may be set between two
    traces.needles.extend(erasing.salts(connection, some))
    why = f"{request.kind} erased by request {request.id}"
    return len(erasing.erase(writing, some, request.approver, request.refs, why))


def finish(writing: Writing, request: Request, stays: dict[str, int], unreached: Sequence[str]) -> Request:
    """Say that all of it is done. stays: as `kept` counts. Raises `Conflict` ("not-erased") when something is left."""
    connection = writing.connection
    row = find_row(connection, request.kind, request.target)
    left = next(_going(connection, row), None)
    if not row.erased or left is not None or not personal.subject_erased(connection, row.id):
        raise Conflict("not-erased", "Something of this subject is not erased yet.", f"{left}")
    gone = sorted(_erased_by(connection, request))
    details: dict[str, Any] = {"payloads": len(gone), "indexes": _runs(gone), "kept": stays}
    details["unreached"] = [*unreached, *_unreached(connection)]
    return done(writing, request, details)


def _erased_by(connection: Connection, request: Request) -> Iterator[int]:
    for entry in find(connection, Filter(principal=request.target, kind=PAYLOADS_ERASED.name)):
        if entry.payload is not None and entry.payload.refs.get("request") == request.id:
            yield from (one[0] for one in entry.payload.details["erased"])


def _runs(indexes: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return runs


def _rare(row: Person | Client) -> Iterator[bytes]:
    """What of a row stands in no other place: its id together with its name, as its body and its entries have them."""
    yield msgspec.json.encode({"id": row.id, "name": row.name})[1:-1]
    if isinstance(row, Person) and row.sealed:
        yield row.sealed.encode()
