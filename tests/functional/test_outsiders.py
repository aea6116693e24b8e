"""An instance with witnesses and a time-stamping authority, over the real processes: the way through and failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from keten.drills.neighbours import WitnessProcess, policy, size_of, until
from keten.drills.throwaway import Throwaway
from keten.keeper.protocol import Exported, Nothing, Recorded, Status
from keten.keeper.witness_protocol import AskOutside, OutsideState
from tests.architecture.checkout import ROOT
from tests.authority import Authority

# Long: an authority, two witnesses and an instance at rest. `test_fork.py` has three that witness each other, daily.
pytestmark = [pytest.mark.needs("openssl"), pytest.mark.timeout(600), pytest.mark.slow]


class Place:
    """An instance that two witnesses are asked about, of which one is enough, and that an authority stamps."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.keten = Throwaway(folder)
        self.ledger = self.keten.paths.ledger
        self.key = (self.ledger / "key.pub").read_text().strip()
        self.witness = stack.enter_context(WitnessProcess(folder / "w", "alive"))
        self.witness.add(self.key)
        self.witness.start()
        self.gone = WitnessProcess(folder / "gone", "gone")
        self.gone.url = "http://127.0.0.1:9"  # nobody is there
        self.authority = stack.enter_context(Authority(folder / "tsa"))
        home = self.keten.home
        (home / "witnesses.policy").write_text(policy(self.key, [self.witness, self.gone], "any"))
        shutil.copy(self.authority.ca, home / "tsa.pem")
        (home / "keten.toml").write_text(
            '[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\n'
            f'[timestamps]\nurl = "{self.authority.url}"\nca = "tsa.pem"\nevery = "1s"\n'
        )
        stack.enter_context(self.keten)
        self.ready = self.keten.up("--sftp", "off", "--console", "off")

    def grow(self) -> None:
        with self.keten.keeper() as keeper:
            keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)

    def at_rest(self) -> bool:
        """Whether the newest head of all is witnessed, and nothing waits to be stamped: nothing follows."""
        with self.keten.keeper() as keeper:
            size = keeper.call("keeper.status", Nothing(), Status).size
        found = self.state()
        return size == found.published == found.witnessed and found.unstamped_us == 0

    def state(self) -> OutsideState:
        """What the keeper says of outsiders."""
        with self.keten.keeper() as keeper:
            return keeper.call("ledger.outside", AskOutside(), OutsideState)

    def fetch(self, name: str, language: str = "en") -> tuple[dict[str, str], str]:
        context = ssl.create_default_context(cafile=self.ready["ca"])
        asked = urllib.request.Request(f"{self.ready['gateway']}/ledger/{name}", headers={"Accept-Language": language})
        with urllib.request.urlopen(asked, timeout=30, context=context) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}, answer.read().decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path_factory.mktemp("place"), stack)


