"""The drill `contract-end`: a contract ends during downloads; then somebody tries to get around it.

1. A supplier downloads at full speed, at 2 MiB/s, and stalls, while its contract ends.
2. It tries again: a new download, a new sign-in.
3. A gateway in the attacker's hands tries to open what nobody opened, and to read what lies on the disk.
4. Somebody changes the contract's row in the database, and the keeper is started again.
5. The ledger is read, verified by Keten, exported, and verified by the auditor's tool.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from keten.core.db import writing_engine
from keten.drills.impostor import Impostor
from keten.drills.reader import Reader
from keten.drills.scoreboard import Scoreboard
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.keeper.protocol import Nothing, Status

_SETTINGS = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n[watch]\nenabled = false\n'  # a drill of its own is about that
CONTENT_BYTES = 96 * 1024 * 1024
MARK = b"This sentence is in the clear only where somebody was let in. "
SLOW = 2 * 1024 * 1024
LEAD_SECONDS = 12.0
MAX_AFTER_END = 256 * 1024
VERIFIER = Path(__file__).resolve().parents[3] / "keten-verify.py"

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
  - {{id: vwo-1, supplier: drukwerk, starts: 2026-01-01, ends: "{ends}", purposes: [election-cards], countries: [NL]}}
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - {{id: voters-for-drukwerk, dataset: voters, contract: vwo-1, purpose: election-cards, form: file}}
"""


