"""One backup restored twice, and one instance moved twice: when both come to light, somebody outside says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.drills.neighbours import WitnessProcess, policy, size_of, until
from keten.keeper.protocol import Exported, Nothing, Recorded, Status
from tests.architecture.checkout import ROOT
from tests.interop.ledger.gotools import build
from tests.town import PRINTER, SETTINGS, Town

pytestmark = pytest.mark.timeout(600)
QUIET = ("--sftp", "off", "--console", "off")
REMOTE = "/election-cards/voters.csv"
WITNESSES = '[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\n'


class Story:
    """A town whose instance is put away and restored again, always at the address that its supplier knows."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.town = Town(folder)
        self.keten = self.town.keten
        self.keten.configure(SETTINGS + settings)
        self.port = "0"

    def serve(self) -> None:
        self.keten.up("--gateway", f"127.0.0.1:{self.port}", *QUIET)
        self.port = self.keten.ready["gateway"].rpartition(":")[2]

    def begin(self) -> None:
        """An instance with content, and a supplier that has fetched it."""
        self.serve()
        self.town.apply()
        self.keten.run("put", "voters", str(self.town.voters))
        signed_in = self.sign_in()
        assert signed_in.returncode == 0, signed_in.stderr
        assert self.get().returncode == 0

    def sign_in(self) -> subprocess.CompletedProcess[str]:
        client = self.keten.ids["client"][PRINTER]
        login = ("--client", client, "--key", str(self.town.printer_key.path), "--ca", str(self.keten.paths.ca))
        return self.supplier("login", self.keten.ready["gateway"], *login)

    def supplier(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.keten.command(*words, home=False)

    def get(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.supplier("get", REMOTE, "-o", str(self.folder / "fetched.csv"), *options)

    def restore(self, backup: str, name: str, *options: str) -> None:
        """Put the instance that is there away as `name`, and restore another in its place."""
        self.keten.down()
        shutil.move(self.keten.home, self.folder / name)
        self.keten.run("restore", backup, *options)

    def evidence(self) -> list[Path]:
        """What the supplier kept."""
        return sorted((self.folder / "config" / "keten" / "evidence").glob("*.json"))

    def key(self) -> str:
        return (self.keten.paths.ledger / "key.pub").read_text().strip()


def proves(file: Path, key: str, go: Path | None = None) -> str:
    """What Keten says of evidence, once the auditor's program (and Go's packages) say that it proves it, too."""
    words = ["ledger", "evidence", str(file), "--key", key, "--json"]
    own = subprocess.run([sys.executable, "-m", "keten", *words], capture_output=True, text=True, check=False)
    assert own.returncode == 0, own.stdout + own.stderr
    plain = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), "evidence", str(file), "--key", key]
    done = subprocess.run(plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    if go is not None:
        judged = subprocess.run([str(go), str(file), key], capture_output=True, text=True, check=False)
        assert (judged.returncode, judged.stdout) == (0, "fork\n"), judged.stderr
    return str(json.loads(own.stdout)["why"])


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path)
    with made.keten:
        made.begin()
        yield made


@pytest.mark.slow
@pytest.mark.needs("go")
def test_one_backup_restored_twice(story: Story, tmp_path_factory: pytest.TempPathFactory) -> None:
    old_key = story.key()
    backup = story.keten.run("backup", str(story.folder / "bk"), "--plain")["folder"]
    story.restore(backup, "dead")
    first = story.key()
    story.serve()
    story.keten.run("restore", "--confirm", "--yes")
    assert story.get("--accept-successor").returncode == 0
    assert story.get().returncode == 0
    own = story.keten.paths.ledger / "predecessors"
    assert story.keten.command("ledger", "verify", "--against", str(own), folder=story.folder).returncode == 0

    story.restore(backup, "first")
    second = story.key()
    story.serve()
    story.keten.run("restore", "--confirm", "--yes")
    for options in ((), ("--accept-successor",)):
        refused = story.get(*options)
        assert refused.returncode == 4, refused.stderr
        assert "restored twice" in refused.stderr
        assert "call the organisation" in refused.stderr
    go = build("evidence", tmp_path_factory.mktemp("go"))
    names = [one.partition("+")[0] for one in (first, second)]
    assert " and ".join(names) in proves(story.evidence()[0], old_key, go)

    # Told that the first one was given up, it signs in anew, and goes on.
    assert story.sign_in().returncode == 0
    assert story.get().returncode == 0

    # An auditor who has an export of the first one, on the second.
    kept = story.folder / "first" / "ledger" / "predecessors"
    verified = story.keten.command("ledger", "verify", "--against", str(kept), folder=story.folder)
    assert verified.returncode == 1, verified.stderr
    assert "restored twice" in verified.stdout
    (file,) = (story.folder / "keten-evidence").glob("*.json")
    assert json.loads(file.read_text())["by"] == "auditor"
    proves(file, old_key, go)

    # A witness that watches the first one is asked to watch the second.
    witness = WitnessProcess(story.folder / "witness", "w")
    witness.add(old_key, first)
    words = ("witness", "add", str(witness.folder), second)
    asked = story.supplier(*words)
    assert (asked.returncode, "restored twice" in asked.stderr) == (1, True), asked.stderr
    assert story.supplier(*words, "--second").returncode == 0


@pytest.mark.slow
def test_one_instance_moved_twice(tmp_path: Path) -> None:
    story = Story(tmp_path, WITNESSES)
    ledger = story.keten.paths.ledger
    with WitnessProcess(tmp_path / "w", "w") as witness, story.keten:
        witness.add(story.key())
        witness.start()
        allowed = policy(story.key(), [witness])
        (story.keten.home / "witnesses.policy").write_text(allowed)
        story.begin()
        story.keten.down()
        moved = story.keten.run("backup", str(tmp_path / "bk"), "--plain", "--move")["folder"]
        story.restore(moved, "old", "--move")
        (story.keten.home / "witnesses.policy").write_text(allowed)
        story.serve()
        assert story.get().returncode == 0  # the same log, which goes on
        assert until(lambda: size_of(ledger / "witnessed") == size_of(ledger / "checkpoint")), story.keten.log()
        seen = size_of(ledger / "witnessed")
        assert (witness.evidence(), story.evidence()) == ([], [])

        story.restore(moved, "first", "--move")
        (story.keten.home / "witnesses.policy").write_text(allowed)
        story.serve()
        with story.keten.keeper() as keeper:
            while keeper.call("keeper.status", Nothing(), Status).size <= seen:
                keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)
        assert until(lambda: bool(witness.evidence()), 150), story.keten.log()
        proves(witness.evidence()[0], story.key())
        assert until(lambda: "witness-disagrees" in story.keten.command("doctor", "--json").stdout, 150)
        refused = story.get()
        assert refused.returncode == 4, refused.stderr
        proves(story.evidence()[0], story.key())
