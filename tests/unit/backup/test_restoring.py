"""Restoring, and what keeps it from being done: in this process, from a real backup."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest
from sqlalchemy import delete, select

from keten.backup import age, ended, taking
from keten.backup.keys import read_keys, renew_keys
from keten.backup.model import Known, Place
from keten.budgets.checking import ChargesCheck
from keten.core.db import reading_engine, writing_engine
from keten.core.errors import Busy, Conflict, Corrupt, Denied, Invalid
from keten.core.files import Files
from keten.core.settings import Settings, load_settings
from keten.core.upgrade import REVISION, make_at, upgrade
from keten.identity.rows import clients, people
from keten.keeper.backup_keys import secrets_of
from keten.keeper.restorable import Wish
from keten.keeper.restoring import Restored, restore
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ended_key
from keten.ledger.tables import entries
from keten.ledger.verify import verify
from keten.subjects import requests
from keten.vault import service as vault
from keten.vault.tables import subject_keys
from tests.unit.backup.made_backups import Made, keten


def wish(made: Made, **changes: Any) -> Wish:
    found = Wish(tuple(age.identities(made.identity)), "operator:test", ("localhost",))
    return msgspec.structs.replace(found, **changes)


def home(tmp_path: Path) -> Settings:
    return load_settings(tmp_path / "restored", {})


def holds(settings: Settings) -> bool:
    report = verify(settings.paths.database, settings.paths.ledger, processes=1)
    assert report.faults == ()
    return report.ok


def rewritten(backup: Path, **changes: Any) -> None:
    path = backup / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_backup_becomes_an_instance(made: Made, tmp_path: Path) -> None:
    settings = home(tmp_path)
    done = restore(settings, made.backup, wish(made))
    assert holds(settings)
    assert done.missing == ()
    assert done.ended_state == "whole"
    assert done.origin.startswith(f"{done.before}/2.")
    assert not list(settings.paths.database_folder.glob("*.before-*"))


def test_twice_from_one_backup_are_two_logs(made: Made, tmp_path: Path) -> None:
    one = restore(load_settings(tmp_path / "one", {}), made.backup, wish(made))
    other = restore(load_settings(tmp_path / "other", {}), made.backup, wish(made))
    assert one.origin != other.origin
    assert one.key.rpartition("+")[2] != other.key.rpartition("+")[2]


def test_an_instance_that_was_restored_is_backed_up_and_restored_again(made: Made, tmp_path: Path) -> None:
    first = load_settings(tmp_path / "first", {})
    restore(first, made.backup, wish(made))
    done = keten("backup", str(tmp_path / "again"), "--to", made.recipient, "--home", str(first.home), "--json")
    assert done.returncode == 0, done.stderr
    second = load_settings(tmp_path / "second", {})
    again = restore(second, Path(json.loads(done.stdout)["folder"]), wish(made))
    assert "/3." in again.origin
    assert holds(second)
    assert (second.paths.ledger / "predecessors").read_bytes().count(b"\n") == 2


def test_what_waited_for_a_second_person_may_have_been_refused_since(made: Made, tmp_path: Path) -> None:
    old, settings = tmp_path / "old", home(tmp_path)
    shutil.copytree(made.home, old)
    asked = keten("subject", "erase", "drukwerk-ops", "--reason", "a letter", "--yes", "--home", str(old), "--json")
    request = json.loads(asked.stdout)["request"]["id"]
    done = keten("backup", str(tmp_path / "later"), "--to", made.recipient, "--home", str(old), "--json")
    assert keten("subject", "refuse", request, "--reason", "not that one", "--home", str(old)).returncode == 0
    restored = restore(settings, Path(json.loads(done.stdout)["folder"]), wish(made))
    assert any("1 waited for a second person" in note for note in restored.notes)
    with reading_engine(settings.paths.database).connect() as connection:
        found = requests.get(connection, request)
    assert (found.state, found.remark, found.decided_by) == ("refused", "the instance was restored", "test")
    assert holds(settings)


def test_a_policy_that_names_no_ledger_is_left_as_it_was(made: Made, tmp_path: Path) -> None:
    old, settings = tmp_path / "old", home(tmp_path)
    shutil.copytree(made.home, old)
    (old / "policy").write_text("quorum none\n")
    with (old / "keten.toml").open("a") as stream:
        stream.write('[witnesses]\npolicy = "policy"\n')
    done = keten("backup", str(tmp_path / "later"), "--to", made.recipient, "--home", str(old), "--json")
    restored = restore(settings, Path(json.loads(done.stdout)["folder"]), wish(made))
    assert (settings.paths.home / "policy").read_text() == "quorum none\n"
    assert restored.notes == ("no witness cosigns the new ledger until it watches it: give each the new key",)


def test_a_home_that_is_not_empty(made: Made, tmp_path: Path) -> None:
    settings = home(tmp_path)
    settings.paths.home.mkdir()
    (settings.paths.home / "something").write_text("x")
    with pytest.raises(Conflict) as refused:
        restore(settings, made.backup, wish(made))
    assert refused.value.code == "not-empty"


def test_another_identity(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Denied) as refused:
        restore(home(tmp_path), made.backup, wish(made, identities=(pyrage.x25519.Identity.generate(),)))
    assert refused.value.code == "wrong-identity"


def test_one_that_was_not_finished(made: Made, copy: Path, tmp_path: Path) -> None:
    (copy / "backup.json").unlink()
    with pytest.raises(Invalid) as refused:
        restore(home(tmp_path), copy, wish(made))
    assert refused.value.code == "no-backup"


@pytest.mark.parametrize("change", [{"format": 2}, {"revision": "9999"}])
def test_one_of_a_newer_version(made: Made, copy: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    rewritten(copy, **change)
    with pytest.raises(Invalid) as refused:
        restore(home(tmp_path), copy, wish(made))
    assert refused.value.code in ("backup-newer", "instance-newer")


@pytest.mark.parametrize(("part", "at"), [("data.age", 0.0), ("data.age", 0.7), ("data.age", 0.999), ("keys.age", 0.7)])
def test_a_damaged_part(made: Made, copy: Path, tmp_path: Path, part: str, at: float) -> None:
    data = bytearray((copy / part).read_bytes())
    data[int(len(data) * at)] ^= 1
    (copy / part).write_bytes(data)
    with pytest.raises((Corrupt, Denied)):
        restore(home(tmp_path), copy, wish(made))
    assert not (tmp_path / "restored" / "ledger" / "key.pub").exists()


def test_a_part_that_was_cut_off(made: Made, copy: Path, tmp_path: Path) -> None:
    data = (copy / "data.age").read_bytes()
    (copy / "data.age").write_bytes(data[: len(data) // 2])
    with pytest.raises(Corrupt):
        restore(home(tmp_path), copy, wish(made))


def test_data_of_one_and_keys_of_another(made: Made, copy: Path, tmp_path: Path) -> None:
    """A whole data part under the manifest of another backup is not taken for it."""
    rewritten(copy, id="b" * 26)
    with pytest.raises(Corrupt):
        restore(home(tmp_path), copy, wish(made))


def test_another_ledger_than_the_key_that_was_given(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Corrupt) as refused:
        restore(home(tmp_path), made.backup, wish(made, key="keten/x+00000000+AAAA"))
    assert refused.value.code == "key-other"


def test_content_that_is_damaged_or_gone_is_named(made: Made, copy: Path, tmp_path: Path) -> None:
    blob = next(path for path in (copy.parent / "content").glob("*/*"))
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    done = restore(home(tmp_path), copy, wish(made))
    assert len(done.missing) == 1
    assert "damaged" in done.missing[0]
    blob.unlink()
    done = restore(load_settings(tmp_path / "gone", {}), copy, wish(made))
    assert "not in the backup" in done.missing[0]


def test_data_that_somebody_else_wrote_is_not_restored(made: Made, copy: Path, tmp_path: Path) -> None:
    """Whoever writes to the disk knows whom to encrypt for, and the signed head: not the root key."""
    settings, manifest = load_settings(made.home, {}), taking.read_manifest(copy)
    assert restore(home(tmp_path), copy, wish(made)).notes == ()
    key = (settings.paths.ledger / "key.pub").read_text().strip()
    known = Known(manifest.id, str(tmp_path / "forged" / "one"), (made.recipient,), 1, manifest.size, "begun")
    reader = reading_engine(settings.paths.database)
    with taking.alone(tmp_path / "forged", Files()):
        known.place.folder.mkdir()
        told = taking.Told(lambda _done, _total: None, lambda _count: None)
        taken = taking.take(reader, key, settings.paths.store, known, told, Files())
    reader.dispose()
    assert taken.manifest.data != manifest.data
    shutil.copy(known.place.data, Place(copy, plain=False).data)
    taking.finish(msgspec.structs.replace(known, folder=str(copy)), taken.manifest, Files())
    other = load_settings(tmp_path / "other", {})
    with pytest.raises(Corrupt) as refused:
        restore(other, copy, wish(made))
    assert refused.value.code == "backup-damaged"
    assert "not what the instance wrote" in refused.value.public
    assert not (other.paths.ledger / "key.pub").exists()
    ended.begin(Place(copy, plain=False), manifest.id, ended_key(load_root_key(settings, None)))  # as it was at first
    assert "nothing says that its data part" in restore(other, copy, wish(made)).notes[0]


def test_a_list_of_ends_that_was_shortened_is_said(made: Made, copy: Path, tmp_path: Path) -> None:
    (copy / "ended.head").unlink()
    assert restore(home(tmp_path), copy, wish(made)).ended_state == "missing"


def test_a_move_of_what_was_not_sealed(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        restore(home(tmp_path), made.backup, wish(made, moved=True))
    assert refused.value.code == "not-moved"


def test_two_backups_at_once(tmp_path: Path) -> None:
    with taking.alone(tmp_path, Files()), pytest.raises(Busy), taking.alone(tmp_path, Files()):
        pytest.fail("both were made")


def test_no_recipient_is_refused_and_plain_is_said(made: Made, tmp_path: Path) -> None:
    target = str(tmp_path / "x")
    refused = keten("backup", target, "--home", str(made.home))
    assert (refused.returncode, Path(target).exists()) == (2, False)
    assert "--plain" in refused.stderr
    malformed = keten("backup", target, "--to", "age1nonsense", "--home", str(made.home))
    assert (malformed.returncode, Path(target).exists()) == (2, False)


def test_what_ended_after_it_stays_ended(made: Made, copy: Path, tmp_path: Path) -> None:
    """A client that was revoked, and a file that was destroyed while its key could not be taken out of the backup."""
    settings = load_settings(made.home, {})
    reader = reading_engine(settings.paths.database)
    with reader.connect() as connection:
        client = next(clients.each(connection)).id
        held = next(vault.present_objects(connection)).id
    reader.dispose()
    manifest = taking.read_manifest(copy)
    key = ended_key(load_root_key(settings, None))
    moment = "2026-01-01T00:00:00.000000Z"
    fresh = [ended.Line(900, "clients", client, moment), ended.Line(901, "objects", held, moment)]
    ended.append(Place(copy, plain=False), manifest.id, key, fresh)
    restored = home(tmp_path)
    done = restore(restored, copy, wish(made))
    assert (done.ended, done.destroyed, done.ended_state) == ((f"client {client}",), (held,), "whole")
    assert holds(restored)
    reader = reading_engine(restored.paths.database)
    with reader.connect() as connection:
        found = clients.get(connection, client)
        assert found is not None
        assert found.ended is not None
        assert list(vault.present_objects(connection)) == []
    reader.dispose()


def _erase(made: Made, tmp_path: Path, subject: str) -> tuple[Path, Restored, Settings]:
    """A copy of instance and backup, from which a subject's key is destroyed; then restored."""
    instance = tmp_path / "instance"
    shutil.copytree(made.home, instance, ignore=shutil.ignore_patterns("*.sock"))
    backup = tmp_path / "backups" / made.backup.name
    shutil.copytree(made.backup.parent, backup.parent)
    settings = load_settings(instance, {})
    engine = writing_engine(settings.paths.database)
    with engine.begin() as connection:
        connection.execute(delete(subject_keys).where(subject_keys.c.subject == subject))
    engine.dispose()
    manifest = taking.read_manifest(backup)
    known = Known(manifest.id, str(backup), manifest.recipients, 0, manifest.size, "complete")
    gone = Known("c" * 26, str(tmp_path / "away"), manifest.recipients, 0, 0, "complete")
    reader = reading_engine(settings.paths.database)
    with reader.connect() as connection:
        renewed = renew_keys(connection, [known, gone], secrets_of(settings, "bare"))
    reader.dispose()
    assert renewed.done == (known.id,)
    assert [folder for folder, _why in renewed.unreached] == [gone.folder]
    restored = home(tmp_path)
    return backup, restore(restored, backup, wish(made)), restored


