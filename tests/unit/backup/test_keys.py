"""The keys part of a backup: what is destroyed while it is made is not in it afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, update

from keten.backup import ended
from keten.backup.keys import Secrets, discard, read_keys, renew_keys, rewrite_keys, write_keys
from keten.backup.model import Known
from keten.core.errors import FsyncFailed
from keten.core.files import Files
from keten.ledger.tables import entries
from keten.vault.tables import content_keys, dataset_keys, subject_keys

SECRETS = Secrets("bare", bytes(32))
SUBJECT, KEY = "s" * 26, b"a wrapped key"


class Slow(Files):
    """Waits before what was written gets its name."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.go_on = threading.Event(), threading.Event()

    def rename(self, source: Path, target: Path) -> None:
        self.written.set()
        assert self.go_on.wait(10)
        super().rename(source, target)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'keten.db'}")
    for table in (subject_keys, dataset_keys, content_keys, entries):
        table.create(made)
    with made.begin() as connection:
        connection.execute(insert(subject_keys).values(subject=SUBJECT, wrapped=KEY))
    yield made
    made.dispose()


@pytest.fixture
def known(tmp_path: Path) -> Known:
    """A backup in the clear that was begun."""
    (tmp_path / "backups" / "one").mkdir(parents=True)
    made = Known("b" * 26, str(tmp_path / "backups" / "one"), (), 0, 0, "begun")
    ended.begin(made.place, made.id, bytes(32))
    return made


class Ends(ended.Carrying):
    """Carries one end, with which a key went; nothing runs beside it."""

    def __init__(self, known: Known) -> None:
        self._key, self._origin, self._begins = bytes(32), "keten/test", 0
        self._renew = lambda connection, _known: rewrite_keys(connection, known, SECRETS)

    def _ended_since(self, _connection: Connection, _first: int) -> tuple[list[ended.Line], bool]:
        return [ended.Line(7, "people", SUBJECT, "2026-01-01T00:00:00.000000Z", self._origin)], True


def test_a_key_that_goes_while_the_first_keys_part_is_made(engine: Engine, known: Known) -> None:
    slow = Slow()

    def first() -> None:
        with engine.connect() as reading:
            write_keys(reading, known, SECRETS, slow)

    def carry() -> None:
        with engine.connect() as reading:
            Ends(known).carry(reading, known)

    making, carrying = threading.Thread(target=first), threading.Thread(target=carry)
    making.start()
    assert slow.written.wait(10)
    with engine.begin() as connection:
        connection.execute(update(subject_keys).values(wrapped=None))
    carrying.start()
    carrying.join(0.3)
    slow.go_on.set()
    making.join(10)
    carrying.join(10)
    (row,) = read_keys(known.id, known.place.keys, []).tables["subject_keys"]
    assert row["wrapped"] is None
    assert len(ended.read(known.place, known.id, bytes(32)).lines) == 1


def test_where_there_is_no_keys_part_none_is_made(engine: Engine, known: Known) -> None:
    with engine.connect() as reading:
        Ends(known).carry(reading, known)
    assert not known.place.keys.exists()


class Failing(Files):
    """A disk that does not say whether it has what was written."""

    def sync(self, stream: object) -> None:  # noqa: ARG002
        raise FsyncFailed("fsync", "The disk failed.")


def test_a_backup_whose_disk_fails_keeps_no_other_from_losing_a_key(engine: Engine, known: Known) -> None:
    """Nor the erasure from being done: it names that one, and the key is taken from it once its disk is well."""
    other = msgspec.structs.replace(known, id="c" * 26, folder=str(Path(known.folder).with_name("two")))
    with engine.connect() as reading:
        assert renew_keys(reading, [known, other], SECRETS, Failing()).unreached[0] == (
            known.folder,
            "The disk failed. (fsync)",
        )
        assert renew_keys(reading, [known], SECRETS).done == (known.id,)


@pytest.mark.parametrize("again", [True, False])
def test_what_a_kill_left_of_a_keys_part_is_overwritten(engine: Engine, known: Known, again: bool) -> None:
    """Its keys open what is erased later: in this backup, and in those beside it."""
    place = known.place
    left = [place.keys.with_name(f".{place.keys.name}.tmp"), place.data.with_name(f".{place.data.name}.tmp")]
    for path in left:
        path.write_bytes(KEY)
    with left[0].open("rb") as opened:
        if again:
            with engine.connect() as reading:
                write_keys(reading, known, SECRETS)
        else:
            discard(known)
        assert opened.read() == bytes(len(KEY))
    assert not left[0].exists()
    assert left[1].exists() == again
    assert sorted(path.name for path in place.folder.iterdir()) == (
        [left[1].name, place.ended_head.name, place.ended.name, place.keys.name] if again else []
    )
