"""What outsiders signed, in the database: kept once, recorded once a round, and at rest when nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, update

from keten.core.clock import SECOND
from keten.ledger.cosignatures import Cosigner, cosignatures
from keten.ledger.entries import CHECKPOINT_STAMPED, CHECKPOINT_WITNESSED
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.notes import Checkpoint, parse_checkpoint
from keten.ledger.outside import Kept, Outside, is_kept, keep_cosignatures, keep_stamp, kept_stamps, read_outside
from keten.ledger.quorum import Policy, parse_policy
from keten.ledger.tables import cosignatures as table
from keten.ledger.tables import entries
from tests.made_ledger import MadeLedger

FACT = Draft(Kind("test.fact.said", "a fact", {}), "test")
ONE, TWO, THREE = (
    Cosigner(f"w.example/{at}", Ed25519PrivateKey.from_private_bytes(bytes([64 + at]) * 32)) for at in range(3)
)
T = 1_790_000_000


class Witnessed:
    """A ledger, and two of three witnesses that are enough."""

    def __init__(self, home: Path) -> None:
        self.ledger = MadeLedger.create(home)
        lines = [f"witness w{at} {one.key.verifier_key()}" for at, one in enumerate((ONE, TWO, THREE))]
        text = "\n".join([*lines, "group g 2 w0 w1 w2", "quorum g"])
        self.policy: Policy = parse_policy(text.encode(), "policy")
        self.ledger.record(FACT, FACT)

    def head(self) -> Checkpoint:
        return parse_checkpoint(self.ledger.head().note, self.ledger.verifier)

    def keep(self, *cosigners: Cosigner, checkpoint: Checkpoint | None = None, time: int = T) -> Kept:
        at = checkpoint or self.head()
        text = at.note.rpartition("\n\n")[0] + "\n"
        note = at.note + "".join(one.line(text, time) for one in cosigners)
        found = cosignatures(note, self.policy.keys)
        with self.ledger.writing() as writing:
            return keep_cosignatures(writing, at, found, self.policy)

    def read(self) -> Outside:
        with self.ledger.reading() as connection:
            return read_outside(connection, self.ledger.signer.name, self.policy)

    def rows(self) -> set[tuple[int, str]]:
        with self.ledger.reading() as connection:
            return {(row.size, row.name) for row in connection.execute(select(table))}

    def kinds(self) -> list[str]:
        with self.ledger.reading() as connection:
            return list(connection.execute(select(entries.c.kind).order_by(entries.c.idx)).scalars())


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Witnessed]:
    found = Witnessed(tmp_path / "l")
    yield found
    found.ledger.close()


def test_nobody_signed(made: Witnessed) -> None:
    found = made.read()
    assert (found.witnessed, found.stamped, found.last, found.signed_us) == (None, None, {}, 0)
    assert found.waiting_us == found.unstamped_us > 0
    with made.ledger.reading() as connection:
        assert is_kept(connection)
        assert read_outside(connection, made.ledger.signer.name, None).witnessed is None


def test_an_instance_at_rest_comes_to_rest(made: Witnessed) -> None:
    """Witnessing is an entry, that makes a new head, which is witnessed; and then nothing follows."""
    first = made.keep(ONE, TWO)
    assert first.enough
    assert first.index == 2
    assert made.kinds()[-1] == CHECKPOINT_WITNESSED.name
    assert made.read().waiting_us == 0
    second = made.keep(ONE, TWO)
    assert (second.signed.size, second.enough, second.index) == (3, True, None)
    for _again in range(3):
        third = made.keep(ONE, TWO, THREE, time=T + 60)
        assert third.index is None
    assert made.ledger.head().size == 3
    found = made.read()
    assert found.witnessed is not None
    assert found.witnessed.size == 3
    made.ledger.record(FACT)
    assert made.read().waiting_us > 0
    assert made.keep(THREE, TWO).index == 4


def test_too_few_are_kept_and_not_recorded(made: Witnessed) -> None:
    first = made.keep(ONE)
    assert (first.enough, first.index) == (False, None)
    assert made.read().witnessed is None
    assert made.read().last[ONE.key.label].size == 2
    second = made.keep(TWO, checkpoint=made.head())
    assert second.enough
    assert second.index == 2
    assert set(second.signed.by) == {ONE.key.label, TWO.key.label}
    assert made.keep(THREE, checkpoint=parse_checkpoint(first_note(made), made.ledger.verifier)).index is None


def first_note(made: Witnessed) -> str:
    found = made.read().witnessed
    assert found is not None
    return made.ledger.sealer.checkpoint(found.size, found.root)


def test_what_is_kept_stays_small_and_covers_all(made: Witnessed) -> None:
    made.keep(THREE)
    for _round in range(5):
        made.ledger.record(FACT)
        made.keep(ONE, TWO)
    size = made.ledger.head().size - 1
    assert made.rows() == {(2, THREE.key.label), (size, ONE.key.label), (size, TWO.key.label)}
    found = made.read()
    assert {label: one.size for label, one in found.last.items()} == {
        ONE.key.label: size,
        TWO.key.label: size,
        THREE.key.label: 2,
    }


def test_an_older_head_that_comes_late_drops_nothing(made: Witnessed) -> None:
    older = made.head()
    made.ledger.record(FACT)
    made.keep(ONE, TWO)
    before = made.rows()
    late = made.keep(THREE, ONE, checkpoint=older)
    assert (late.enough, late.index) == (True, None)  # all that it covers was witnessed by then
    assert before <= made.rows()
    found = made.read().witnessed
    assert found is not None
    assert found.size == 3


def test_a_row_that_somebody_changed_counts_for_nothing(made: Witnessed) -> None:
    made.keep(ONE, TWO)
    with made.ledger.engine.begin() as connection:
        connection.execute(update(table).where(table.c.name == ONE.key.label).values(line="\u2014 x AAAAAAAA\n"))
        row = {"size": 9, "name": TWO.key.label, "root": b"short", "line": "x", "time_us": 1}
        connection.execute(insert(table).values(row))
    found = made.read()
    assert found.witnessed is None
    assert list(found.last) == [TWO.key.label]


def test_a_row_of_another_root_takes_no_place(made: Witnessed) -> None:
    """Who can write in the database could else have the keeper sign that root, or keep cosignatures from counting."""
    head = made.head()
    planted = {"size": head.size, "name": "a", "root": bytes(32), "line": ONE.line("x\n", T), "time_us": T * SECOND}
    with made.ledger.writing() as writing:
        writing.connection.execute(insert(table).values(planted))
    kept = made.keep(ONE, TWO, checkpoint=head)
    assert (kept.signed.root, kept.enough) == (head.root, True)
    witnessed = made.read().witnessed
    assert witnessed is not None
    assert (witnessed.size, witnessed.root) == (head.size, head.root)


def test_the_note_that_is_published_can_be_made_again(made: Witnessed) -> None:
    note = made.head().note
    kept = made.keep(ONE, TWO)
    assert made.ledger.sealer.checkpoint(kept.signed.size, kept.signed.root) == note
    assert {one.label for one in cosignatures(note + "".join(kept.signed.lines), made.policy.keys)} == {
        ONE.key.label,
        TWO.key.label,
    }


def test_stamps(made: Witnessed) -> None:
    head = made.head()
    with made.ledger.writing() as writing:
        keep_stamp(writing, head, b"stamp", T * SECOND, "https://tsa.example")
    assert made.kinds()[-1] == CHECKPOINT_STAMPED.name
    found = made.read()
    assert found.stamped is not None
    assert (found.stamped.size, found.stamped.time_us) == (2, T * SECOND)
    assert (found.waiting_us, found.unstamped_us, found.signed_us) == (0, 0, T * SECOND)
    made.keep(ONE, TWO)
    assert made.read().unstamped_us == 0  # what only says that it was signed waits for no stamp
    with made.ledger.reading() as connection:
        assert list(kept_stamps(connection)) == [(2, head.root, head.note, b"stamp", T * SECOND)]