def test_erasing_reaches_a_backup_through_its_keys(made: Made, tmp_path: Path) -> None:
    """Everything about a person is unreadable in the renewed backup, and readable in the one before (the control)."""
    engine = reading_engine(load_settings(made.home, {}).paths.database)
    with engine.connect() as connection:
        subject = next(row.id for row in people.each(connection) if row.name == "drukwerk-ops")
        about = [row.idx for row in connection.execute(select(entries)) if subject.encode() in (row.payload or b"")]
        keyed = connection.execute(select(subject_keys.c.subject)).scalars().all()
    engine.dispose()
    assert subject in keyed, "the person has a key, so there is something to destroy"
    assert about
    backup, done, settings = _erase(made, tmp_path, subject)
    assert done.unreadable >= 1
    plain = bytearray()

    class Kept:
        def write(self, piece: bytes) -> int:
            plain.extend(piece)
            return len(piece)

        def flush(self) -> None:
            return

    by = age.identities(made.identity)
    age.unseal(backup / "data.age", Kept(), by)
    assert b"drukwerk-ops" not in bytes(plain)
    assert b"drukwerk-batch" in bytes(plain) or b"voters" in bytes(plain), "the control: other names are there"
    keys = read_keys(taking.read_manifest(backup).id, Place(backup, plain=False).keys, by)
    assert subject not in [row["subject"] for row in keys.tables["subject_keys"]]
    reader = reading_engine(settings.paths.database)
    with reader.connect() as connection:
        for index in about:
            row = connection.execute(select(entries).where(entries.c.idx == index)).one()
            if subject in str(row.payload):
                assert "drukwerk-ops" not in str(row.payload)
        assert list(clients.each(connection))
    reader.dispose()
    report = verify(settings.paths.database, settings.paths.ledger, checks=(ChargesCheck(),))
    assert report.faults == (), "each payload that is gone is named by an entry"
    assert report.checked["erased"] == done.unreadable


