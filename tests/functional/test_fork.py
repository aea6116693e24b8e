"""Three instances that witness each other; one forks its log with its own key. Everybody outside notices, with evidence
that tools which are not ours confirm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from keten.drills.throwaway import Throwaway
from keten.keeper.protocol import Exported, Nothing, Recorded, Status
from tests.architecture.checkout import ROOT
from tests.interop.ledger.gotools import build
from tests.outsiders import WitnessProcess, policy, size_of, until
from tests.town import PRINTER, SETTINGS, Town

WITNESSES = '[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\n'
NAMES = ("north", "south")
QUIET = ("--sftp", "off", "--console", "off")


class Neighbour:
    """An institution: an instance, and a witness for others."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.keten = Throwaway(folder)
        self.witness = WitnessProcess(folder / "witness", name)


def witnessed(keten: Throwaway) -> bool:
    """Whether the newest head is witnessed, so that nothing waits."""
    folder = keten.paths.ledger
    return size_of(folder / "witnessed") == size_of(folder / "checkpoint") > 0


def log_key(keten: Throwaway) -> str:
    return (keten.paths.ledger / "key.pub").read_text().strip()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, WitnessProcess, list[Neighbour]]]:
    """A town with a witness of its own, and two neighbours; each is witnessed by the two others."""
    folder = tmp_path_factory.mktemp("three")
    (folder / "town").mkdir()
    with ExitStack() as stack:
        town = Town(folder / "town")
        own = stack.enter_context(WitnessProcess(folder / "own-witness", "town"))
        neighbours = [Neighbour(folder / name, name) for name in NAMES]
        witnesses = [own, *(stack.enter_context(one.witness) for one in neighbours)]
        instances = [town.keten, *(one.keten for one in neighbours)]
        for number, witness in enumerate(witnesses):
            witness.add(*(log_key(keten) for other, keten in enumerate(instances) if other != number))
            witness.start()
        for number, keten in enumerate(instances):
            others = [witness for other, witness in enumerate(witnesses) if other != number]
            (keten.home / "witnesses.policy").write_text(policy(log_key(keten), others))
            settings = SETTINGS if number == 0 else ""
            (keten.home / "keten.toml").write_text(settings + WITNESSES)
        for one in instances:
            stack.enter_context(one)
        town.keten.up(*QUIET)
        town.apply()
        town.keten.run("put", "voters", str(town.voters))
        for neighbour in neighbours:
            neighbour.keten.up("--gateway", "off", *QUIET)
        yield town, own, neighbours


def supplier(town: Town, *words: str) -> subprocess.CompletedProcess[str]:
    return town.keten.command(*words, home=False)


def confirmed(file: Path, key: str, go: Path) -> None:
    """Keten, its auditor's program and Go's packages all say that this proves a fork."""
    own = subprocess.run(
        [sys.executable, "-m", "keten", "ledger", "evidence", str(file), "--key", key, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert own.returncode == 0, own.stdout + own.stderr
    assert json.loads(own.stdout)["fork"] is True
    plain = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), "evidence", str(file), "--key", key]
    done = subprocess.run(plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PROVES a fork" in done.stdout
    judged = subprocess.run([str(go), str(file), key], capture_output=True, text=True, check=False)
    assert (judged.returncode, judged.stdout) == (0, "fork\n"), judged.stderr


@pytest.mark.needs("go")
@pytest.mark.timeout(600)
def test_a_fork_is_noticed_by_everybody_outside(
    three: tuple[Town, WitnessProcess, list[Neighbour]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town, _own, neighbours = three
    go = build("evidence", tmp_path)
    key = log_key(town.keten)
    for keten in (town.keten, *(one.keten for one in neighbours)):
        assert until(lambda keten=keten: witnessed(keten)), keten.log()  # type: ignore[misc]
    assert all(one.witness.evidence() == [] for one in neighbours)

    # Some of it is copied, by whoever has the machine.
    town.keten.down()
    copy = tmp_path / "copy"
    shutil.copytree(town.keten.home / "db", copy / "db")
    shutil.copytree(town.keten.home / "ledger", copy / "ledger")
    copied = size_of(copy / "ledger" / "checkpoint")

    # The town goes on: a supplier fetches, an auditor keeps a checkpoint, the neighbours witness it.
    ready = town.keten.up(*QUIET)
    client = town.keten.ids["client"][PRINTER]
    login = ("--client", client, "--key", str(town.printer_key.path), "--ca", ready["ca"])
    assert supplier(town, "login", ready["gateway"], *login).returncode == 0
    fetched = str(tmp_path / "voters.csv")
    assert supplier(town, "get", "/election-cards/voters.csv", "-o", fetched).returncode == 0
    assert until(lambda: witnessed(town.keten)), town.keten.log()
    kept = Path(shutil.copy(town.keten.paths.ledger / "witnessed", tmp_path / "kept"))
    assert size_of(kept) > copied

    # It is set back to the copy, and goes on from there with the same key: what the supplier fetched never happened.
    town.keten.down()
    for name in ("db", "ledger"):
        shutil.rmtree(town.keten.home / name)
        shutil.copytree(copy / name, town.keten.home / name)
    port = ready["gateway"].rpartition(":")[2]
    ready = town.keten.up("--gateway", f"127.0.0.1:{port}", *QUIET)
    with town.keten.keeper() as keeper:
        while keeper.call("keeper.status", Nothing(), Status).size <= size_of(kept):
            keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)

    # The witnesses: they refuse, and keep evidence.
    def accused() -> bool:
        return all(one.witness.evidence() for one in neighbours)

    assert until(accused, 90), town.keten.log()
    for one in neighbours:
        confirmed(one.witness.evidence()[0], key, go)
    assert until(lambda: "disagrees" in town.keten.log())
    alarms = town.keten.command("ledger", "show", "--kind", "ledger.witness.disagreed", "--json").stdout.splitlines()
    assert {json.loads(line)["details"]["witness"] for line in alarms} == set(NAMES)

    # The supplier: `get` stops, and keeps evidence.
    again = supplier(town, "get", "/election-cards/voters.csv", "-o", str(tmp_path / "again.csv"))
    assert again.returncode == 4, again.stdout + again.stderr
    (evidence,) = (town.keten.folder / "config" / "keten" / "evidence").iterdir()
    confirmed(evidence, key, go)

    # The auditor, with the witnessed checkpoint that was kept: on the instance, and on an export.
    monkeypatch.chdir(tmp_path)
    checked = town.keten.command("ledger", "verify", "--against", str(kept))
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "does not go on" in checked.stdout
    (evidence,) = (tmp_path / "keten-evidence").iterdir()
    confirmed(evidence, key, go)
    assert _exported(town, tmp_path, kept)["what"] == "checkpoint-split"


def _exported(town: Town, folder: Path, kept: Path) -> dict[str, Any]:
    export = folder / "export"
    assert town.keten.command("ledger", "export", str(export)).returncode == 0
    command = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), str(export), "--against", str(kept), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    faults: list[dict[str, Any]] = json.loads(done.stdout)["faults"]
    (fault,) = [one for one in faults if one["where"] == str(kept)]
    return fault
