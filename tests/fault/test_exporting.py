"""The worker is killed at random moments, and disks are full: every event arrives, at least once."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from keten.drills.neighbours import until
from keten.keeper.follow_protocol import Follow, Following
from keten.watch.export.outbox import Outbox
from keten.worker.exporting import Exporting
from tests.fault.small_disk import small_disk
from tests.receivers import Trust, lines
from tests.town import SETTINGS, Town
from tests.unit.watch.export.rigs import Rig, SplunkRig, SyslogRig, WebhookRig
from tests.unit.worker.test_exporting import Rig as Exporter

KILLS = 6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_worker_that_is_killed_loses_nothing(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    trust = Trust(tmp_path / "trust")
    secret = tmp_path / "secret"
    secret.write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    secret.chmod(0o600)
    (tmp_path / "town").mkdir()
    town = Town(tmp_path / "town")
    path = town.keten.home / "events.jsonl"
    with ExitStack() as stack:
        rigs: dict[str, Rig] = {
            "syslog": stack.enter_context(SyslogRig(tmp_path, trust, secret)),
            "splunk": stack.enter_context(SplunkRig(tmp_path, trust, secret)),
            "hook": stack.enter_context(WebhookRig(tmp_path, trust, secret)),
        }
        tables = '[[export.destinations]]\nname = "file"\nkind = "file"\nurl = "events.jsonl"\n'
        for name, rig in rigs.items():
            keys = {"name": name, "kind": rig.kind, "url": rig.url, "ca": str(trust.ca), **rig.extra}
            tables += "[[export.destinations]]\n" + "".join(f"{key} = {json.dumps(to)}\n" for key, to in keys.items())
        town.keten.configure(SETTINGS + tables)
        stack.enter_context(town.keten)
        town.start()
        stopping = threading.Event()
        busy = threading.Thread(target=_use, args=(town, stopping))
        busy.start()
        try:
            killed: set[int] = set()
            for _time in range(KILLS):
                time.sleep(drawn.uniform(0.3, 2.5))
                assert until(lambda: _pid(town) not in {0, *killed}, 30)
                killed.add(pid := _pid(town))
                os.kill(pid, signal.SIGKILL)
        finally:
            stopping.set()
            busy.join(30)
        with town.keten.keeper() as client:
            wanted: list[str] = []
            while page := client.call("ledger.follow", Follow(len(wanted)), Following).entries:
                wanted += [entry.id for entry in page]
        assert len(wanted) > 50
        for name, rig in rigs.items():
            assert until(lambda rig=rig: set(rig.uids) >= set(wanted), 40), name  # type: ignore[misc]
        assert until(lambda: {event["metadata"]["uid"] for event in lines(path)} >= set(wanted), 40)
        assert len(lines(path)) == path.read_bytes().count(b"\n")  # no line is torn


def _pid(town: Town) -> int:
    """The worker's process id; 0 while there is none."""
    try:
        return town.keten.pid("worker")
    except (OSError, ValueError):
        return 0


def _use(town: Town, stopping: threading.Event) -> None:
    printer = town.printer()
    while not stopping.wait(0.02):
        printer.get("/v1/shares")


# ---- a disk that is really full ----------------------------------------------------------------------------------


class OwnRig(Exporter):
    """With the driver of the product."""

    def restart(self) -> None:
        outbox = Outbox(self.destination, self.home, self.settings.paths.outbox, monotonic=lambda: self.at)
        self.duty = Exporting(self.destination, self.settings, self.board, outbox)


def test_a_full_disk_under_a_file_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 4) as disk:
        rig = OwnRig(tmp_path / "home", url="out/events.jsonl")
        path = tmp_path / "home" / "out" / "events.jsonl"
        rig.ledger.add(3000)  # 3 MB or so
        rig.run(1)
        arrived = len(lines(path))
        assert arrived == 1000
        disk.fill(64 * 1024)
        assert rig.run() >= 1.0
        assert "disk-full" in rig.duty.outbox.state.error
        assert len(lines(path)) == path.read_bytes().count(b"\n") == arrived  # nothing is half there
        disk.free()
        rig.run(4)
        assert [event["metadata"]["uid"] for event in lines(path)] == rig.all_ids()
        assert rig.duty.outbox.state.error == ""
        rig.duty.outbox.close()


def test_a_full_disk_under_the_outbox_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 1) as disk:
        rig = OwnRig(tmp_path / "home", url=str(tmp_path / "events.jsonl"))
        rig.ledger.add(10)
        rig.run(2)
        disk.fill(0)
        rig.ledger.add(1500)
        rig.run(3)
        uids = [event["metadata"]["uid"] for event in lines(tmp_path / "events.jsonl")]
        assert uids == rig.all_ids()
        assert rig.stored.cursor == 10  # so much is known after a restart
        disk.free()
        rig.ledger.add(1)
        rig.run(2)
        assert rig.stored.cursor == len(rig.ledger.entries)
        rig.duty.outbox.close()