def test_keys_that_are_renewed_are_overwritten(made: Made, copy: Path) -> None:
    """The old file's bytes are gone from the disk's file, not only from its folder."""
    old = (copy / "keys.age").open("rb")
    before = old.read()
    manifest = taking.read_manifest(copy)
    known = Known(manifest.id, str(copy), manifest.recipients, 0, manifest.size, "complete")
    settings = load_settings(made.home, {})
    reader = reading_engine(settings.paths.database)
    with reader.connect() as connection:
        renew_keys(connection, [known], secrets_of(settings, "bare"))
    reader.dispose()
    old.seek(0)
    assert old.read() == bytes(len(before))
    old.close()
    assert (copy / "keys.age").read_bytes() != before


def test_reading_keeps_nobody_from_writing(made: Made, tmp_path: Path) -> None:
    """The one transaction of a backup is a reader's: a writer commits while it is open."""
    instance = tmp_path / "instance"
    shutil.copytree(made.home, instance, ignore=shutil.ignore_patterns("*.sock"))
    settings = load_settings(instance, {})
    reader, writer = reading_engine(settings.paths.database), writing_engine(settings.paths.database)
    done = threading.Event()
    with reader.connect() as connection:
        assert connection.execute(select(entries.c.idx)).first()
        with writer.begin() as writing:
            writing.execute(delete(subject_keys).where(subject_keys.c.subject == "nobody"))
        done.set()
    reader.dispose()
    writer.dispose()
    assert done.is_set()


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_backup_of_an_older_version_restores_into_this_one(
    made: Made, tmp_path: Path, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance as an older version made it: its own migrations, with the rows of before. Then, upgraded as well."""
    old = tmp_path / "old"
    shutil.copytree(made.home, old, ignore=shutil.ignore_patterns("*.sock", "keten.db*"))
    settings = load_settings(old, {})
    make_at(settings.paths.database, revision)
    with closing(sqlite3.connect(settings.paths.database)) as database:
        database.execute("ATTACH ? AS new", (str(load_settings(made.home, {}).paths.database),))
        tables = [row[0] for row in database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in set(tables) - {"alembic_version"}:
            names = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
        database.commit()
    monkeypatch.setattr(taking, "REVISION", revision)  # as the older program has it
    key = (settings.paths.ledger / "key.pub").read_text().strip()
    known = Known("d" * 26, str(tmp_path / "bk" / "one"), (made.recipient,), 1, 0, "begun")
    reader = reading_engine(settings.paths.database)
    with taking.alone(tmp_path / "bk", Files()):
        known.place.folder.mkdir()
        told = taking.Told(lambda _done, _total: None, lambda _count: None)
        taken = taking.take(reader, key, settings.paths.store, known, told, Files())
        with reader.connect() as connection:
            renew_keys(connection, [known], secrets_of(settings, "bare"))
        taking.finish(known, taken.manifest, Files())
    reader.dispose()
    assert taken.faults == ()
    restored = home(tmp_path)
    done = restore(restored, known.place.folder, wish(made))
    assert (done.ended_state, done.missing) == ("missing", ())
    assert holds(restored)
    assert upgrade(settings.paths.database) == revision
    assert holds(settings)
    assert revision_of(settings) == revision_of(restored) == REVISION


def revision_of(settings: Settings) -> str:
    with closing(sqlite3.connect(settings.paths.database)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])
