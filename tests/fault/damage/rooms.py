"""Damages to what rooms above the ledger keep: charges of budgets, objects, their content and its keys."""

from __future__ import annotations

from pathlib import Path

import msgspec

from keten.core.ids import encode_id
from keten.vault.frames import fixed_header
from tests.fault.damage.expectation import Named, named
from tests.fault.damage.victim import Exhausted, Victim

_TRIES = 300
_CHARGE = '"grant" = ? AND client = ? AND object = ? AND window_start_us = ?'


def _charge(victim: Victim) -> tuple[tuple[str, str, str, int], int]:
    """A charge that is still whole, as is the entry that made it: its key, and that entry."""
    columns = '"grant", client, object, window_start_us, idx'
    for _ in range(_TRIES):
        row = victim.random.choice(victim.rows(f"SELECT {columns} FROM budget_charges ORDER BY idx"))
        if victim.whole(row[4]) and victim.take(("charge", row[4])):
            victim.take(("entry", row[4]))
            return row[:4], row[4]
    raise Exhausted


def charge_smaller(victim: Victim) -> list[Named]:
    """A charge of fewer records, or of more."""
    key, index = _charge(victim)
    by = victim.random.choice((-1, 1, 10**6))
    victim.run(f"UPDATE budget_charges SET records = records + ? WHERE {_CHARGE}", by, *key)
    return [named("budgets", says=f"entry {index}")]


def charge_moved(victim: Victim) -> list[Named]:
    """A charge that counts in another window, by its beginning or by its moment."""
    key, index = _charge(victim)
    column = victim.random.choice(("window_start_us", "at_us"))
    by = victim.random.choice((-86_400_000_000, -1, 1, 86_400_000_000))
    victim.run(f"UPDATE budget_charges SET {column} = {column} + ? WHERE {_CHARGE}", by, *key)
    return [named("budgets", says=f"entry {index}")]


def charge_of_another(victim: Victim) -> list[Named]:
    """A charge in the name of another grant, client or object."""
    key, index = _charge(victim)
    column = victim.random.choice(('"grant"', "client", "object"))
    other = encode_id(victim.random.randbytes(16))
    victim.run(f"UPDATE budget_charges SET {column} = ? WHERE {_CHARGE}", other, *key)
    return [named("budgets", says=f"entry {index}")]


def charge_gone(victim: Victim) -> list[Named]:
    """A charge is forgotten: a budget refilled."""
    key, index = _charge(victim)
    victim.run(f"DELETE FROM budget_charges WHERE {_CHARGE}", *key)
    return [named("budgets", says=f"entry {index}")]


def charge_more(victim: Victim) -> list[Named]:
    """A charge that no access made."""
    key, _index = _charge(victim)
    other = encode_id(victim.random.randbytes(16))
    index = victim.index()
    copied = 'SELECT "grant", client, ?, window_start_us, 5, at_us, ? FROM budget_charges'
    victim.run(f"INSERT INTO budget_charges {copied} WHERE {_CHARGE}", other, index, *key)
    return [named("budgets", says=f"object {other}")]


def charges_swapped(victim: Victim) -> list[Named]:
    """Two charges have changed entries."""
    (one, first), (other, second) = _charge(victim), _charge(victim)
    victim.run(f"UPDATE budget_charges SET idx = ? WHERE {_CHARGE}", second, *one)
    victim.run(f"UPDATE budget_charges SET idx = ? WHERE {_CHARGE}", first, *other)
    return [named("budgets", says=f"entry {index}") for index in (first, second)]


def _object(victim: Victim) -> tuple[str, Path]:
    """A present object that is still whole, and its blob."""
    for _ in range(_TRIES):
        rows = victim.rows("SELECT id, storage, entry FROM objects WHERE state = 'present' ORDER BY entry")
        row_id, storage, entry = victim.random.choice(rows)
        if victim.whole(entry) and victim.take(("row", row_id)):
            victim.take(("entry", entry))
            return row_id, victim.store / storage[:2] / storage
    raise Exhausted


def object_column(victim: Victim) -> list[Named]:
    """An object that is kept longer, destroyed, elsewhere, or of another dataset."""
    row_id, _blob = _object(victim)
    column, value = victim.random.choice(
        (
            ("expires_us", 0),
            ("expires_us", 2**60),
            ("state", "destroyed"),
            ("storage", encode_id(victim.random.randbytes(16))),
            ("dataset", encode_id(victim.random.randbytes(16))),
        )
    )
    victim.run(f"UPDATE objects SET {column} = ? WHERE id = ?", value, row_id)
    return [named("register", row=row_id)]


def object_body(victim: Victim) -> list[Named]:
    """An object of another digest, size or number of records."""
    row_id, _blob = _object(victim)
    body = msgspec.json.decode(bytes(victim.value("SELECT body FROM objects WHERE id = ?", row_id)))
    name, value = victim.random.choice((("digest", "sha-256=:AAAA:"), ("size", 1), ("records", 0), ("expires_us", 0)))
    body[name] = value
    victim.run("UPDATE objects SET body = ? WHERE id = ?", msgspec.json.encode(body), row_id)
    return [named("register", row=row_id)]


def object_revived(victim: Victim) -> list[Named]:
    """One that was destroyed is present again."""
    rows = victim.rows("SELECT id, body FROM objects WHERE state = 'destroyed' ORDER BY id")
    if not rows:  # another damage was there first
        return []
    row_id, body = rows[0]
    if not victim.take(("row", row_id)):
        return []
    revived = msgspec.json.encode(msgspec.json.decode(bytes(body)) | {"state": "present"})
    victim.run("UPDATE objects SET state = 'present', body = ? WHERE id = ?", revived, row_id)
    return [named("register", row=row_id), named("content", row=row_id)]


def content_gone(victim: Victim) -> list[Named]:
    """The content of an object is gone."""
    row_id, blob = _object(victim)
    blob.unlink()
    return [named("content", row=row_id)]


def content_cut(victim: Victim) -> list[Named]:
    """The content's end is gone, or something stands behind it."""
    row_id, blob = _object(victim)
    content = blob.read_bytes()
    blob.write_bytes(victim.random.choice((b"", content[:10], content[:-1], content + b"\0")))
    return [named("content", row=row_id)]


def content_header(victim: Victim) -> list[Named]:
    """One bit of the beginning of a content file, which says whose it is."""
    row_id, blob = _object(victim)
    content = blob.read_bytes()
    end = len(fixed_header(row_id))
    blob.write_bytes(victim.flip(content[:end]) + content[end:])
    return [named("content", row=row_id)]


def contents_swapped(victim: Victim) -> list[Named]:
    """Two content files have changed places."""
    (one, first), (other, second) = _object(victim), _object(victim)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    return [named("content", row=one), named("content", row=other)]


def key_gone(victim: Victim) -> list[Named]:
    """The key of an object, or of its dataset, is gone: its content can be read by nobody any more."""
    row_id, _blob = _object(victim)
    if victim.random.random() < 0.7:
        victim.run("DELETE FROM content_keys WHERE object = ?", row_id)
    elif victim.take("dataset key"):
        victim.run("UPDATE dataset_keys SET wrapped = NULL")
    else:
        return []
    return [named("content", row=row_id)]


DAMAGES = (
    charge_smaller,
    charge_moved,
    charge_of_another,
    charge_gone,
    charge_more,
    charges_swapped,
    object_column,
    object_body,
    object_revived,
    content_gone,
    content_cut,
    content_header,
    contents_swapped,
    key_gone,
)
