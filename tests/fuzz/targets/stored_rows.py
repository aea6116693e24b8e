"""Rows of the register as a damaged database gives them: used only when they are what the ledger says, else refused.

The bytes are a JSON list that takes the place of values of the row: numbers, texts, nothing, and bytes as {"b": hex}.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from keten.identity.model import Client
from keten.identity.tables import clients
from keten.ledger import bound
from keten.ledger.sealing import commitment, leaf_bytes
from tests.fuzz.target import Target
from tests.fuzz.targets.sign_in import CLIENT_ID, KEY

ENTRY_ID = "abcdefghijklmnopqrstuvwxyi"
ROW = Client(id=CLIENT_ID, name="batch", supplier="s" * 25 + "a", keys=(KEY.public.line,))
SALT = b"\x05" * 32
PAYLOAD = msgspec.json.encode(
    {"time": "2026-11-22T00:00:00.000000Z", "details": bound.change_details(clients, None, ROW)}
)
LEAF = leaf_bytes(ENTRY_ID, commitment(SALT, ENTRY_ID, PAYLOAD))


def _good() -> list[Any]:
    values = bound.values(clients, ROW) | {"entry": 7}
    return [*(values[column.name] for column in clients.columns), 7, ENTRY_ID, PAYLOAD, SALT, LEAF, 7]


def _value(said: Any) -> Any:
    if isinstance(said, dict):
        return bytes.fromhex(str(said.get("b", "")))
    return said


def _leaf_that_fits(row: list[Any]) -> None:
    """Whoever changes an entry can also compute its leaf; that it is not in the tree is for `ledger verify` to see."""
    *_, entry_id, payload, salt, _leaf, _newest = row
    if isinstance(entry_id, str) and entry_id.isascii() and isinstance(payload, bytes) and isinstance(salt, bytes):
        row[-2] = leaf_bytes(entry_id, commitment(salt, entry_id, payload))


def check(data: bytes) -> bool:
    row = _good()
    try:
        changes = json.loads(data)
        for place, said in changes:
            row[place] = _value(said)
    except (ValueError, TypeError, IndexError, RecursionError):
        return False
    _leaf_that_fits(row)
    try:
        found = bound.checked(clients, Client, row)
    except bound.Mismatch:
        return False
    entry = msgspec.json.decode(row[-4])
    assert row[clients.columns.keys().index("body")] == msgspec.json.encode(entry["details"]["after"]), "as recorded"
    assert found.id == row[0]
    return True


def _hex(raw: bytes) -> dict[str, str]:
    return {"b": raw.hex()}


PLACES = len(_good())
TARGET = Target(
    "stored-rows",
    check,
    lambda: [
        b"[]",
        json.dumps([[PLACES - 4, _hex(PAYLOAD)], [PLACES - 3, _hex(b"")], [PLACES - 1, 7]]).encode(),
        json.dumps([[0, CLIENT_ID], [PLACES - 5, ENTRY_ID]]).encode(),
    ],
    words=(
        *(
            f"[[{place},{value}]]".encode()
            for place in range(PLACES)
            for value in ("null", '"x"', "5", '{"b":""}', '"é"')
        ),
        json.dumps([[PLACES - 4, _hex(b"[" * 2000)]]).encode(),
        json.dumps([[PLACES - 4, _hex(b'{"details":{"table":"x","row":"y","after":' + b"[" * 2000)]]).encode(),
    ),
    longest=20_000,
)
