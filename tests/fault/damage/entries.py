"""Damages to entries and to the head."""

from __future__ import annotations

import msgspec

from keten.core.ids import encode_id
from tests.fault.damage.expectation import Named, named
from tests.fault.damage.victim import Victim

_COLUMNS = "id, time_us, kind, payload, salt, leaf"


def _payload(victim: Victim, index: int) -> bytes:
    return bytes(victim.value("SELECT payload FROM entries WHERE idx = ?", index))


def payload_bit(victim: Victim) -> list[Named]:
    """One bit of a payload."""
    index = victim.index()
    victim.run("UPDATE entries SET payload = ? WHERE idx = ?", victim.flip(_payload(victim, index)), index)
    return [named("payload", index=index)]


def payload_cut(victim: Victim) -> list[Named]:
    """The end of a payload is gone."""
    index = victim.index()
    payload = _payload(victim, index)
    cut = payload[: victim.random.randrange(len(payload))]
    victim.run("UPDATE entries SET payload = ? WHERE idx = ?", cut, index)
    return [named("payload", index=index)]


def payload_gone(victim: Victim) -> list[Named]:
    """A payload is gone, its salt is left."""
    index = victim.index()
    victim.run("UPDATE entries SET payload = NULL WHERE idx = ?", index)
    return [named("payload", index=index)]


def payload_and_salt_gone(victim: Victim) -> list[Named]:
    """As if the entry had been erased, but nothing says so."""
    index = victim.index()
    victim.run("UPDATE entries SET payload = NULL, salt = NULL WHERE idx = ?", index)
    return [named("payload", index=index)]


def payload_as_text(victim: Victim) -> list[Named]:
    """The same characters, but not as bytes."""
    index = victim.index()
    victim.run("UPDATE entries SET payload = CAST(payload AS TEXT) WHERE idx = ?", index)
    return [named("payload", index=index)]


def payload_of_another(victim: Victim) -> list[Named]:
    """Payload and salt of another entry."""
    index, other = victim.index(), victim.index()
    payload, salt = victim.rows("SELECT payload, salt FROM entries WHERE idx = ?", other)[0]
    victim.run("UPDATE entries SET payload = ?, salt = ? WHERE idx = ?", payload, salt, index)
    return [named("payload", index=index)]


def payload_forged(victim: Victim) -> list[Named]:
    """Another actor, with a salt and a leaf that fit."""
    index = victim.index()
    said = msgspec.json.decode(_payload(victim, index))
    said["actor"] = encode_id(victim.random.randbytes(16))
    victim.forge(index, msgspec.json.encode(said))
    return [named("leaf", index=index)]


def payload_of_nonsense(victim: Victim) -> list[Named]:
    """No entry's payload at all, with a salt and a leaf that fit."""
    index = victim.index()
    nonsense = [b"", b"\xff\xfe", b"[]", b"null", b'{"time": 1}', b"{" * 5000, b"[" * 200_000]
    victim.forge(index, victim.random.choice(nonsense))
    return [named("payload", index=index), named("leaf", index=index)]


def salt_bit(victim: Victim) -> list[Named]:
    """One bit of a salt."""
    index = victim.index()
    salt = bytes(victim.value("SELECT salt FROM entries WHERE idx = ?", index))
    victim.run("UPDATE entries SET salt = ? WHERE idx = ?", victim.flip(salt), index)
    return [named("payload", index=index)]


def salt_gone(victim: Victim) -> list[Named]:
    """A salt is gone."""
    index = victim.index()
    victim.run("UPDATE entries SET salt = NULL WHERE idx = ?", index)
    return [named("payload", index=index)]


def leaf_bit(victim: Victim) -> list[Named]:
    """One bit of a leaf."""
    index = victim.index()
    leaf = bytes(victim.value("SELECT leaf FROM entries WHERE idx = ?", index))
    victim.run("UPDATE entries SET leaf = ? WHERE idx = ?", victim.flip(leaf), index)
    return [named("leaf", index=index)]


