"""Damages to the register, and to the tables that are derived from entries."""

from __future__ import annotations

import msgspec

from keten.core.ids import encode_id
from keten.ledger.postings import SPAN
from tests.fault.damage.expectation import Named, named
from tests.fault.damage.victim import Exhausted, Victim

_TRIES = 300


def _id(victim: Victim) -> str:
    """A new id, for something that no other damage should choose."""
    made = encode_id(victim.random.randbytes(16))
    victim.take(("row", made))
    return made


def _older(victim: Victim, row_id: str, entry: int) -> tuple[int, bytes] | None:
    """An earlier state of a row: its entry and its body."""
    found = victim.rows("SELECT idx FROM changes WHERE ref = ? AND idx < ? ORDER BY idx", row_id, entry)
    if not found:
        return None
    index = victim.random.choice(found)[0]
    payload = bytes(victim.value("SELECT payload FROM entries WHERE idx = ?", index))
    after = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])["details"]
    return index, bytes(msgspec.json.decode(after, type=dict[str, msgspec.Raw])["after"])


def row_body_bit(victim: Victim) -> list[Named]:
    """One bit of a row's body."""
    row_id, _ = victim.client()
    body = bytes(victim.value("SELECT body FROM clients WHERE id = ?", row_id))
    victim.run("UPDATE clients SET body = ? WHERE id = ?", victim.flip(body), row_id)
    return [named("register", row=row_id)]


def row_body_other(victim: Victim) -> list[Named]:
    """A row with another key than was declared, its columns in order."""
    row_id, _ = victim.client()
    body = msgspec.json.decode(bytes(victim.value("SELECT body FROM clients WHERE id = ?", row_id)))
    body["keys"] = ["ssh-ed25519 mine"]
    victim.run("UPDATE clients SET body = ? WHERE id = ?", msgspec.json.encode(body), row_id)
    return [named("register", row=row_id)]


def row_column(victim: Victim) -> list[Named]:
    """A row that is found under another name or supplier."""
    row_id, _ = victim.client()
    column = victim.random.choice(("name", "supplier"))
    victim.run(f"UPDATE clients SET {column} = ? WHERE id = ?", _id(victim), row_id)
    return [named("register", row=row_id)]


def row_back(victim: Victim) -> list[Named]:
    """A row as it was before its last change, with the entry of then."""
    row_id, entry = victim.client()
    older = _older(victim, row_id, entry)
    if older is None:
        return []
    victim.run("UPDATE clients SET body = ?, entry = ? WHERE id = ?", older[1], older[0], row_id)
    return [named("register", row=row_id)]


def row_back_and_changes(victim: Victim) -> list[Named]:
    """A row as it was before, and what says that it changed is gone too."""
    row_id, entry = victim.client()
    older = _older(victim, row_id, entry)
    if older is None:
        return []
    victim.run("UPDATE clients SET body = ?, entry = ? WHERE id = ?", older[1], older[0], row_id)
    victim.run("DELETE FROM changes WHERE ref = ? AND idx > ?", row_id, older[0])
    return [named("register", row=row_id), named("changes", index=entry, row=row_id)]


def row_entry(victim: Victim) -> list[Named]:
    """A row that names an entry that did not write it."""
    row_id, entry = victim.client()
    other = victim.random.choice((entry + 1, entry - 1, victim.size, -1, 10**12, "x"))
    victim.run("UPDATE clients SET entry = ? WHERE id = ?", other, row_id)
    return [named("register", row=row_id)]


def row_gone(victim: Victim) -> list[Named]:
    """A row is gone."""
    row_id, _ = victim.client()
    victim.run("DELETE FROM clients WHERE id = ?", row_id)
    return [named("register", row=row_id)]


def row_id_changed(victim: Victim) -> list[Named]:
    """A row has another id."""
    row_id, _ = victim.client()
    other = _id(victim)
    victim.run("UPDATE clients SET id = ? WHERE id = ?", other, row_id)
    return [named("register", row=row_id), named("register", row=other)]


def row_inserted(victim: Victim) -> list[Named]:
    """A row that nobody declared, said to be of an entry of another."""
    row_id, _ = victim.client()
    other = _id(victim)
    columns = "name, supplier, body, entry"
    victim.run(f"INSERT INTO clients (id, {columns}) SELECT ?, {columns} FROM clients WHERE id = ?", other, row_id)
    return [named("register", row=other)]


def row_inserted_with_change(victim: Victim) -> list[Named]:
    """A row that nobody declared, and a change that says so."""
    row_id, entry = victim.client()
    other = _id(victim)
    body = msgspec.json.decode(bytes(victim.value("SELECT body FROM clients WHERE id = ?", row_id))) | {"id": other}
    victim.run(
        "INSERT INTO clients (id, name, supplier, body, entry) VALUES (?, ?, ?, ?, ?)",
        *(other, body["name"], body["supplier"], msgspec.json.encode(body), entry),
    )
    victim.run("INSERT INTO changes (ref, idx) VALUES (?, ?)", other, entry)
    return [named("changes", index=entry, row=other)]