class ContractEnd:
    """One run of the drill. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], folder: Path | None = None) -> None:
        self._say = say
        self._keten = Throwaway(folder, settings=_SETTINGS)
        self._key = Key(self._keten.folder / "printer")
        self.board = Scoreboard("contract-end")
        self._object = ""
        self._ends = 0.0

    def run(self) -> Scoreboard:
        """All five steps; the instance is gone afterwards."""
        with self._keten:
            system = self._start()
            self._during(system)  # 1
            self._again(system)  # 2
            self._impostor(system)  # 3
            self._change_row(system)  # 4
            self._ledger()  # 5
        return self.board

    def _start(self) -> SupplierSystem:
        self._say("An instance, a supplier, 96 MiB of content …")
        self._keten.up()
        self._apply(datetime.now(UTC) + timedelta(hours=1))
        content = self._keten.folder / "register.bin"
        content.write_bytes((MARK * (CONTENT_BYTES // len(MARK) + 1))[:CONTENT_BYTES])
        self._object = self._keten.run("put", "voters", str(content))["objects"][0]["object"]
        client = self._keten.ids["client"]["drukwerk-batch"]
        system = SupplierSystem(self._keten.ready["gateway"], self._keten.paths.ca, client, self._key.private)
        system.sign_in()
        ends = datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS)
        self._apply(ends)
        self._ends = ends.replace(microsecond=0).timestamp()
        return system

    def _apply(self, ends: datetime) -> None:
        self._keten.apply(_ESTATE.format(key=self._key.line, ends=ends.isoformat(timespec="seconds")))

    # ---- 1 -------------------------------------------------------------------------------------------------------

    def _during(self, system: SupplierSystem) -> None:
        path = f"/v1/objects/{self._object}"
        readers = {
            "full speed": Reader(system, path),
            "2 MiB/s": Reader(system, path, bytes_per_second=SLOW),
            "stalled": Reader(system, path, stall_after=512 * 1024),
        }
        for reader in readers.values():
            reader.start()
            reader.began.wait(30)
        left = self._ends - time.time()
        self._say(f"Three downloads run; the contract ends in {left:.1f} s …")
        time.sleep(max(0.0, left) + 1.5)
        readers["stalled"].resume.set()
        for name, reader in readers.items():
            reader.join(30)
            self._judge(name, reader)

    def _judge(self, name: str, reader: Reader) -> None:
        after = reader.received_after(self._ends)
        late = (reader.ended_at() - self._ends) * 1000
        held = not reader.failure
        seen = f"{'the reset' if reader.reset_at else 'last byte'} {late:.1f} ms after the end, {after} bytes after it"
        if name == "stalled":
            # What lay in its own receive buffer cannot be called back; nothing more may come.
            promised = "nothing more than lies in the reader's own buffer"
            held = held and after <= MAX_AFTER_END
            seen = f"{after} bytes once it read on, then the reset"
        elif name == "full speed":
            # At this speed, what is in the network and in the reader's own kernel has no bound of ours.
            promised = "cut within a second; what was in the network and the reader's own kernel may still come"
            held = held and late < 1000
        else:
            promised = f"cut within a second, at most {MAX_AFTER_END // 1024} KiB after the end"
            held = held and after <= MAX_AFTER_END and late < 1000
        self.board.add(
            f"download at {name} when the contract ends" if name != "stalled" else "a stalled download",
            promised,
            seen,
            held=held,
            milliseconds=round(late, 1),
            bytes_after=after,
            bytes_before=reader.received - after,
        )

    # ---- 2 -------------------------------------------------------------------------------------------------------

    def _again(self, system: SupplierSystem) -> None:
        fetched = system.get(f"/v1/objects/{self._object}")
        self.board.add(
            "the same download again", "404, as if it were not there", f"{fetched.status}", held=fetched.status == 404
        )
        signed = system.sign_in()
        self.board.add("signing in again", "no token", f"{signed.status}", held=signed.status in (400, 401))

    # ---- 3 -------------------------------------------------------------------------------------------------------

    def _impostor(self, system: SupplierSystem) -> None:
        self._say("A gateway in the attacker's hands …")
        before = self._size()
        with Impostor(self._keten.paths.gateway_socket) as impostor:
            tries = impostor.tries(self._object, system)
        got = [name for name, outcome in tries.items() if outcome == "opened"]
        self.board.add(
            "a gateway opens what no caller opened",
            "no key: forged, replayed and foreign proofs, operators' verbs",
            ", ".join(f"{name}: {outcome}" for name, outcome in tries.items()),
            held=not got,
        )
        opened = [entry for entry in self._entries("exchange.object.opened") if entry["index"] >= before]
        self.board.add(
            "a gateway makes an entry for a caller",
            "no entry without that caller's proof",
            f"{len(opened)} entries of an access",
            held=not opened,
        )
        stored = [path for path in self._keten.paths.store.rglob("*") if path.is_file()]
        clear = sum(path.read_bytes().count(MARK) for path in stored)
        self.board.add(
            "reading the store",
            "ciphertext only",
            f"{len(stored)} blobs, the known sentence found {clear} times",
            held=clear == 0 and bool(stored),
        )

    # ---- 4 -------------------------------------------------------------------------------------------------------

    def _change_row(self, system: SupplierSystem) -> None:
        self._say("Somebody prolongs the contract in the database …")
        name = "vwo-1"
        engine = writing_engine(self._keten.place)
        with engine.begin() as database:
            found = text("SELECT body FROM contracts WHERE name = :name")
            body = database.execute(found, {"name": name}).scalar_one()
            later = re.sub(rb'"ends_us":\d+', b'"ends_us":4102444800000000', body)
            changing = text("UPDATE contracts SET body = :body WHERE name = :name")
            database.execute(changing, {"body": later, "name": name})
        engine.dispose()
        changed = later != body
        os.kill(self._keten.pid("keeper"), signal.SIGKILL)
        refused = self._sign_in_when_back(system)
        reasons = {reason for entry in self._entries("identity.client.refused") for reason in entry.get("reasons", [])}
        self.board.add(
            "a contract made longer in the database",
            "refused, with its own reason in the ledger",
            f"sign-in {refused}; reasons recorded: {', '.join(sorted(reasons))}",
            held=changed and refused in (400, 401) and "register-mismatch" in reasons,
        )
        verified = self._keten.command("ledger", "verify")
        self.board.add(
            "verifying afterwards",
            "'keten ledger verify' names the row",
            _first(verified.stdout + verified.stderr, "contracts"),
            held=verified.returncode == 1 and "contracts" in verified.stdout + verified.stderr,
        )

    def _sign_in_when_back(self, system: SupplierSystem) -> int:
        for _attempt in range(100):
            try:
                status = system.sign_in().status
            except OSError:
                status = 503
            if status != 503:
                return status
            time.sleep(0.2)
        return 503

    # ---- 5 -------------------------------------------------------------------------------------------------------

    def _ledger(self) -> None:
        self._say("What the ledger says …")
        delivered = self._entries("exchange.object.delivered")
        ends = [entry for entry in delivered if entry["details"]["end"] in ("ended", "cut")]
        self.board.add(
            "the ledger on what was cut",
            "each cut download with what was really delivered",
            "; ".join(self._cut(entry) for entry in ends) or "nothing",
            held=len(ends) >= 2,  # the slow and the stalled one; the fast one may be between two
        )
        copy = self._keten.folder / "for-the-auditor"
        self._keten.command("ledger", "export", str(copy))
        if not VERIFIER.exists():
            self.board.add("the auditor's tool", "says yes", "keten-verify.py is not beside this program", held=False)
            return
        audited = subprocess.run(
            [sys.executable, "-I", str(VERIFIER), str(copy)], capture_output=True, text=True, check=False
        )
        said = (audited.stdout + audited.stderr).strip().splitlines()
        self.board.add(
            "the auditor's tool, on a bare Python",
            "the tree of entries holds",
            said[-1] if said else f"exit {audited.returncode}",
            held=audited.returncode == 0,
        )

    def _cut(self, entry: dict[str, Any]) -> str:
        late = (datetime.fromisoformat(entry["time"]).timestamp() - self._ends) * 1000
        return f"{entry['details']['end']} with {entry['bytes']} bytes, recorded {late:.1f} ms after the end"

    def _entries(self, kind: str) -> list[dict[str, Any]]:
        done = self._keten.command("ledger", "show", "--json", "--kind", kind)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _size(self) -> int:
        with self._keten.keeper() as keeper:
            return keeper.call("keeper.status", Nothing(), Status).size


def _first(text: str, word: str) -> str:
    return next((line.strip() for line in text.splitlines() if word in line), text.strip()[:200])