def leaf_spaced(victim: Victim) -> list[Named]:
    """A leaf that says the same in other bytes."""
    index = victim.index()
    leaf = bytes(victim.value("SELECT leaf FROM entries WHERE idx = ?", index)).replace(b":", b": ")
    victim.run("UPDATE entries SET leaf = ? WHERE idx = ?", leaf, index)
    return [named("leaf", index=index)]


def leaf_as_text(victim: Victim) -> list[Named]:
    """A leaf that is not stored as bytes."""
    index = victim.index()
    victim.run("UPDATE entries SET leaf = CAST(leaf AS TEXT) WHERE idx = ?", index)
    return [named("leaf", index=index)]


def id_changed(victim: Victim) -> list[Named]:
    """Another id in the column by which an entry is found."""
    index = victim.index()
    victim.run("UPDATE entries SET id = ? WHERE idx = ?", encode_id(victim.random.randbytes(16)), index)
    return [named("column", index=index)]


def time_changed(victim: Victim) -> list[Named]:
    """Another time in the column by which an entry is found, by a microsecond or by years."""
    index = victim.index()
    by = victim.random.choice((-(10**14), -1, 1, 10**9))
    victim.run("UPDATE entries SET time_us = time_us + ? WHERE idx = ?", by, index)
    return [named("column", index=index)]


def time_no_number(victim: Victim) -> list[Named]:
    """No time at all."""
    index = victim.index()
    victim.run("UPDATE entries SET time_us = 'yesterday' WHERE idx = ?", index)
    return [named("column", index=index)]


def time_enormous(victim: Victim) -> list[Named]:
    """A time that no calendar has."""
    index = victim.index()
    victim.run("UPDATE entries SET time_us = 9223372036854775807 WHERE idx = ?", index)
    return [named("column", index=index)]


def kind_changed(victim: Victim) -> list[Named]:
    """Another kind in the column by which an entry is found."""
    index = victim.index()
    kind = victim.random.choice(("keeper.process.started", "", "x"))
    victim.run("UPDATE entries SET kind = ? WHERE idx = ?", kind, index)
    return [named("column", index=index)]


def one_deleted(victim: Victim) -> list[Named]:
    """An entry is gone: the first, the last, or any."""
    at = victim.random.choice((0, victim.size - 1, None))
    index = at if at is not None and victim.take(("entry", at)) else victim.index()
    victim.run("DELETE FROM entries WHERE idx = ?", index)
    return [named("entries", index=index)]


def several_deleted(victim: Victim) -> list[Named]:
    """Neighbouring entries are gone."""
    first = victim.random.randrange(100, victim.size - 20)
    indexes = [index for index in range(first, first + 7) if victim.take(("entry", index))]
    for index in indexes:
        victim.run("DELETE FROM entries WHERE idx = ?", index)
    return [named("entries", index=index) for index in (indexes[0], indexes[-1])]


def inserted_beyond(victim: Victim) -> list[Named]:
    """An entry more than were signed for: a copy of another, or at a place that cannot be."""
    index = victim.random.choice((victim.size, victim.size + 1000, -1, 2**62))
    if not victim.take(("entry", index)):
        return []
    source = victim.random.randrange(victim.size)
    if not victim.rows("SELECT 1 FROM entries WHERE idx = ?", source):
        return []
    copied = f"INSERT INTO entries (idx, {_COLUMNS}) SELECT ?, {_COLUMNS} FROM entries WHERE idx = ?"
    victim.run(copied, index, source)
    return [named("entries", index=index)]


def swapped(victim: Victim) -> list[Named]:
    """Two entries have changed places."""
    one, other = victim.index(), victim.index()
    for target, row in (
        (one, victim.rows(f"SELECT {_COLUMNS} FROM entries WHERE idx = ?", other)[0]),
        (other, victim.rows(f"SELECT {_COLUMNS} FROM entries WHERE idx = ?", one)[0]),
    ):
        _overwrite(victim, target, row)
    return [named("leaf", index=one), named("leaf", index=other)]