def change_gone(victim: Victim) -> list[Named]:
    """A change is forgotten."""
    row_id, entry = victim.client()
    victim.run("DELETE FROM changes WHERE ref = ? AND idx = ?", row_id, entry)
    return [named("changes", index=entry, row=row_id)]


def change_more(victim: Victim) -> list[Named]:
    """A change that never was."""
    row_id, entry = victim.client()
    other = victim.random.choice((entry + 1, victim.size - 1, victim.size + 5, -3))
    victim.run("INSERT INTO changes (ref, idx) VALUES (?, ?)", row_id, other)
    return [named("changes", index=other, row=row_id)]


def _posting(victim: Victim) -> tuple[str, int, int, bytes]:
    """An entry in a list: the list's id, the entry, and the row that names it. Neither is damaged yet."""
    for _ in range(_TRIES):
        ref, span, places = victim.random.choice(victim.rows("SELECT ref, span, places FROM postings"))
        index = span * SPAN + victim.random.choice(places)
        if victim.whole(index) and victim.take(("posting", ref, span)):
            victim.take(("entry", index))
            return str(ref), index, span, places
    raise Exhausted


def _whole_row(victim: Victim) -> tuple[str, int, bytes, list[Named]]:
    """A row of a list, and what must be said when it is gone. All entries in it are whole, and stay so."""
    rows = victim.rows("SELECT ref, span, places FROM postings")
    for ref, span, places in victim.random.sample(rows, len(rows)):
        indexes = [span * SPAN + place for place in places]
        if all(map(victim.whole, indexes)) and victim.take(("posting", ref, span)):
            for index in indexes:
                victim.take(("entry", index))
            return ref, span, places, [named("postings", index=index, row=ref) for index in indexes]
    raise Exhausted


def _replace(victim: Victim, ref: str, span: int, places: object) -> None:
    victim.run("UPDATE postings SET places = ? WHERE ref = ? AND span = ?", places, ref, span)


def posting_gone(victim: Victim) -> list[Named]:
    """An entry that is not found any more by what it concerns."""
    ref, index, span, places = _posting(victim)
    if len(places) == 1:
        victim.run("DELETE FROM postings WHERE ref = ? AND span = ?", ref, span)
    else:
        _replace(victim, ref, span, bytes(place for place in places if place != index % SPAN))
    return [named("postings", index=index, row=ref)]


def posting_row_gone(victim: Victim) -> list[Named]:
    """A part of a list that is not there any more."""
    ref, span, _, said = _whole_row(victim)
    victim.run("DELETE FROM postings WHERE ref = ? AND span = ?", ref, span)
    return said


def posting_more(victim: Victim) -> list[Named]:
    """An entry in a list where it does not belong."""
    ref, _, span, places = _posting(victim)
    others = [place for place in range(SPAN) if place not in places and victim.whole(span * SPAN + place)]
    if not others:
        return []
    other = victim.random.choice(others)
    victim.take(("entry", span * SPAN + other))
    _replace(victim, ref, span, bytes(sorted({*places, other})))
    return [named("postings", index=span * SPAN + other, row=ref)]


def posting_row_more(victim: Victim) -> list[Named]:
    """A list that nobody is in."""
    index = victim.index()
    ref = victim.random.choice((_id(victim), "kind:keeper.process.started", ""))
    if not victim.take(("posting", ref, index // SPAN)):
        return []
    row = ref, index // SPAN, bytes([index % SPAN])
    victim.run("INSERT INTO postings (ref, span, places) VALUES (?, ?, ?)", *row)
    return [named("postings", index=index, row=ref)]


def posting_moved(victim: Victim) -> list[Named]:
    """Entries in another's list instead of their own."""
    ref, span, places, said = _whole_row(victim)
    other = _id(victim)
    victim.run("UPDATE postings SET ref = ? WHERE ref = ? AND span = ?", other, ref, span)
    return said + [named("postings", index=span * SPAN + place, row=other) for place in places]


def posting_for_another(victim: Victim) -> list[Named]:
    """A list with entries that are none, or none that are posted yet, or no number."""
    ref, span, places, said = _whole_row(victim)
    other = victim.random.choice((victim.size // SPAN + 1, -1, victim.posted // SPAN, "x"))
    if not victim.take(("posting", ref, other)):
        return []
    victim.run("UPDATE postings SET span = ? WHERE ref = ? AND span = ?", other, ref, span)
    if isinstance(other, str):
        return [*said, named("postings", row=ref)]
    return said + [named("postings", index=other * SPAN + place, row=ref) for place in places]


def posting_malformed(victim: Victim) -> list[Named]:
    """What is no list at all."""
    ref, span, places, said = _whole_row(victim)
    again = places + places[-1:]
    _replace(victim, ref, span, victim.random.choice((b"", again, again[::-1], places.hex(), 7)))
    return said


DAMAGES = (
    row_body_bit,
    row_body_other,
    row_column,
    row_back,
    row_back_and_changes,
    row_entry,
    row_gone,
    row_id_changed,
    row_inserted,
    row_inserted_with_change,
    change_gone,
    change_more,
    posting_gone,
    posting_row_gone,
    posting_more,
    posting_row_more,
    posting_moved,
    posting_for_another,
    posting_malformed,
)
