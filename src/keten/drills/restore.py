"""The drill `restore`: an instance under load is backed up, its disk is lost, and it lives on; twice.

1. First life: suppliers fetch, a backup is made meanwhile; then somebody is revoked, erased, a file destroyed.
2. Everything is killed and the home is gone. It is restored on an empty one, serves nobody until somebody looked, and
   takes back what suppliers prove. Second life: under another name, which the old key signed for.
3. Third life: the same log, in PostgreSQL. Where that is not installed, this half is skipped, and said so.
4. An auditor follows the chain across, with the first life's key and nothing of ours but `keten-verify.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage

from keten.core.errors import Unavailable
from keten.drills.cluster import Cluster
from keten.drills.contract_end import VERIFIER
from keten.drills.scoreboard import Scoreboard
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway

ROWS = 20_000
LEAVER = "drukwerk-vertrokken"
_SETTINGS = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n[erasure]\napprovers = 1\n[watch]\nenabled = false\n'
_ESTATE = """
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people: [{{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}]
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    people: [{{id: {leaver}, email: {leaver}@drukwerk.example}}]
    clients: [{{id: drukwerk-batch, keys: ["{batch}"]}}, {{id: drukwerk-laptop, keys: ["{laptop}"]}}]
contracts:
  - {{id: vwo-1, supplier: drukwerk, starts: 2026-01-01, ends: 2099-12-31, purposes: [election-cards], countries: [NL]}}
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - {{id: voters-for-drukwerk, dataset: voters, contract: vwo-1, purpose: election-cards, form: file}}
"""


class _Load(threading.Thread):
    """A supplier's system that fetches until told to stop. opened: the entry of everything that it was given."""

    def __init__(self, system: SupplierSystem) -> None:
        super().__init__(daemon=True)
        self.opened: list[str] = []
        self.enough = threading.Event()
        self._system = system

    def run(self) -> None:
        paths = [f"/v1/objects/{found['id']}" for share in self._system.shares() for found in share["objects"]]
        while paths and not self.enough.is_set():
            for path in paths:
                try:
                    answer = self._system.get(path, {"Range": "bytes=0-999"})
                except OSError:  # it was killed meanwhile
                    return
                if answer.status == 206:
                    self.opened.append(answer.headers["keten-entry"])

    def more(self, count: int) -> None:
        """Wait until so many more were served, or it ended."""
        until = len(self.opened) + count
        while len(self.opened) < until and self.is_alive():
            time.sleep(0.01)


class Restore:
    """One run of the drill. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], folder: Path | None = None) -> None:
        self._say = say
        self._keten = Throwaway(folder, settings=_SETTINGS)
        self._folder = self._keten.folder
        self._batch, self._laptop = Key(self._folder / "batch"), Key(self._folder / "laptop")
        self.board = Scoreboard("restore")
        self._backup: dict[str, Any] = {}
        self._first: list[dict[str, Any]] = []
        self._second: list[dict[str, Any]] = []
        self._loads: list[_Load] = []
        self._file = ""
        self._person = ""
        self._old_key = ""
        self._token = ""

    def run(self) -> Scoreboard:
        """All four parts; the instances are gone afterwards."""
        with self._keten:
            self._first_life()  # 1
            self._restore()  # 2
            self._recover()
            self._second_life()
            try:
                with Cluster() as cluster:  # 3
                    self._third_life(cluster)
            except Unavailable as error:
                if error.code not in ("not-installed", "no-driver"):
                    raise
                self.board.skipped = f"The move to PostgreSQL was not drilled. {error.public}"
        return self.board

    # ---- the first life ------------------------------------------------------------------------------------------

    def _first_life(self) -> None:
        keten = self._keten
        self._say("An instance, a supplier with two systems, and a load …")
        keten.up()
        keten.apply(_ESTATE.format(batch=self._batch.line, laptop=self._laptop.line, leaver=LEAVER))
        self._person = keten.ids["person"][LEAVER]
        self._put("voters.csv", "bsn,name\n" + "".join(f"{n:09},Kiezer {n}\n" for n in range(ROWS)))
        self._put("wrong.csv", "bsn,name\n000000001,Sent by mistake\n")
        self._old_key = (keten.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()
        login = ("--client", keten.ids["client"]["drukwerk-batch"], "--key", str(self._batch.path))
        self._supplier("login", keten.ready["gateway"], *login, "--ca", str(keten.paths.ca))
        self._file = next(one["path"] for one in self._supplier("ls") if one["path"].endswith("/voters.csv"))
        self._get("before")
        systems = [self._system("drukwerk-batch", self._batch), self._system("drukwerk-laptop", self._laptop)]
        self._loads = [_Load(system) for system in systems for _twice in range(2)]
        for load in self._loads:
            load.start()
        self._loads[0].more(20)
        self._back_up()
        self._after_the_backup()
        for load in self._loads:
            load.enough.set()
            load.join(60)
        self._token = systems[0].token
        self._export("first")
        self._first = self._entries()

    def _back_up(self) -> None:
        self._say("A backup while they fetch …")
        identity = pyrage.x25519.Identity.generate()
        (self._folder / "identity.txt").write_text(f"{identity}\n", encoding="utf-8")
        served = sum(len(load.opened) for load in self._loads)
        to = ("--to", str(identity.to_public()))
        self._backup = self._keten.run("backup", str(self._folder / "backups"), *to)
        meanwhile = sum(len(load.opened) for load in self._loads) - served
        self.board.add(
            "a backup under load",
            "complete and verified, while everybody is served",
            f"{self._backup['size']} entries, {self._backup['objects']} files; {meanwhile} accesses meanwhile",
            held=bool(self._backup["ok"]) and meanwhile > 0,
            meanwhile=meanwhile,
        )

    def _after_the_backup(self) -> None:
        """What the backup does not have: an end, an erasure, a destroyed file, and accesses that can be proven."""
        keten = self._keten
        self._say("After it: one is revoked, one erased, a file destroyed, and a supplier fetches …")
        keten.run("revoke", "client", "drukwerk-laptop", "--reason", "the laptop was stolen")
        keten.run("subject", "erase", LEAVER, "--reason", "asked by letter", "--yes")
        keten.run("destroy", "object", "voters", "wrong.csv", "--reason", "sent by mistake", "--yes")
        self._get("after")
        self._loads[0].more(20)
        carried = Path(self._backup["folder"], "ended.jsonl")
        deadline = time.monotonic() + 60
        while carried.read_bytes().count(b"\n") < 3 and time.monotonic() < deadline:
            time.sleep(0.05)

    # ---- the second life -----------------------------------------------------------------------------------------

    def _restore(self) -> None:
        keten = self._keten
        self._say("Everything is killed, and its disk is gone …")
        port = keten.ready["gateway"].rpartition(":")[2]
        keten.die()
        shutil.rmtree(keten.home)
        began = time.monotonic()
        restored = keten.run("restore", self._backup["folder"], "--identity", str(self._folder / "identity.txt"))
        took = time.monotonic() - began
        lost = len(self._first) - self._backup["size"]
        self.board.add(
            "the disk is lost",
            "an instance again on an empty disk, with every entry up to the backup",
            f"{restored['size']} entries in {took:.1f} s; the {lost} after it are lost here",
            held=restored["size"] == self._backup["size"] and not restored["missing"],
            seconds=round(took, 1),
            lost=lost,
        )
        keten.up("--gateway", f"127.0.0.1:{port}")
        status = self._system("drukwerk-batch", self._batch, signed_in=False).sign_in().status
        said = keten.command("doctor", "--json").stdout
        self.board.add(
            "a supplier comes before anybody has looked",
            "503, and 'keten doctor' says why",
            f"{status}; {'said' if 'restore-unconfirmed' in said else 'not said'}",
            held=status == 503 and "restore-unconfirmed" in said,
        )
        confirmed = keten.run("restore", "--confirm", "--yes")
        clients = confirmed["live"]["client"]
        self.board.add(
            "an operator looks, and confirms",
            "what was revoked after the backup is not among what will be live",
            f"live clients: {', '.join(clients)}",
            held=clients == ["drukwerk-batch"],
        )

    def _recover(self) -> None:
        """What the supplier can prove comes back: that it was there, not what was in it."""
        refused = self._keten.command("get", self._file, "-o", str(self._folder / "no.csv"), "--json", home=False)
        self._get("successor", "--accept-successor")
        origin = self._old_key.partition("+")[0]
        kept = sorted((self._folder / "config").rglob("*.tlog-proof"))
        proofs = [path for path in kept if f"\n{origin}\n" in path.read_text(encoding="utf-8")]
        recovered = self._keten.run("ledger", "recover", *map(str, proofs))
        now = self._entries()
        there = {one["id"] for one in now} | {
            one["details"]["id"] for one in now if one["kind"] == "ledger.entry.recovered"
        }
        lost = [one for one in recovered if one["wrong"] or one["id"] not in there]
        back = [one for one in recovered if one["lost"] and not one["wrong"]]
        self.board.add(
            "entries that a supplier can prove",
            "none is lost: each is in the ledger, or recorded as having been there",
            f"{len(proofs)} proofs, {len(back)} of entries after the backup; {len(lost)} lost",
            held=len(back) >= 1 and not lost and refused.returncode == 1,
        )
        known = {one["id"] for one in self._first[: self._backup["size"]]}
        given = {entry for load in self._loads for entry in load.opened}
        kept_here = {one["id"] for one in now}
        size = self._backup["size"]
        same = [one["id"] for one in now[:size]] == [one["id"] for one in self._first[:size]]
        self.board.add(
            "accesses that were acknowledged before the backup",
            "each is in the restored ledger, in its place",
            f"{len(given & known)} of them, {len(given & known - kept_here)} missing",
            held=bool(given & known) and same and not given & known - kept_here,
        )

    def _second_life(self) -> None:
        self._not_revived("the second life")
        self._export("second")
        self._second = self._entries()
        shutil.copy(self._keten.paths.ledger / "checkpoint", self._folder / "second-checkpoint")

    # ---- the third life ------------------------------------------------------------------------------------------

    def _third_life(self, cluster: Cluster) -> None:
        keten = self._keten
        self._say("It is moved to PostgreSQL …")
        url = cluster.made()
        keten.down()
        began = time.monotonic()
        moved = keten.run("move", "--database", url)
        took = time.monotonic() - began
        port = keten.ready["gateway"].rpartition(":")[2]
        keten.up("--gateway", f"127.0.0.1:{port}")
        now = self._entries()
        before = [one["id"] for one in self._second]
        kept = [one["id"] for one in now[: len(before)]] == before
        self.board.add(
            "the state moves to a database server",
            "the same log goes on there, with every entry",
            f"{moved['size']} entries in {took:.1f} s; the next says {now[moved['entry']]['kind']}",
            held=kept and now[moved["entry"]]["kind"] == "keeper.database.moved",
            seconds=round(took, 1),
        )
        self._get("third")
        self._not_revived("the third life")
        self._export("third")
        self._audit()
        keten.down()

    # ---- what is asked in each life ------------------------------------------------------------------------------

    def _not_revived(self, life: str) -> None:
        """What was revoked, erased or destroyed after the backup, and tokens of the first life."""
        laptop = self._system("drukwerk-laptop", self._laptop, signed_in=False).sign_in().status
        old = self._system("drukwerk-batch", self._batch, signed_in=False)
        old.token = self._token
        with_token = old.get("/v1/shares").status
        names = {one["path"].rpartition("/")[2] for one in self._supplier("ls")}
        traced = self._keten.run("subject", "trace", self._person)["subject"] if self._known(self._person) else None
        gone = traced is None or (traced["erased"] and not traced["email"])
        found = {
            f"revoked: {laptop}": laptop in (400, 401),
            f"an old token: {with_token}": with_token == 401,
            f"a destroyed file: {'listed' if 'wrong.csv' in names else 'gone'}": names == {"voters.csv"},
            f"the erased person: {'gone' if gone else 'back'}": gone,
        }
        verified = self._keten.command("ledger", "verify", "--json").returncode
        found[f"'keten ledger verify': {'yes' if verified == 0 else 'no'}"] = verified == 0
        self.board.add(f"reviving in {life}", "nothing of it comes back", "; ".join(found), held=all(found.values()))

    def _known(self, subject: str) -> bool:
        return self._keten.command("subject", "trace", subject, "--json").returncode == 0

    def _audit(self) -> None:
        """The auditor's program on what it got in each life, with the key and checkpoints that it kept itself."""
        self._say("An auditor follows the chain …")
        if not VERIFIER.exists():
            self.board.add("the auditor's tool", "says yes", "keten-verify.py is not beside this program", held=False)
            return
        first = self._verified("first", "--key", self._old_key)
        second = self._verified("second", "--key", self._old_key)
        kept = ("--checkpoint", str(self._folder / "second-checkpoint"))
        third = self._verified("third", "--key", self._old_key, *kept)
        held = [found["holds"] for found in (first, second, third)]
        self.board.add(
            "an auditor who knows the first life's key",
            "follows it into the second and the third life; each goes on from the one before",
            f"first {held[0]}, second {held[1]}, third {held[2]}; {'; '.join(third['remarks'][:1])}",
            held=all(held),
        )
        lost = self._verified("third", "--checkpoint", str(self._folder / "first" / "checkpoint"))
        said = [fault["detail"] for fault in lost["faults"] if fault["what"] == "entries-lost"]
        self.board.add(
            "an auditor who kept the first life's last checkpoint",
            "is told that entries were lost, and how many; nothing else is wrong",
            "; ".join(said) or "nothing was said",
            held=len(said) == len(lost["faults"]) == 1 and str(self._backup["size"]) in said[0],
        )

    def _verified(self, export: str, *options: str) -> dict[str, Any]:
        line = [sys.executable, "-I", str(VERIFIER), str(self._folder / export), "--json", *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    # ---- its hands -----------------------------------------------------------------------------------------------

    def _put(self, name: str, content: str) -> None:
        (self._folder / name).write_text(content, encoding="utf-8")
        self._keten.run("put", "voters", str(self._folder / name))

    def _supplier(self, *words: str) -> Any:
        """A command of the supplier; its result."""
        return self._keten.run(*words, home=False)

    def _get(self, name: str, *options: str) -> None:
        """The supplier's own command: its entry is proven, and the proof kept."""
        self._supplier("get", self._file, "-o", str(self._folder / f"{name}.csv"), *options)

    def _system(self, name: str, key: Key, *, signed_in: bool = True) -> SupplierSystem:
        client = self._keten.ids["client"][name]
        system = SupplierSystem(self._keten.ready["gateway"], self._keten.paths.ca, client, key.private)
        if signed_in:
            system.sign_in()
        return system

    def _export(self, name: str) -> None:
        self._keten.run("ledger", "export", str(self._folder / name))

    def _entries(self) -> list[dict[str, Any]]:
        shown = self._keten.command("ledger", "show", "--json").stdout.splitlines()
        return [json.loads(line) for line in shown]
