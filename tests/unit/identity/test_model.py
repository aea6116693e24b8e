"""People and clients as rows of the register: what is stored, what is recorded, and that an end is for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, inspect, select

from keten.core.db import metadata, writing_engine
from keten.core.errors import Conflict, Corrupt
from keten.core.ids import encode_id
from keten.identity.model import Client, Ended, Person
from keten.identity.rows import PAGE, clients, people
from keten.ledger.kinds import kinds
from keten.ledger.notes import Signer
from keten.ledger.sealing import EntryIds, Sealer
from keten.ledger.tables import entries
from keten.ledger.writing import Writing

T = TypeVar("T")
ORIGIN = "ledger.example/keten"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqzLUjZ3HwPFcgmHxQ8D8tYq3C6RWUNoNQH0xv6XyqZ"


def made_id(number: int) -> str:
    return encode_id(number.to_bytes(16, "big"))


PERSON = Person(id=made_id(1), name="dpo", supplier="", sealed="c2VhbGVk", roles=("auditor",))
CLIENT = Client(id=made_id(2), name="batch", supplier=made_id(3), keys=(KEY,))


class Ledger:
    """A database and its only writer."""

    def __init__(self, path: Path) -> None:
        self.engine: Engine = writing_engine(path)
        metadata.create_all(self.engine)
        signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
        self._sealer = Sealer(signer, ORIGIN, EntryIds(b"\x03" * 16, ORIGIN))
        self._head = self._sealer.empty()

    def write(self, job: Callable[[Writing], T]) -> T:
        with self.engine.begin() as connection:
            writing = Writing(connection, self._sealer, self._head, 5_000_000)
            value = job(writing)
            batch = writing.seal()
        if batch:
            self._head = batch.head
        return value


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "keten.db")
    yield made
    made.engine.dispose()


def test_a_row_is_what_was_declared(ledger: Ledger) -> None:
    ledger.write(lambda writing: people.declare(writing, PERSON, "operator:a"))
    ledger.write(lambda writing: clients.declare(writing, CLIENT, "operator:a"))
    with ledger.engine.connect() as connection:
        assert people.get(connection, PERSON.id) == PERSON
        assert clients.get(connection, CLIENT.id) == CLIENT
        assert clients.find(connection, supplier=CLIENT.supplier) == (CLIENT,)
        assert clients.find(connection, supplier=made_id(9)) == ()
        assert people.get(connection, CLIENT.id) is None


def test_an_entry_says_who_it_is_about_and_whose_it_is(ledger: Ledger) -> None:
    index = ledger.write(lambda writing: clients.declare(writing, CLIENT, "operator:a"))
    with ledger.engine.connect() as connection:
        payload = json.loads(connection.execute(select(entries.c.payload).where(entries.c.idx == index)).scalar_one())
    assert payload["subjects"] == [CLIENT.id]
    assert payload["refs"] == {"client": CLIENT.id, "supplier": CLIENT.supplier}
    assert payload["details"]["before"] is None
    assert payload["details"]["after"] == json.loads(msgspec.json.encode(CLIENT))
    assert payload["details"]["after"]["ended"] is None


def test_a_person_of_the_organisation_is_of_no_supplier(ledger: Ledger) -> None:
    index = ledger.write(lambda writing: people.declare(writing, PERSON, "operator:a"))
    with ledger.engine.connect() as connection:
        payload = json.loads(connection.execute(select(entries.c.payload).where(entries.c.idx == index)).scalar_one())
    assert payload["refs"] == {"person": PERSON.id}


def test_an_end_has_its_moment_reason_and_actor(ledger: Ledger) -> None:
    ledger.write(lambda writing: clients.declare(writing, CLIENT, "operator:a"))
    after = ledger.write(lambda writing: clients.end(writing, CLIENT, "stolen", "operator:b"))
    assert after.ended == Ended(at_us=5_000_000, reason="stolen", by="operator:b")
    with ledger.engine.connect() as connection:
        assert clients.get(connection, CLIENT.id) == after


def test_a_transaction_sees_what_it_changed_itself(ledger: Ledger) -> None:
    ledger.write(lambda writing: clients.declare(writing, CLIENT, "operator:a"))
    changed = msgspec.structs.replace(CLIENT, keys=(KEY, KEY))

    def job(writing: Writing) -> Client | None:
        assert clients.current(writing, CLIENT.id) == CLIENT
        clients.change(writing, CLIENT, changed, "operator:a")
        with pytest.raises(Corrupt):  # a checked read has no entry to compare with yet
            clients.get(writing.connection, CLIENT.id)
        return clients.current(writing, CLIENT.id)

    assert ledger.write(job) == changed
    assert ledger.write(lambda writing: clients.current(writing, made_id(9))) is None


def test_what_a_transaction_did_not_change_is_checked(ledger: Ledger) -> None:
    ledger.write(lambda writing: clients.declare(writing, CLIENT, "operator:a"))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE clients SET name = 'other'")
    with pytest.raises(Corrupt):
        ledger.write(lambda writing: clients.current(writing, CLIENT.id))


def test_a_row_that_is_gone_cannot_be_changed(ledger: Ledger) -> None:
    with pytest.raises(Conflict) as caught:
        ledger.write(lambda writing: clients.change(writing, CLIENT, CLIENT, "operator:a"))
    assert caught.value.code == "row-gone"


def test_every_row_is_read_once_whatever_the_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keten.identity.rows.PAGE", 3)
    many = [msgspec.structs.replace(CLIENT, id=made_id(100 + at), name=f"c-{at}") for at in range(10)]

    def declare(writing: Writing) -> None:
        for row in many:
            clients.declare(writing, row, "operator:a")

    with ledger.engine.connect() as connection:
        assert list(clients.each(connection)) == []
    ledger.write(declare)
    with ledger.engine.connect() as connection:
        assert list(clients.each(connection)) == sorted(many, key=lambda row: row.id)
    assert PAGE > 3


@pytest.mark.parametrize("table", ["people", "clients"])
def test_principals_are_found_by_name_and_supplier(ledger: Ledger, table: str) -> None:
    indexed = [tuple(index["column_names"]) for index in inspect(ledger.engine).get_indexes(table)]
    assert {("name",), ("supplier",)} <= set(indexed)


@pytest.mark.parametrize("noun", ["person", "client"])
@pytest.mark.parametrize("verb", ["declared", "changed", "ended"])
def test_every_kind_of_entry_is_registered(noun: str, verb: str) -> None:
    found = kinds()[f"identity.{noun}.{verb}"]
    assert found.summary.endswith(".")
    assert set(found.details) == {"table", "row", "before", "after"}


def test_types_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        CLIENT.keys = ()  # type: ignore[misc]  # that it fails is the point
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"id": "a", "name": "b", "supplier": "", "keys": "x"}', type=Client)