def duplicated(victim: Victim) -> list[Named]:
    """An entry stands in the place of another as well."""
    index, source = victim.index(), victim.index()
    _overwrite(victim, index, victim.rows(f"SELECT {_COLUMNS} FROM entries WHERE idx = ?", source)[0])
    return [named("leaf", index=index)]


def _overwrite(victim: Victim, index: int, row: tuple[object, ...]) -> None:
    victim.run(
        "UPDATE entries SET id = ?, time_us = ?, kind = ?, payload = ?, salt = ?, leaf = ? WHERE idx = ?", *row, index
    )


def head_size(victim: Victim) -> list[Named]:
    """Another size than was signed."""
    if not victim.take("head"):
        return []
    victim.run("UPDATE head SET size = size + ?", victim.random.choice((-700, -1, 1, 10**12)))
    return [named("head")]


def head_root(victim: Victim) -> list[Named]:
    """Another root than was signed."""
    if not victim.take("head"):
        return []
    victim.run("UPDATE head SET root = ?", victim.flip(bytes(victim.value("SELECT root FROM head"))))
    return [named("head")]


def head_edge(victim: Victim) -> list[Named]:
    """An edge that does not fit, or none."""
    if not victim.take("head"):
        return []
    edge = bytes(victim.value("SELECT edge FROM head"))
    victim.run("UPDATE head SET edge = ?", victim.random.choice((victim.flip(edge), edge[:-1], b"")))
    return [named("head")]


def head_note(victim: Victim) -> list[Named]:
    """A note whose signature does not hold."""
    if not victim.take("head"):
        return []
    note = str(victim.value("SELECT note FROM head"))
    at = victim.random.randrange(len(note))
    victim.run("UPDATE head SET note = ?", note[:at] + ("A" if note[at] != "A" else "B") + note[at + 1 :])
    return [named("head")]


def head_time(victim: Victim) -> list[Named]:
    """Another time than that of the newest entry."""
    if not victim.take("head"):
        return []
    victim.run("UPDATE head SET time_us = time_us + ?", victim.random.choice((-1, 1, 10**12)))
    return [named("head")]


def head_low_water(victim: Victim) -> list[Named]:
    """A low water mark beyond the ledger."""
    if not victim.take("head"):
        return []
    victim.run("UPDATE head SET low_water = ?", victim.random.choice((-1, victim.size + 1, "x")))
    return [named("head")]


def head_gone(victim: Victim) -> list[Named]:
    """No head, or two."""
    if not victim.take("head"):
        return []
    if victim.random.random() < 0.5:
        victim.run("DELETE FROM head")
    else:
        rest = "size, root, edge, note, time_us, low_water"
        victim.run(f"INSERT INTO head (one, {rest}) SELECT 2, {rest} FROM head")
    return [named("head")]


def cursor_outside(victim: Victim) -> list[Named]:
    """A cursor that is not within the ledger."""
    if not victim.take("cursor"):
        return []
    at = victim.random.choice((-1, victim.size + 1, "x"))
    victim.run("INSERT INTO cursors (name, idx) VALUES ('a-follower', ?)", at)
    return [named("cursor", row="a-follower")]


DAMAGES = (
    payload_bit,
    payload_cut,
    payload_gone,
    payload_and_salt_gone,
    payload_as_text,
    payload_of_another,
    payload_forged,
    payload_of_nonsense,
    salt_bit,
    salt_gone,
    leaf_bit,
    leaf_spaced,
    leaf_as_text,
    id_changed,
    time_changed,
    time_no_number,
    time_enormous,
    kind_changed,
    one_deleted,
    several_deleted,
    inserted_beyond,
    swapped,
    duplicated,
    head_size,
    head_root,
    head_edge,
    head_note,
    head_time,
    head_low_water,
    head_gone,
    cursor_outside,
)
