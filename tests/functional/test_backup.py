"""A disk dies on a Sunday: a backup taken under load, restored on an empty home, and what everybody sees of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from keten.core.crypto import derive
from keten.core.db import reading_engine
from keten.core.settings import Paths, load_settings
from keten.core.storage import LocalStore
from keten.drills.supplier import SupplierSystem
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ledger_signer
from keten.ledger.merkle import leaf_hash
from keten.ledger.notes import checkpoint_text
from keten.ledger.prooffile import ProofFile
from keten.vault import service as vault
from keten.vault.frames import FRAME_SIZE, FrameReader
from keten.vault.keys import Keys
from tests.architecture.checkout import ROOT
from tests.town import CARRIER, PRINTER, Town

BUDGET = (
    "  - {id: metered, dataset: voters, contract: vwo-1, purpose: election-cards, form: file,"
    " budget: {records: 30000, per: month}}\n"
)


class Story:
    """A town, its supplier's command, and what was seen before its disk died."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.town = Town(folder)
        self.identity = pyrage.x25519.Identity.generate()
        (folder / "identity.txt").write_text(f"# made for a test\n{self.identity}\n")
        self.recipient = str(self.identity.to_public())
        self.acknowledged: dict[int, str] = {}
        self.backups: list[dict[str, Any]] = []

    def supplier(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the printing house."""
        return self.town.keten.command(*words, "--json", home=False)

    def backup(self, expect: int = 0) -> dict[str, Any]:
        """Take one."""
        words = ("backup", str(self.folder / "bk"), "--to", self.recipient)
        made: dict[str, Any] = self.town.keten.run(*words, expect=expect)
        self.backups.append(made)
        return made

    def restore(self, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Restore the newest backup."""
        words = ["restore", self.backups[-1]["folder"], "--identity", str(self.folder / "identity.txt"), *options]
        line = [sys.executable, "-m", "keten", *words, "--home", str(home), "--json"]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    def entries(self) -> list[dict[str, Any]]:
        """The whole ledger."""
        shown = self.town.keten.command("ledger", "show", "--json")
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line) for line in shown.stdout.splitlines()]


def load(story: Story, stop: threading.Event, system: SupplierSystem, name: str) -> None:
    """Downloads until told to stop; what was acknowledged is remembered."""
    while not stop.is_set():
        for share in system.shares():
            for found in share["objects"]:
                answer = system.get(f"/v1/objects/{found['id']}", {"Range": "bytes=0-999"})
                if answer.status in (200, 206):
                    story.acknowledged[len(story.acknowledged)] = answer.headers["keten-entry"]
        assert name