def entries(place: Place, kind: str) -> list[dict[str, Any]]:
    done = place.keten.command("ledger", "show", "--kind", kind, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def verify(place: Place, folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), str(folder), "--key", place.key, "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def test_a_head_is_signed_by_others_and_then_there_is_rest(place: Place) -> None:
    assert until(place.at_rest), place.keten.log()
    size = size_of(place.ledger / "checkpoint")
    witnessed = (place.ledger / "witnessed").read_text()
    assert witnessed.count("\n\u2014 ") == 2
    assert "\u2014 witness.example/alive " in (place.ledger / "checkpoint").read_text()
    assert place.fetch("witnessed")[1] == witnessed
    found = entries(place, "ledger.checkpoint.witnessed")
    assert list(found[-1]["details"]["witnesses"]) == ["+".join(place.witness.key.split("+")[:2])]
    stamped = entries(place, "ledger.checkpoint.stamped")
    assert stamped[-1]["details"]["authority"] == place.authority.url
    asked = place.authority.asked
    last = place.state().last
    assert until(lambda: [one.witness for one in place.state().trouble] == ["gone"])
    assert (size_of(place.ledger / "checkpoint"), place.authority.asked) == (size, asked)
    assert place.state().last == last


def test_a_new_entry_is_signed_and_recorded_once(place: Place) -> None:
    assert until(place.at_rest), place.keten.log()
    before = len(entries(place, "ledger.checkpoint.witnessed"))
    covered = size_of(place.ledger / "witnessed")
    place.grow()
    assert until(lambda: size_of(place.ledger / "witnessed") > covered), place.keten.log()
    assert until(place.at_rest), place.keten.log()
    assert len(entries(place, "ledger.checkpoint.witnessed")) in (before + 1, before + 2)  # started in between: two


def test_what_the_auditor_gets(place: Place, tmp_path: Path) -> None:
    assert until(place.at_rest)
    kept = Path(shutil.copy(place.ledger / "witnessed", tmp_path / "kept"))
    copy = tmp_path / "copy"
    assert place.keten.command("ledger", "export", str(copy)).returncode == 0
    code, report = verify(place, copy, "--against", str(kept))
    assert (code, report["faults"]) == (0, [])
    assert report["witnessed"] == {"size": size_of(copy / "witnessed"), "by": ["alive"]}
    for note in (copy / "stamps").glob("*.checkpoint"):
        assert place.authority.verify(note, note.with_suffix(".tsr"))
    own = tmp_path / "own.policy"
    own.write_text(policy(place.key, [place.witness, place.gone], "all"))
    code, report = verify(place, copy, "--policy", str(own))
    assert (code, [one["what"] for one in report["faults"]]) == (1, ["witnesses-few"])
    text = (copy / "witnessed").read_text()
    (copy / "witnessed").write_text(text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:])
    code, report = verify(place, copy)
    assert (code, [one["what"] for one in report["faults"]]) == (1, ["signature-wrong"])
    checked = place.keten.command("ledger", "verify", "--against", str(kept))
    assert checked.returncode == 0, checked.stdout
    assert "1 kept checkpoints" in checked.stdout


def test_what_is_wrong_is_said(place: Place) -> None:
    assert until(place.at_rest)
    doctor = place.keten.run("doctor")
    found = {one["code"]: one["severity"] for one in doctor["findings"]}
    assert found["witness-silent"] == "weak"
    assert not {"no-witness", "outside-late", "witness-disagrees"} & set(found)
    shown = place.keten.command("status").stdout
    assert "witnessed" in shown
    assert "witness       gone:" in shown


def test_the_public_page(place: Place) -> None:
    for language, sentence in (("en", "How to become a witness"), ("nl", "Getuige worden van dit logboek")):
        headers, text = place.fetch("", language)
        assert headers["content-language"] == language
        assert sentence in text
        assert place.key in text.replace("&#x27;", "'")
        assert "keten witness add" in text
        assert "keten/" in text


def test_a_worker_that_dies_comes_back(place: Place) -> None:
    before = place.keten.pid("worker")
    os.kill(before, signal.SIGKILL)
    assert until(lambda: place.keten.pid("worker") != before)
    covered = size_of(place.ledger / "witnessed")
    place.grow()
    assert until(lambda: size_of(place.ledger / "witnessed") > covered), place.keten.log()


def test_signatures_that_somebody_changed_are_named(place: Place) -> None:
    """Last: the instance is stopped and its database touched."""
    assert until(place.at_rest)
    place.keten.down()
    assert place.keten.command("ledger", "verify").returncode == 0
    with closing(sqlite3.connect(place.keten.paths.database)) as database:
        (stamp,) = database.execute("SELECT stamp FROM stamps ORDER BY size DESC LIMIT 1").fetchone()
        database.execute("UPDATE stamps SET stamp = ?", (stamp[:-1] + bytes([stamp[-1] ^ 1]),))
        database.commit()
    checked = place.keten.command("ledger", "verify")
    assert checked.returncode == 1
    assert "outside: stamp of" in checked.stdout
    witnessed = place.ledger / "witnessed"
    witnessed.write_text("\n".join(witnessed.read_text().split("\n")[:-2]) + "\n")
    assert "fewer cosignatures" in place.keten.command("ledger", "verify").stdout
