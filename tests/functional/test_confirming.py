"""`keten restore --confirm` asks witnesses what they know of the ledger before, and says what is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from keten.drills.neighbours import WitnessProcess, policy, size_of, until
from keten.drills.throwaway import Throwaway
from keten.keeper.protocol import Exported, Nothing, Recorded, Status

pytestmark = pytest.mark.timeout(600)
QUIET = ("--gateway", "off", "--sftp", "off", "--console", "off")
WITNESSES = '[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\n'


class Place:
    """An instance with a witness, and what is restored of it in places beside it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.keten = Throwaway(folder, settings=WITNESSES)
        self.ledger = self.keten.paths.ledger
        self.witness = stack.enter_context(WitnessProcess(folder / "w", "w"))
        self.witness.add(self.key(self.keten.home))
        self.witness.start()
        self.gone = WitnessProcess(folder / "gone", "gone")
        self.gone.url = "http://127.0.0.1:9"  # nobody is there
        self.allow(self.keten.home)
        stack.enter_context(self.keten)

    def key(self, home: Path) -> str:
        return (home / "ledger" / "key.pub").read_text().strip()

    def allow(self, home: Path) -> None:
        (home / "witnesses.policy").write_text(policy(self.key(home), [self.witness, self.gone], "any"))

    def grow(self, more: int) -> int:
        """So many entries more; the size then."""
        with self.keten.keeper() as keeper:
            for _each in range(more):
                keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)
            return keeper.call("keeper.status", Nothing(), Status).size

    def witnessed(self) -> bool:
        return size_of(self.ledger / "witnessed") == size_of(self.ledger / "checkpoint") > 0

    def backup(self) -> tuple[str, int]:
        """One of the running instance, and the size that its ledger has in it."""
        made: dict[str, Any] = self.keten.run("backup", str(self.folder / "bk"), "--plain")
        return made["folder"], json.loads((Path(made["folder"]) / "backup.json").read_text())["size"]

    def restored(self, backup: str, name: str) -> Path:
        home = self.folder / name
        done = self.keten.command("restore", backup, "--home", str(home), home=False)
        assert done.returncode == 0, done.stderr
        self.allow(home)
        return home

    def confirm(self, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
        words = ("restore", "--confirm", "--yes", *options, "--home", str(home), "--json")
        return self.keten.command(*words, home=False, folder=self.folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def outside(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, int]]:
    """Who said what, and knows how many entries."""
    assert done.returncode == 0, done.stderr
    return {one["who"]: (one["says"], one["size"]) for one in json.loads(done.stdout)["outside"]}


def recorded(place: Place, home: Path) -> list[dict[str, Any]]:
    words = ("ledger", "show", "--kind", "keeper.restore.confirmed", "--json", "--home", str(home))
    (line,) = place.keten.command(*words, home=False).stdout.splitlines()
    found: list[dict[str, Any]] = json.loads(line)["details"]["outside"]
    return found


@pytest.mark.slow
def test_what_witnesses_and_kept_checkpoints_say(place: Place) -> None:  # noqa: PLR0915  # one story, in its order
    place.keten.up(*QUIET)
    assert until(place.witnessed, 150), place.keten.log()
    for name in ("db", "ledger"):
        shutil.copytree(place.keten.home / name, place.folder / "copy" / name)

    # The witness knows less than the backup has.
    place.witness.stop()
    known = size_of(place.ledger / "witnessed")
    before = Path(shutil.copy(place.ledger / "witnessed", place.folder / "before"))
    place.grow(3)
    backup, size = place.backup()
    assert size > known
    place.keten.down()
    place.witness.start()
    home = place.restored(backup, "one")
    said = outside(place.confirm(home, "--seen", str(before)))
    assert said == {"w": ("continues", known), "gone": ("unknown", 0), "before": ("continues", known)}
    assert {one["who"]: (one["says"], one["size"]) for one in recorded(place, home)} == said
    assert json.loads(place.confirm(home).stdout)["confirmed"] is False

    # It knows more: what came after the backup is missing, and how much.
    place.keten.up(*QUIET)
    place.grow(5)
    assert until(lambda: size_of(place.ledger / "witnessed") > size + 5 and place.witnessed(), 150), place.keten.log()
    newest = size_of(place.ledger / "witnessed")
    kept = Path(shutil.copy(place.ledger / "witnessed", place.folder / "kept"))
    home = place.restored(backup, "two")
    stranger = place.folder / "stranger"
    shutil.copy(home / "ledger" / "checkpoint", stranger)
    done = place.confirm(home, "--seen", str(kept), "--seen", str(stranger))
    assert outside(done) == {
        "w": ("older", newest),
        "gone": ("unknown", 0),
        "kept": ("older", newest),
        "stranger": ("unknown", 0),
    }
    assert f"the {newest - size} after the {size} of the backup are missing" in done.stderr

    # The backup is of a ledger that was set back, and went on: nothing serves unless somebody takes that upon himself.
    place.keten.down()
    for name in ("db", "ledger"):
        shutil.rmtree(place.keten.home / name)
        shutil.copytree(place.folder / "copy" / name, place.keten.home / name)
    place.keten.configure("")
    place.keten.up(*QUIET)
    place.grow(newest)
    forked, _size = place.backup()
    place.keten.down()
    place.keten.configure(WITNESSES)
    home = place.restored(forked, "three")
    shutil.copy(place.folder / "two" / "keten.toml", home / "keten.toml")
    refused = place.confirm(home)
    assert refused.returncode == 1, refused.stderr
    assert "The witness w CONTRADICTS it" in refused.stderr
    assert "serves nobody yet" in refused.stderr
    refused = place.confirm(home, "--seen", str(kept))
    assert (refused.returncode, "evidence is in" in refused.stderr) == (1, True), refused.stderr
    (file,) = (place.folder / "keten-evidence").glob("*.json")
    judged = place.keten.command("ledger", "evidence", str(file), "--key", place.key(place.keten.home), home=False)
    assert judged.returncode == 0, judged.stdout
    assert place.witness.evidence() != []
    said = outside(place.confirm(home, "--seen", str(kept), "--despite"))
    assert {said["w"][0], said["kept"][0]} == {"contradicts"}
    assert {one["says"] for one in recorded(place, home)} == {"contradicts", "unknown"}


def test_wrong_use(place: Place) -> None:
    for words in (("--seen", "x"), ("--despite",), ("--yes",)):
        done = place.keten.command("restore", str(place.folder), *words)
        assert (done.returncode, "go with --confirm" in done.stderr) == (2, True)