def verify_py(export: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The auditor's program on an export."""
    line = [sys.executable, str(ROOT / "keten-verify.py"), str(export), "--json", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:  # noqa: PLR0915  # one story, in its order
    """Up to the moment at which the instance was restored and started, and nobody has looked yet."""
    made = Story(tmp_path_factory.mktemp("story"))
    town = made.town
    with town.keten:
        town.start()
        town.apply(extra=BUDGET)
        gateway = town.keten.ready["gateway"]
        made.supplier(
            *("login", gateway, "--client", town.keten.ids["client"][PRINTER]),
            *("--key", str(town.printer_key.path), "--ca", str(town.keten.paths.ca)),
        )
        listed = json.loads(made.supplier("ls").stdout)
        path = next(one["path"] for one in listed if one["path"].endswith("/voters.csv"))
        got = made.supplier("get", path, "-o", str(made.folder / "before.csv"))
        assert got.returncode == 0, got.stderr
        (made.folder / "streets.csv").write_text("street\nMarkt\n")
        town.keten.run("put", "voters", str(made.folder / "streets.csv"))
        made.backup()
        printer, carrier = town.printer(), town.carrier()
        stop = threading.Event()
        loads = [threading.Thread(target=load, args=(made, stop, one, "x")) for one in (printer, carrier)]
        for one in loads:
            one.start()
        (made.folder / "more.csv").write_text("a,b\n1,2\n")
        put = threading.Thread(target=lambda: town.keten.run("put", "voters", str(made.folder / "more.csv")))
        put.start()
        under_load = made.backup()
        put.join()
        stop.set()
        for one in loads:
            one.join()
        assert under_load["ok"]
        assert under_load["kept"] >= 2
        # After the backup: an end, a file that is destroyed, an own entry, and a proof that was used.
        town.keten.run("revoke", "client", CARRIER, "--reason", "laptop stolen")
        (made.folder / "later").mkdir()
        later = made.folder / "later" / "voters.csv"
        later.write_text("bsn,name\n1,Nieuw\n")
        town.keten.run("put", "voters", str(later), "--replace")
        got = made.supplier("get", path, "-o", str(made.folder / "after.csv"))
        assert got.returncode == 0, got.stderr
        made.used = printer.assertion(exp=int(time.time()) + 290)  # type: ignore[attr-defined]
        assert printer.sign_in(made.used).status == 200  # type: ignore[attr-defined]
        made.token = printer.token  # type: ignore[attr-defined]
        made.old = made.entries()  # type: ignore[attr-defined]
        made.old_key = (town.keten.paths.ledger / "key.pub").read_text().strip()  # type: ignore[attr-defined]
        made.old_head = made.folder / "old-checkpoint"  # type: ignore[attr-defined]
        shutil.copy(town.keten.paths.ledger / "checkpoint", made.old_head)  # type: ignore[attr-defined]
        lines = Path(under_load["folder"], "ended.jsonl")
        deadline = time.monotonic() + 60
        while lines.read_bytes().count(b"\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        port = gateway.rpartition(":")[2]
        town.keten.down()
        shutil.move(town.keten.home, made.folder / "dead")
        restored = made.restore(town.keten.home)
        assert restored.returncode == 0, restored.stderr
        made.restored = json.loads(restored.stdout)  # type: ignore[attr-defined]
        town.keten.up("--gateway", f"127.0.0.1:{port}")
        yield made


def test_the_whole_story(story: Story) -> None:
    keten = story.town.keten
    said: dict[str, Any] = vars(story)
    restored = said["restored"]
    size = story.backups[-1]["size"]
    # Nobody is served before an operator has looked; what ended can be ended, and what is there can be read.
    printer = story.town.system(PRINTER, story.town.printer_key)
    assert printer.sign_in().status == 503
    doctor = keten.command("doctor", "--json")
    assert "restore-unconfirmed" in doctor.stdout
    assert doctor.returncode == 1
    refused = story.supplier("get", "/anything", "-o", str(story.folder / "x.csv"))
    assert refused.returncode == 1
    assert "--accept-successor" in refused.stderr
    missing = [one["id"] for one in said["old"][size:] if one["kind"] == "exchange.object.opened"]
    assert missing[-1] in refused.stderr or len(missing) > 1
    asked = keten.command("restore", "--confirm")  # not on a terminal: it shows what will be live, and does nothing
    assert (asked.returncode, "say --yes" in asked.stderr, PRINTER in asked.stderr) == (2, True, True), asked.stderr
    confirmed = keten.run("restore", "--confirm", "--yes")
    assert confirmed["confirmed"]
    assert CARRIER not in confirmed["live"]["client"]
    assert PRINTER in confirmed["live"]["client"]
    assert keten.run("restore", "--confirm", "--yes")["confirmed"] is False

    # No entry of before the backup's head is lost, and none of those acknowledged to a caller.
    now = story.entries()
    assert [one["id"] for one in now[:size]] == [one["id"] for one in said["old"][:size]]
    before = {one["id"] for one in said["old"][:size]}
    assert story.acknowledged
    for entry in story.acknowledged.values():
        index = next(one["index"] for one in said["old"] if one["id"] == entry)
        assert (entry in before) == (index < size)
    kinds = [one["kind"] for one in now]
    assert kinds[size] == "ledger.log.continued"
    assert "keeper.restore.confirmed" in kinds
    ends = {one["details"]["opening"]: one["details"] for one in now if one["kind"] == "exchange.object.delivered"}
    for one in now[:size]:
        if one["kind"] == "exchange.object.opened":
            assert one["id"] in ends, "every access has an end, if only with bounds"
    assert keten.command("ledger", "verify").returncode == 0
    assert keten.run("ledger", "prove", now[size - 1]["id"])["index"] == size - 1

    # Nothing revoked is revived; a proof that was used is not used again; tokens of before are void.
    carrier = story.town.system(CARRIER, story.town.carrier_key)
    assert carrier.sign_in().status != 200
    assert printer.sign_in(said["used"]).status != 200
    printer.token = said["token"]
    assert printer.get("/v1/shares").status == 401
    assert printer.sign_in().status == 200
    assert [one for one in restored["ended"] if one.startswith("client")] != []
    # The file that was replaced after the backup stays destroyed; the one after it came too late.
    assert restored["destroyed"] != []
    names = {found["name"] for share in printer.shares() for found in share["objects"]}
    assert "voters.csv" not in names


def test_every_file_of_the_backup_is_there_and_equal(story: Story) -> None:
    """The carrier may not fetch any more; what it had is still the organisation's, whole."""
    keten = story.town.keten
    keten.run("restore", "--confirm", "--yes")
    verified = keten.run("ledger", "verify")
    assert verified["ok"]

    class Framing(msgspec.Struct, frozen=True):
        size: int
        frame_size: int
        header: bytes

    paths: Paths = keten.paths
    keys = Keys(derive(load_root_key(load_settings(paths.home, {}), None).key, "wrapping"))
    engine = reading_engine(paths.database)
    contents = {}
    with engine.connect() as connection:
        for found in vault.present_objects(connection):
            blob = LocalStore(paths.store).open(found.storage)
            framing = Framing(found.size, FRAME_SIZE, vault.header_of(found))
            reader = FrameReader(blob, vault.content_key(connection, keys, found), framing)
            contents[found.name] = b"".join(reader.read())
            blob.close()
    engine.dispose()
    assert contents.pop("care.bin") == story.town.care.read_bytes()
    for name, content in contents.items():
        assert content == (story.folder / name).read_bytes()


def test_the_auditor_follows_the_chain_across(story: Story) -> None:
    keten = story.town.keten
    said: dict[str, Any] = vars(story)
    keten.run("ledger", "export", str(story.folder / "new-export"))
    code, report = verify_py(story.folder / "new-export", "--key", said["old_key"])
    assert (code, report["holds"]) == (0, True), report
    assert any("goes on from" in remark for remark in report["remarks"])
    # A checkpoint of after the backup shows, by the old key, how much was lost.
    code, report = verify_py(story.folder / "new-export", "--checkpoint", str(said["old_head"]))
    assert code == 1
    assert [fault["what"] for fault in report["faults"]] == ["entries-lost"]
    # And a stranger's list of predecessors is not believed.
    listed = story.folder / "new-export" / "predecessors"
    original = listed.read_text()
    one = json.loads(original)
    listed.write_text(json.dumps(one | {"link": one["note"]}) + "\n")
    code, report = verify_py(story.folder / "new-export")
    assert code == 1
    assert "succession-wrong" in [fault["what"] for fault in report["faults"]]
    listed.write_text(original)


def test_a_supplier_goes_on_knowingly_and_brings_back_what_was_lost(story: Story) -> None:
    keten = story.town.keten
    keten.run("restore", "--confirm", "--yes")
    listed = story.supplier("ls")
    assert listed.returncode == 0, listed.stderr
    name = next(one["path"] for one in json.loads(listed.stdout) if one["path"].endswith("/streets.csv"))
    refused = story.supplier("get", name, "-o", str(story.folder / "y.csv"))
    assert refused.returncode == 1
    got = story.supplier("get", name, "-o", str(story.folder / "y.csv"), "--accept-successor")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["ledger"]["origin"] == vars(story)["restored"]["origin"]
    again = story.supplier("get", name, "-o", str(story.folder / "z.csv"))
    assert again.returncode == 0, again.stderr
    proofs = sorted(str(path) for path in (story.folder / "config").rglob("*.tlog-proof"))
    origin = vars(story)["restored"]["before"]
    old = [path for path in proofs if f"\n{origin}\n" in Path(path).read_text()]
    recovered = keten.run("ledger", "recover", *old)
    assert any(one["lost"] and one["entry"] for one in recovered)
    assert all(one["wrong"] is None for one in recovered)
    assert all(one["entry"] is None for one in keten.run("ledger", "recover", *old))
    damaged = story.folder / "damaged.tlog-proof"
    damaged.write_text(Path(old[-1]).read_text().replace("index ", "index 1", 1))
    assert keten.run("ledger", "recover", str(damaged), expect=1)[0]["wrong"]

    # Whoever has the machine has the old key as well: what contradicts the backup is no entry that was not lost.
    signer = ledger_signer(load_root_key(load_settings(keten.paths.home, {}), None), origin)
    leaf = json.dumps({"id": "a" * 26, "v": 1, "commitment": "forged"}).encode()
    forged = story.folder / "forged.tlog-proof"
    forged.write_text(ProofFile(0, (), signer.sign(checkpoint_text(origin, 1, leaf_hash(leaf))), leaf).encode())
    done = keten.command("ledger", "recover", str(forged), "--json", folder=story.folder)
    assert done.returncode == 4, done.stderr
    (found,) = json.loads(done.stdout)
    assert "fork" in found["wrong"]
    judged = keten.run("ledger", "evidence", found["evidence"], "--key", vars(story)["old_key"], home=False)
    assert judged["fork"]


def test_budgets_of_running_windows_are_spent(story: Story) -> None:
    spent = [one for one in story.entries() if one["kind"] == "budgets.window.spent"]
    assert vars(story)["restored"]["spent"] == len(spent) > 0
    assert all(one["details"]["charged"] > 0 for one in spent)


def test_restoring_twice_makes_two_logs_that_cannot_be_taken_for_one(story: Story, tmp_path: Path) -> None:
    other = story.restore(tmp_path / "twice")
    assert other.returncode == 0, other.stderr
    said = json.loads(other.stdout)
    first = vars(story)["restored"]
    assert said["origin"] != first["origin"]
    assert said["key"] != first["key"]
    assert said["before"] == first["before"]
