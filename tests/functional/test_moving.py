"""`keten move`: from a file to a server and back, over the real command line; and killed at its worst moments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keten.core.errors import Invalid
from keten.core.settings import Database, Settings, load_settings
from keten.core.upgrade import upgrade
from keten.keeper import moving
from keten.keeper.rootkey import load_root_key
from tests.cluster import shared
from tests.town import Town


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


def settings_of(town: Town) -> Settings:
    return load_settings(town.keten.home, {})


def url() -> str:
    return shared().url(shared().fresh())


def lines(town: Town) -> list[dict[str, object]]:
    return [json.loads(line) for line in town.keten.command("ledger", "show", "--json").stdout.splitlines()]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """A stopped town in a file, with an access in its ledger."""
    made = Town(tmp_path)
    with made.keten:
        made.start()
        carrier = made.carrier()
        assert carrier.get(f"/v1/objects/{carrier.shares()[0]['objects'][0]['id']}").status == 200
    return made


def serves(town: Town) -> None:
    with town.keten:
        town.keten.up()
        carrier = town.carrier()
        (listed,) = carrier.shares()[0]["objects"]
        assert carrier.get(f"/v1/objects/{listed['id']}").body == town.care.read_bytes()
        verified = town.keten.command("ledger", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_to_a_server_and_back(town: Town) -> None:
    before = lines(town)
    refused = town.keten.command("move", "--database", "mysql://x/y")
    assert (refused.returncode, "postgresql://" in refused.stderr) == (2, True)
    moved = town.keten.run("move", "--database", url())
    assert moved["size"] == moved["entry"] == len(before)
    assert lines(town)[: len(before)] == before
    (said,) = lines(town)[len(before) : len(before) + 1]
    assert said["kind"] == "keeper.database.moved"
    assert str(said["actor"]).startswith("operator:")
    old = town.keten.paths.database_folder / str(moved["aside"])
    assert old.exists()
    assert not town.keten.paths.database.exists()
    with pytest.raises(Invalid) as sealed:
        upgrade(old)
    assert sealed.value.code == "instance-moved"
    serves(town)
    there = settings_of(town).state
    with town.keten:
        town.keten.up()
        assert town.keten.command("move", "--to-file").returncode == 2, "not while it runs"
    back = town.keten.run("move", "--to-file")
    assert back["size"] > moved["size"]
    assert settings_of(town).database == Database()
    with pytest.raises(Invalid) as sealed:
        upgrade(there)
    assert sealed.value.code == "instance-moved"
    serves(town)
    assert [one["kind"] for one in lines(town)].count("keeper.database.moved") == 2
    left = town.keten.command("move", "--database", str(getattr(there, "url", "")))
    assert (left.returncode, "was moved to another" in left.stderr) == (2, True), "it is not used again"


@pytest.mark.parametrize(
    "when", [pytest.param(one, marks=pytest.mark.slow) for one in ("_verify", "finish", "_seal")]
)
def test_killed(town: Town, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the switch nothing has changed, and it is begun again; after it, the next start does the rest."""
    settings, new = settings_of(town), Database(url=url())
    root = load_root_key(settings, None)

    def killed(*_arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(moving, when, killed)
        with pytest.raises(Killed):
            moving.move(settings, root, new, "operator:anna", lambda _done, _total: None)
    switched = settings_of(town).database == new
    assert switched == (when != "_verify")
    if not switched:
        serves(town)
        town.keten.run("move", "--database", new.url)
    serves(town)
    assert [one["kind"] for one in lines(town)].count("keeper.database.moved") == 1
    assert not town.keten.paths.database.exists()
    assert not (town.keten.paths.database_folder / "move.json").exists()


def test_what_does_not_verify_is_not_moved(town: Town) -> None:
    stored = [path for path in town.keten.paths.store.rglob("*") if path.is_file()]
    shutil.move(stored[0], town.keten.folder / "away")
    refused = town.keten.command("move", "--database", url())
    assert (refused.returncode, "nothing was switched" in refused.stderr) == (4, True)
    assert town.keten.paths.database.exists()
    assert settings_of(town).database == Database()
