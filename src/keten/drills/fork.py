"""The drill `fork`: whoever has the whole machine, and so the key, makes a ledger forget; then who outside notices.

1. Three institutions on one machine, each with an instance and a witness; each is witnessed by the two others.
2. A supplier fetches from the first one; an auditor keeps a checkpoint. Nobody has anything to say against anybody.
3. Its owner sets the ledger back to before that, and goes on from there with the same key: it was never fetched.
4. The witnesses, the supplier's own command, and the auditor, on the instance and with an export: each notices by
   itself, and those who saw both heads keep a file of evidence.
5. Each file of evidence is judged by the auditor's program on a bare Python, with nothing but the ledger's key.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from keten.drills.contract_end import VERIFIER
from keten.drills.neighbours import WitnessProcess, policy, size_of, until
from keten.drills.scoreboard import Scoreboard
from keten.drills.throwaway import Command, Key, Throwaway
from keten.keeper.protocol import Exported, Nothing, Recorded, Status

NAMES = ("town", "north", "south")
CLIENT = "drukwerk-batch"
REMOTE = "/election-cards/voters.csv"
QUIET = ("--sftp", "off", "--console", "off")
NOTICE_SECONDS = 150.0
SAY_SECONDS = 15.0
_PROMISE = "notices, and keeps a file of evidence"
_SETTINGS = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\n'
_ESTATE = """
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    clients: [{{id: drukwerk-batch, keys: ["{key}"]}}]
contracts:
  - {{id: vwo-1, supplier: drukwerk, starts: 2026-01-01, ends: 2099-12-31, purposes: [election-cards], countries: [NL]}}
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - {{id: voters-for-drukwerk, dataset: voters, contract: vwo-1, purpose: election-cards, form: file}}
"""


class Fork:
    """One run of the drill, in an empty folder; what is made there stays. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], folder: Path) -> None:
        self._say = say
        self._folder = folder
        self._town, *self._neighbours = [Throwaway(_made(folder / name)) for name in NAMES]
        self._witnesses = [WitnessProcess(folder / name / "witness", name) for name in NAMES]
        self._key = Key(folder / "printer")
        self._kept = folder / "kept-by-the-auditor"
        self._served_again = 0.0
        self._evidence: dict[str, Path] = {}
        self.board = Scoreboard("fork")

    def run(self, keep: Path | None = None) -> Scoreboard:
        """All five steps. keep: a folder that gets every file of evidence, and the ledger's key."""
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)  # what cannot be written is said now, not at the end
        with ExitStack() as stack:
            self._start(stack)  # 1
            self._fetch()  # 2
            self._fork()  # 3
            self._witnesses_notice()  # 4
            self._instance_says()
            self._supplier_notices()
            self._auditor_notices()
            self._judge()  # 5
        if keep is not None:
            self._keep(keep)
        return self.board

    # ---- 1 -------------------------------------------------------------------------------------------------------

    def _start(self, stack: ExitStack) -> None:
        self._say("Three institutions that witness each other …")
        instances = [self._town, *self._neighbours]
        for number, witness in enumerate(self._witnesses):
            stack.enter_context(witness)
            witness.add(*(_log_key(one) for other, one in enumerate(instances) if other != number))
            witness.start()
        for number, instance in enumerate(instances):
            others = [one for other, one in enumerate(self._witnesses) if other != number]
            (instance.home / "witnesses.policy").write_text(policy(_log_key(instance), others), encoding="utf-8")
            instance.configure(_SETTINGS)
            stack.enter_context(instance)
            instance.up(*(() if number == 0 else ("--gateway", "off")), *QUIET)
        self._town.apply(_ESTATE.format(key=self._key.line))
        voters = self._folder / "voters.csv"
        voters.write_text("bsn,name\n" + "".join(f"{number:09},Kiezer {number}\n" for number in range(1000)))
        self._town.run("put", "voters", str(voters))
        self._await_witnessed(instances)

    def _await_witnessed(self, instances: list[Throwaway]) -> None:
        for instance in instances:
            if not self._await("its newest head is witnessed", partial(_witnessed, instance)):
                raise Command("not-witnessed", "An instance's newest head was not witnessed.", instance.log())

    def _await(self, what: str, holds: Callable[[], bool]) -> bool:
        """Wait until something holds; whether it does. Says what for, and goes on saying that it still waits."""
        began = time.monotonic()
        while not until(holds, SAY_SECONDS):
            waited = time.monotonic() - began
            if waited >= NOTICE_SECONDS:
                self._say(f"  … gave up waiting until {what}, after {waited:.0f} s")
                return False
            self._say(f"  … waiting until {what}: {waited:.0f} of at most {NOTICE_SECONDS:.0f} s")
        return True

    # ---- 2, 3 ----------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """The machine's owner copies the ledger; then a supplier fetches, and everybody has seen that it did."""
        port = self._town.ready["gateway"].rpartition(":")[2]
        self._town.down()
        for name in ("db", "ledger"):
            shutil.copytree(self._town.home / name, self._folder / "copy" / name)
        self._say("A supplier fetches, an auditor keeps a checkpoint …")
        self._serve(port)
        login = ("login", self._town.ready["gateway"], "--client", self._town.ids["client"][CLIENT])
        files = ("--key", str(self._key.path), "--ca", str(self._town.paths.ca))
        codes = [self._supplier(*login, *files).returncode, self._get("fetched.csv").returncode]
        self._await_witnessed([self._town])
        shutil.copy(self._town.paths.ledger / "witnessed", self._kept)
        verified = self._town.command("ledger", "verify", "--against", str(self._kept)).returncode
        accused = sum(len(one.evidence()) for one in self._witnesses)
        self.board.add(
            "an honest ledger",
            "everybody signs, nobody objects",
            f"login and get {codes}, verify {verified}, {accused} files of evidence",
            held=codes == [0, 0] and verified == 0 and accused == 0,
        )

    def _fork(self) -> None:
        copied, seen = size_of(self._folder / "copy" / "ledger" / "checkpoint"), size_of(self._kept)
        self._say(f"Its owner sets it back from {seen} entries to {copied}, and goes on with the same key …")
        port = self._town.ready["gateway"].rpartition(":")[2]
        self._town.down()
        key = _log_key(self._town)
        known = max(seen, *(one.cosigned(key) for one in self._witnesses[1:]))  # beyond what anybody has signed
        for name in ("db", "ledger"):
            shutil.rmtree(self._town.home / name)
            shutil.copytree(self._folder / "copy" / name, self._town.home / name)
        self._serve(port)
        self._served_again = time.time()
        with self._town.keeper() as keeper:
            while keeper.call("keeper.status", Nothing(), Status).size <= known:
                keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)
            size = keeper.call("keeper.status", Nothing(), Status).size
        inside = self._town.command("ledger", "verify")
        self.board.add(
            "a ledger set back and signed on, by the owner of the machine",
            "nothing on that machine can show it: what outsiders kept must",
            f"{size} entries after {copied} of {known}; 'ledger verify' on the machine says {inside.returncode}",
            held=size > known > copied,
            entries=size,
            forgotten=seen - copied,
        )

    def _serve(self, port: str) -> None:
        """The supplier knows the instance by its address."""
        self._town.up("--gateway", f"127.0.0.1:{port}", *QUIET)

    # ---- 4 -------------------------------------------------------------------------------------------------------

    def _witnesses_notice(self) -> None:
        for witness in self._witnesses[1:]:
            notices = f"the witness {witness.name} notices"
            self._await(notices, partial(_has_evidence, witness))
            found = witness.evidence()[:1]
            self._noticed(f"the witness {witness.name}", found, "cosigns nothing of it", self._served_again)

    def _instance_says(self) -> None:
        self._await("the instance has recorded that they disagree", lambda: len(self._disagreed()) == len(NAMES) - 1)
        told = self._disagreed()
        doctor = self._town.command("doctor", "--json")
        found = {one["code"] for one in json.loads(doctor.stdout or "{}").get("findings", [])}
        self.board.add(
            "the instance itself, run as it is meant to be",
            "an entry and an alarm for each witness that disagrees",
            f"entries about {', '.join(sorted(told)) or 'nobody'}; doctor exit {doctor.returncode}",
            held=told == set(NAMES[1:]) and "witness-disagrees" in found and doctor.returncode == 1,
        )

    def _disagreed(self) -> set[str]:
        shown = self._town.command("ledger", "show", "--kind", "ledger.witness.disagreed", "--json")
        return {json.loads(line)["details"]["witness"] for line in shown.stdout.splitlines()}

    def _supplier_notices(self) -> None:
        self._say("The supplier fetches again; the auditor looks …")
        began = time.time()
        done = self._get("again.csv")
        found = sorted((self._town.folder / "config" / "keten" / "evidence").glob("*.json"))
        stopped = done.returncode == 4 and "does not go on" in done.stderr
        self._noticed("the supplier's 'keten get'", found, f"exit {done.returncode}", began, also=stopped)

    def _auditor_notices(self) -> None:
        desk = _made(self._folder / "auditor")
        began = time.time()
        done = self._town.command("ledger", "verify", "--against", str(self._kept), folder=desk)
        found = sorted((desk / "keten-evidence").glob("*.json"))
        said = f"'ledger verify --against' exit {done.returncode}"
        self._noticed("an auditor on the instance", found, said, began, also=done.returncode == 1)
        export = self._folder / "export"
        self._town.command("ledger", "export", str(export))
        judged = _verify(str(export), "--against", str(self._kept), "--json")
        faults = json.loads(judged.stdout or "{}").get("faults", [])
        split = [one["what"] for one in faults if one["where"] == str(self._kept)]
        self.board.add(
            "an auditor with an export and a kept checkpoint, on a bare Python",
            "the export does not go on from the checkpoint",
            f"exit {judged.returncode}: {', '.join(split) or 'nothing'}",
            held=judged.returncode == 1 and split == ["checkpoint-split"],
        )

    def _noticed(self, who: str, found: list[Path], said: str, since: float, *, also: bool = True) -> None:
        """One line about somebody who has to have kept a file by now. since: when it could first see the fork."""
        if not found:
            self.board.add(who, _PROMISE, f"{said}; no evidence", held=False)
            return
        file = self._evidence[who] = found[0]
        took = datetime.fromisoformat(json.loads(file.read_bytes())["time"]).timestamp() - since
        seen = f"{said}; {file.name}, {took:.1f} s after it could first see the fork"
        self.board.add(who, _PROMISE, seen, held=also, seconds=round(took, 1), file=file.name)

    # ---- 5 -------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        for who, file in self._evidence.items():
            judged = _verify("evidence", str(file), "--key", _log_key(self._town))
            self.board.add(
                f"the evidence of {who}, on a bare Python",
                "proves the fork, to anybody who knows the ledger's key",
                (judged.stdout + judged.stderr).strip() or f"exit {judged.returncode}",
                held=judged.returncode == 0,
            )

    def _keep(self, target: Path) -> None:
        shutil.copy(self._town.paths.ledger / "key.pub", target / "key.pub")
        for number, (who, file) in enumerate(self._evidence.items(), 1):
            word = who.replace("'", "").replace(" ", "-")
            shutil.copy(file, target / f"{number}-{word}.json")

    # ---- commands ------------------------------------------------------------------------------------------------

    def _supplier(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._town.command(*words, home=False)

    def _get(self, name: str) -> subprocess.CompletedProcess[str]:
        return self._supplier("get", REMOTE, "-o", str(self._folder / name))


def _has_evidence(witness: WitnessProcess) -> bool:
    """Whether a witness kept evidence of a fork."""
    return bool(witness.evidence())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _log_key(instance: Throwaway) -> str:
    return (instance.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()


def _witnessed(instance: Throwaway) -> bool:
    """Whether the newest head is witnessed, so that nothing waits."""
    folder = instance.paths.ledger
    return size_of(folder / "witnessed") == size_of(folder / "checkpoint") > 0


def _verify(*words: str) -> subprocess.CompletedProcess[str]:
    """The auditor's program, on a bare Python."""
    command: list[Any] = [sys.executable, "-I", "-S", str(VERIFIER), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)
