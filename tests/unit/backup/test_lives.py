"""One backup, several lives: what ended in any of them, or was erased, is not revived by the next restore (law 6)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection

from keten.backup import age, ended, taking
from keten.backup.model import Place
from keten.core.db import reading_engine
from keten.core.errors import Corrupt
from keten.core.settings import Settings, load_settings
from keten.drills.throwaway import Key
from keten.identity.model import Client, Ended
from keten.identity.rows import clients
from keten.keeper.backup_keys import is_beside
from keten.keeper.restorable import Wish
from keten.keeper.restoring import Restored, restore
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ended_key
from keten.ledger.verify import verify
from keten.suppliers.rows import grants
from keten.vault.personal import subject_erased
from tests.town import CARRIER, PRINTER, UNWATCHED, Town, estate
from tests.unit.backup.made_backups import Made, keten

BUDGETED = """\
  - {id: some-voters, dataset: voters, contract: vwo-2, purpose: care-transport, form: file,
     budget: {records: 100, per: month}}
"""


def restored(home: Path, backup: Path, *by: object) -> tuple[Settings, Restored]:
    settings = load_settings(home, {})
    done = restore(settings, backup, Wish(by, "operator:test", ("localhost",)))
    assert verify(settings.paths.database, settings.paths.ledger, processes=1).faults == ()
    return settings, done


def opened(settings: Settings) -> Connection:
    return reading_engine(settings.paths.database).connect()


@pytest.mark.slow
def test_what_ended_in_any_life_stays_ended(tmp_path: Path) -> None:
    """Also where the entries of one life have higher numbers than those of another, and where a budget was running."""
    town = Town(tmp_path)
    town.apply(extra=BUDGETED)
    backup = Path(town.keten.run("backup", str(tmp_path / "backups"), "--plain")["folder"])
    files = [tmp_path / f"{number}.csv" for number in range(9)]
    for file in files:
        file.write_text("bsn,name\n1,x\n")
    town.keten.run("put", "voters", *map(str, files))  # so that the next entry has a high number
    town.keten.run("revoke", "client", CARRIER, "--reason", "lost")
    one, done = restored(tmp_path / "one", backup)
    assert done.ended == (f"client {town.keten.ids['client'][CARRIER]}",)
    revoked = keten("revoke", "grant", "voters-for-drukwerk", "--reason", "wrong", "--home", str(one.home), "--json")
    assert revoked.returncode == 0, revoked.stderr
    two, done = restored(tmp_path / "two", backup)
    assert set(done.ended) == {
        f"client {town.keten.ids['client'][CARRIER]}",
        f"grant {town.keten.ids['grant']['voters-for-drukwerk']}",
    }
    with opened(two) as connection:
        live = {row.name for row in grants.each(connection) if row.ended is None}
    assert live == {"care-for-zorgvervoer", "some-voters"}


@pytest.mark.slow
def test_what_changed_after_it_is_said_until_it_is_done_again(tmp_path: Path) -> None:
    """A key that was replaced, a hold: the backup has them as they were."""
    town = Town(tmp_path)
    town.apply()
    backup = Path(town.keten.run("backup", str(tmp_path / "backups"), "--plain")["folder"])
    new = Key(tmp_path / "new-key")
    today = estate(town.printer_key.line, new.line)
    town.keten.apply(today)
    town.keten.run("hold", "set", "dataset", "voters", "--reason", "a court asked")
    settings, done = restored(tmp_path / "one", backup)
    (rows, held) = done.changed
    assert f"client {CARRIER} (" in rows
    assert "1 legal hold was set" in held
    words = ("restore", "--confirm", "--yes", "--home", str(settings.home), "--json")
    (tmp_path / "today.yaml").write_text(today)
    applied = keten("apply", str(tmp_path / "today.yaml"), "--home", str(settings.home))
    assert applied.returncode == 0, applied.stderr
    said = json.loads(keten(*words).stdout)["evidence"]
    assert not any(CARRIER in sentence for sentence in said)
    assert held in said


def erased_since(made: Made, backup: Path, client: Client) -> Client:
    """A backup that could not be reached when a client was erased, and whose list says it since."""
    settings = load_settings(made.home, {})
    left = Client(
        id=client.id,
        name=client.id,
        supplier=client.supplier,
        keys=(),
        ended=Ended(1, "erased", "operator:test"),
        erased="f" * 64,
    )
    line = ended.Line(900, "clients", client.id, "2026-01-01T00:00:00.000000Z", left=msgspec.json.encode(left).decode())
    key = ended_key(load_root_key(settings, None))
    ended.append(Place(backup, plain=False), taking.read_manifest(backup).id, key, [line])
    return left


def test_what_was_erased_stays_erased_and_no_estate_file_brings_it_back(
    made: Made, copy: Path, tmp_path: Path
) -> None:
    with opened(load_settings(made.home, {})) as connection:
        client = next(row for row in clients.each(connection) if row.name == PRINTER)
    left = erased_since(made, copy, client)
    settings, done = restored(tmp_path / "restored", copy, *age.identities(made.identity))
    with opened(settings) as connection:
        assert clients.get(connection, client.id) == left
        assert subject_erased(connection, client.id)
    assert any(client.id in note and "subject erase" in note for note in done.notes)


def test_a_manifest_that_says_moved_hides_nothing(made: Made, copy: Path, tmp_path: Path) -> None:
    path = copy / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"moved": True}))
    with pytest.raises(Corrupt, match="its ledger does not say so"):
        restored(tmp_path / "restored", copy, *age.identities(made.identity))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "keeper/root.key", "db/keten.db", "a/../../x", "ca.pem"])
def test_no_other_file_of_the_home_comes_with_a_backup(name: str) -> None:
    assert not is_beside(name)


@pytest.mark.slow
def test_an_unfinished_backup_is_overwritten_by_the_next_one(tmp_path: Path) -> None:
    """Else an erasure would not reach the keys that it has. The next one has the files that the settings name."""
    town = Town(tmp_path)
    elsewhere = tmp_path / "else.txt"
    elsewhere.touch()
    town.keten.configure(f'{UNWATCHED}bad_networks = ["lists/bad.txt", "{elsewhere}"]\n')
    policy = town.keten.home / "policy"
    key = (town.keten.paths.ledger / "key.pub").read_text().strip()
    policy.write_text(f"log {key}\nquorum none\n")
    with (town.keten.home / "keten.toml").open("a") as stream:
        stream.write('[witnesses]\npolicy = "policy"\n')
    (town.keten.home / "lists").mkdir()
    (town.keten.home / "lists" / "bad.txt").write_text("192.0.2.0/24\n")
    town.apply()
    first = Path(town.keten.run("backup", str(tmp_path / "backups"), "--plain")["folder"])
    (first / "backup.json").unlink()  # as a crash leaves it between its keys and its manifest
    with closing(sqlite3.connect(town.keten.paths.database)) as connection:
        connection.execute("UPDATE backups SET state = 'begun'")
        connection.commit()
    second = Path(town.keten.run("backup", str(tmp_path / "backups"), "--plain")["folder"])
    assert list(first.glob("*")) == []
    known = town.keten.run("backup", "--list")
    assert [one["folder"] for one in known] == [str(second)]
    elsewhere.unlink()
    settings, done = restored(tmp_path / "one", second)
    assert (settings.paths.home / "lists" / "bad.txt").read_text() == "192.0.2.0/24\n"
    assert any(f"{elsewhere}, which is not here" in note for note in done.notes)
    assert not any("lists/bad.txt" in note for note in done.notes)
    assert (settings.paths.home / "policy").read_text() == f"log {done.key}\nquorum none\n"
    assert "policy names the new ledger's key now" in done.notes
