"""What about one person or client went where: read from the ledger, oldest first, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection

from keten.core.clock import rfc3339
from keten.core.errors import NotFound
from keten.identity.model import Client, Person
from keten.ledger.model import Draft, Entry
from keten.ledger.query import Filter, find
from keten.ledger.reading import read_indexes
from keten.ledger.writing import Writing
from keten.subjects.entries import TRACED
from keten.subjects.erasing import word_of
from keten.subjects.model import Operator
from keten.vault import personal
from keten.vault.keys import Keys

NOT_KNOWN = (
    "people inside the content of files: Keten does not look into content",
    "what suppliers did with what they fetched",
    "what was read outside of Keten, such as by an administrator of this machine",
)
OPENED, DELIVERED = "exchange.object.opened", "exchange.object.delivered"
MOST_ADDRESSES = 1000  # opened at once


class Received(msgspec.Struct):
    """What a client received of one object under one contract: how often, since and until when, how many bytes."""

    supplier: str
    contract: str
    dataset: str
    object: str
    opened: int = 0
    bytes: int = 0
    first: str = ""
    last: str = ""


def record(writing: Writing, row: Person | Client, opened: list[str], operator: Operator) -> int:
    """That somebody reads what is known of a subject; before it is shown (law 7). Returns the entry's index."""
    refs = {word_of(row): row.id}
    return writing.record(Draft(TRACED, operator.actor, (), refs, {"opened": opened}))


def about(connection: Connection, subject: str) -> Iterator[Entry]:
    """Every entry in which a subject acted, that is about it, or that concerns it, oldest first. Raises `Corrupt`."""
    return find(connection, Filter(principal=subject))


def count(received: dict[tuple[str, str, str, str], Received], entry: Entry) -> None:
    """Add an entry to what was received, by supplier, contract, dataset and object."""
    payload = entry.payload
    if payload is None or entry.kind not in (OPENED, DELIVERED):
        return
    refs = payload.refs
    key = (refs.get("supplier", ""), refs.get("contract", ""), refs.get("dataset", ""), refs.get("object", ""))
    one = received.setdefault(key, Received(*key))
    time = rfc3339(entry.time_us)
    one.first, one.last = one.first or time, time
    if entry.kind == OPENED:
        one.opened += 1
    else:
        said = payload.details.get("bytes", payload.details.get("at_most", 0))
        one.bytes += said if isinstance(said, int) else 0


def email(connection: Connection, keys: Keys, row: Person | Client) -> str:
    """A person's address, opened; "" for a client, and once erased. Raises `Corrupt`."""
    if not isinstance(row, Person) or not row.sealed:
        return ""
    try:
        opened: dict[str, str] = msgspec.json.decode(personal.open_for(connection, keys, row.id, row.sealed))
    except NotFound:
        return ""
    return str(opened.get("email", ""))


def addresses(connection: Connection, keys: Keys, subject: str, indexes: list[int]) -> dict[int, str]:
    """Where a client called from, by entry, as far as it can still be opened. Raises `Corrupt`."""
    found: dict[int, str] = {}
    wrapped = personal.subject_key(connection, subject)
    if wrapped is None:
        return found
    for entry in read_indexes(connection, sorted(set(indexes))[:MOST_ADDRESSES]):
        sealed = entry.payload.personal.get(subject) if entry.payload else None
        if sealed is not None:
            found[entry.index] = keys.open(subject, wrapped, sealed).decode("utf-8", "replace")
    return found
