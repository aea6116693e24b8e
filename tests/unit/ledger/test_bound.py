"""Rows of the register against the ledger: whatever somebody did to one in the database, it is not used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from keten.core.errors import Corrupt
from keten.identity.model import Client
from keten.identity.tables import clients
from keten.ledger import bound
from tests.made_ledger import MadeLedger


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MadeLedger]:
    ledger = MadeLedger.create(tmp_path / "made")
    yield ledger
    ledger.close()


def read(made: MadeLedger, client: Client) -> Client | None:
    with made.reading() as connection:
        return bound.get(connection, clients, Client, client.id)


def damage(made: MadeLedger, statement: str, **values: Any) -> None:
    with made.engine.begin() as connection:
        assert connection.execute(text(statement), values).rowcount > 0


def test_an_untouched_row_is_read(made: MadeLedger) -> None:
    client = made.declare("drukwerk-batch")
    assert read(made, client) == client
    later = made.change(client, keys=("ssh-ed25519 new",))
    assert read(made, client) == later
    with made.reading() as connection:
        assert bound.find(connection, clients, Client, supplier=client.supplier) == [later]
        assert bound.find(connection, clients, Client, supplier="nobody") == []
        assert bound.get(connection, clients, Client, "a" * 26) is None


DAMAGES = {
    "body as text, changed": "UPDATE clients SET body = replace(body, 'drukwerk', 'drakwerk')",
    "body as text, the same": "UPDATE clients SET body = CAST(body AS TEXT)",
    "body as bytes, changed": "UPDATE clients SET body = CAST(replace(body, 'drukwerk', 'drakwerk') AS BLOB)",
    "body a number": "UPDATE clients SET body = 5",
    "body empty": "UPDATE clients SET body = x''",
    "body with a space": "UPDATE clients SET body = CAST(body || ' ' AS BLOB)",
    "payload as text, changed": "UPDATE entries SET payload = replace(payload, 'drukwerk', 'drakwerk')",
    "payload as text, the same": "UPDATE entries SET payload = CAST(payload AS TEXT)",
    "payload as bytes, changed": "UPDATE entries SET payload = CAST(replace(payload, 'anna', 'anne') AS BLOB)",
    "payload a number": "UPDATE entries SET payload = 5",
    "payload gone": "UPDATE entries SET payload = NULL",
    "payload empty": "UPDATE entries SET payload = x''",
    "salt as text": "UPDATE entries SET salt = 'salt'",
    "salt a number": "UPDATE entries SET salt = 1.5",
    "salt gone": "UPDATE entries SET salt = NULL",
    "salt changed": "UPDATE entries SET salt = x'00'",
    "leaf as text, the same": "UPDATE entries SET leaf = CAST(leaf AS TEXT)",
    "leaf a number": "UPDATE entries SET leaf = 0",
    "leaf changed": "UPDATE entries SET leaf = CAST(replace(leaf, 'v', 'w') AS BLOB)",
    "id of the entry": "UPDATE entries SET id = 'aaaaaaaaaaaaaaaaaaaaaaaaaa'",
    "column not as in the body": "UPDATE clients SET supplier = 'somebody'",
    "name not as in the body": "UPDATE clients SET name = 'somebody'",
    "name as bytes": "UPDATE clients SET name = CAST(name AS BLOB)",
    "entry that is not there": "UPDATE clients SET entry = 77",
    "entry as text": "UPDATE clients SET entry = 'first'",
    "change forgotten": "DELETE FROM changes",
    "a later change": "UPDATE changes SET idx = 9",
    "entry gone": "DELETE FROM entries",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES)
def test_a_touched_row_is_not_used(made: MadeLedger, statement: str) -> None:
    client = made.declare("drukwerk-batch")
    damage(made, statement)
    with pytest.raises(Corrupt) as caught:
        read(made, client)
    assert caught.value.code == "register-mismatch"
    assert f"table clients, row {client.id}" in caught.value.reason


def test_an_older_state_with_its_own_entry_is_not_used(made: MadeLedger) -> None:
    """The row as it was, pointing at the entry that made it so: everything fits, but it is not the newest."""
    client = made.declare("drukwerk-batch")
    with made.engine.begin() as connection:
        old = connection.execute(text("SELECT body, entry FROM clients")).one()
    made.change(client, keys=("ssh-ed25519 new",))
    damage(made, "UPDATE clients SET body = :body, entry = :entry", body=old.body, entry=old.entry)
    with pytest.raises(Corrupt, match="changed it last"):
        read(made, client)


def test_a_row_with_anothers_entry_is_not_used(made: MadeLedger) -> None:
    one, other = made.declare("one"), made.declare("other")
    swap = "UPDATE clients SET entry = (SELECT entry FROM clients WHERE id = :other) WHERE id = :one"
    damage(made, swap, other=other.id, one=one.id)
    with pytest.raises(Corrupt):
        read(made, one)
    assert read(made, other) == other


def test_a_row_that_nobody_declared_is_not_used(made: MadeLedger) -> None:
    client = made.declare("one")
    damage(made, "INSERT INTO clients SELECT 'bbbbbbbbbbbbbbbbbbbbbbbbbe', name, supplier, body, entry FROM clients")
    with made.reading() as connection, pytest.raises(Corrupt):
        bound.get(connection, clients, Client, "bbbbbbbbbbbbbbbbbbbbbbbbbe")
    with made.reading() as connection, pytest.raises(Corrupt):
        bound.find(connection, clients, Client, name="one")
    assert read(made, client) == client
