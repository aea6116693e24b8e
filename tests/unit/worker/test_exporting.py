"""How a destination is kept up with: everything once, in order, or twice; findings first; nothing left out unsaid."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from keten.core.destinations import Destination
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.core.files import Files
from keten.core.settings import Export, Settings
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import MOST_FOLLOWED, Follow, Followed, Following
from keten.ledger.model import Payload
from keten.watch.export.drivers.driver import Driver, Record
from keten.watch.export.outbox import REPLAY, Outbox, ask_replay
from keten.watch.export.state import STATE, State, load_state
from keten.worker.exporting import Board, Exporting

TIME_US = 1_790_000_000_000_000


class Ledger:
    """A keeper that answers `ledger.follow` from a list. `damaged`: indexes that cannot be read."""

    def __init__(self) -> None:
        self.entries: list[Followed] = []
        self.damaged: set[int] = set()
        self.away = False

    def add(self, count: int, kind: str = "exchange.object.opened") -> None:
        for _time in range(count):
            index = len(self.entries)
            payload = Payload("", kind, "c" * 26, (), {"dataset": "d" * 26}, {"outcome": "allow", "severity": "high"})
            text = msgspec.json.encode(payload)
            self.entries.append(Followed(index, f"uid{index:023}", TIME_US + index, kind, text=text))

    def call(self, verb: str, body: Follow, answer: type[Following]) -> Following:
        assert (verb, answer) == ("ledger.follow", Following)
        if self.away:
            raise Unavailable("keeper-gone", "The keeper went away.")
        found = self.entries[body.after : body.after + (body.limit or MOST_FOLLOWED)]
        for entry in found:
            if entry.index in self.damaged:
                raise Corrupt("entry-damaged", f"Entry {entry.index} does not hold.")
        return Following(len(self.entries), tuple(found), {"d" * 26: "voters"})

    @property
    def client(self) -> KeeperClient:
        return cast("KeeperClient", self)


class Receiver:
    """What a destination holds, and how it behaves; it makes a driver for each connection."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False
        self.loses = False  # takes what is sent and forgets it, until it breaks
        self.poison: set[str] = set()
        self.broken = False
        self.odd: Exception | None = None

    @property
    def uids(self) -> list[str]:
        return [record.uid for record in self.records]

    def make(self, _destination: Destination, _home: Path) -> Driver:
        if self.down:
            raise Unavailable("export-unreachable", "down")
        return _Driver(self)


class _Driver:
    most = 300

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._upto = -1

    def send(self, records: Sequence[Record], upto: int) -> None:
        receiver = self._receiver
        if receiver.down:
            raise Unavailable("export-unreachable", "down")
        if receiver.odd is not None:
            raise receiver.odd
        assert len(records) <= self.most
        for record in records:
            if record.uid in receiver.poison or receiver.broken:
                raise Invalid("rejected", "not this one", "400")
            if not receiver.loses:
                receiver.records.append(record)
        assert upto >= self._upto
        self._upto = upto

    def settled(self) -> int:
        if self._receiver.down:
            raise Unavailable("export-unreachable", "down")
        return -1 if self._receiver.loses else self._upto

    @property
    def proven(self) -> bool:
        return self._upto >= 0 and not self._receiver.loses

    def close(self) -> None:
        pass


class Rig:
    """An exporting duty with its receiver and its ledger."""

    def __init__(self, home: Path, board: Board | None = None, **more: Any) -> None:
        self.home = home
        self.ledger = Ledger()
        self.receiver = Receiver()
        self.at = 0.0
        self.board = board or Board()
        basic = {"name": "soc", "kind": "file", "url": "x", **more}
        self.destination = msgspec.convert(basic, Destination)
        self.settings = Settings(home=str(home), export=Export("1s", (self.destination,)))
        self.restart()

    def restart(self) -> None:
        """As after a kill: only what is on the disk is known."""
        folder = self.settings.paths.outbox
        outbox = Outbox(self.destination, self.home, folder, make=self.receiver.make, monotonic=lambda: self.at)
        self.duty = Exporting(self.destination, self.settings, self.board, outbox)

    def run(self, times: int = 1) -> float:
        pause = 0.0
        for _time in range(times):
            self.at += 10.0
            pause = self.duty.run(self.ledger.client)
        return pause

    @property
    def stored(self) -> State:
        return load_state(self.settings.paths.outbox / self.destination.name / STATE)

    def all_ids(self) -> list[str]:
        return [entry.id for entry in self.ledger.entries]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_everything_in_order_and_remembered(rig: Rig) -> None:
    rig.ledger.add(2500)
    rig.run(4)
    assert rig.receiver.uids == rig.all_ids()
    assert (rig.stored.cursor, rig.stored.anchor, rig.stored.sent) == (2500, rig.all_ids()[-1], 2500)
    rig.restart()
    rig.run(2)
    assert len(rig.receiver.uids) == 2500  # nothing comes again
    rig.ledger.add(1)
    rig.run()
    assert rig.receiver.uids == rig.all_ids()


def test_what_did_not_settle_comes_again(rig: Rig) -> None:
    rig.ledger.add(100)
    rig.run()
    rig.receiver.loses = True
    rig.ledger.add(50)
    rig.run(2)
    assert (rig.stored.cursor, rig.stored.sent) == (100, 150)
    rig.receiver.down, rig.receiver.loses = True, False
    assert rig.run() >= 1.0
    assert rig.stored.failing_since_us > 0
    assert rig.stored.error
    rig.receiver.down = False
    rig.run()
    assert rig.receiver.uids == rig.all_ids()
    assert (rig.stored.failing_since_us, rig.stored.error) == (0, "")


def test_pauses_grow_and_begin_anew(rig: Rig) -> None:
    rig.ledger.add(1)
    rig.receiver.down = True
    assert [rig.run() for _time in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    rig.receiver.down = False
    assert rig.run() == 0.0
    rig.receiver.down = True
    rig.ledger.add(1)
    assert rig.run() == 1.0


def test_a_mistake_of_ours_is_no_end_of_the_worker(rig: Rig) -> None:
    rig.ledger.add(1)
    rig.receiver.odd = ZeroDivisionError("oops")
    assert rig.run() == 1.0
    assert "oops" in rig.stored.error
    rig.receiver.odd = None
    rig.run()
    assert rig.receiver.uids == rig.all_ids()


def test_a_keeper_that_is_away_is_the_workers_to_say(rig: Rig) -> None:
    rig.ledger.add(1)
    rig.run()
    rig.ledger.away = True
    with pytest.raises(Unavailable, match="keeper"):
        rig.run()
    assert rig.stored.failing_since_us == 0


@pytest.mark.parametrize("seed", range(6))
def test_killed_and_cut_at_random_nothing_is_lost(seed: int, tmp_path: Path) -> None:
    """Receiver down, keeper away, worker killed, state unwritable: in any order, every event arrives."""
    drawn = random.Random(seed)
    rig = Rig(tmp_path)
    for _time in range(60):
        rig.ledger.add(drawn.choice([0, 1, 5, 700]), drawn.choice(["exchange.object.opened", "watch.alert.raised"]))
        rig.receiver.down = drawn.random() < 0.3
        rig.receiver.loses = drawn.random() < 0.2
        rig.ledger.away = drawn.random() < 0.1
        try:
            rig.run(drawn.randrange(3))
        except Unavailable:
            assert rig.ledger.away
        if rig.receiver.loses and rig.receiver.down is False:  # it dies with what it forgot
            rig.receiver.down, rig.ledger.away = True, False
            rig.run()
        if drawn.random() < 0.3:
            rig.restart()
    rig.receiver.down = rig.receiver.loses = rig.ledger.away = False
    rig.run(len(rig.ledger.entries) // MOST_FOLLOWED + 4)
    assert set(rig.receiver.uids) == set(rig.all_ids())
    assert rig.stored.cursor == len(rig.ledger.entries)


def test_classes_are_heeded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, classes=["sign-ins", "findings"])
    for kind in ("exchange.object.opened", "identity.client.signed_in", "watch.alert.raised", "keeper.process.started"):
        rig.ledger.add(2, kind)
    rig.run(2)
    assert Counter(record.sort for record in rig.receiver.records) == {"sign-ins": 2, "findings": 2}
    assert rig.stored.cursor == 8


def test_a_new_destination_begins_where_it_should(tmp_path: Path) -> None:
    for name, more, wanted in (
        ("a", {}, 15),
        ("b", {"since": "now"}, 5),
        ("c", {"kind": "mail", "url": "smtp://x", "sender": "a@x", "to": ["b@x"]}, 5),
    ):
        rig = Rig(tmp_path / name, name=name, **more)
        rig.ledger.add(10, "watch.alert.raised")
        rig.run()
        rig.ledger.add(5, "watch.alert.raised")
        rig.run()
        assert len(rig.receiver.uids) == wanted


def test_findings_overtake_what_has_piled_up(rig: Rig) -> None:
    rig.ledger.add(5 * MOST_FOLLOWED)
    rig.ledger.add(3, "watch.alert.raised")
    rig.run()
    assert [record.sort for record in rig.receiver.records[:3]] == ["findings"] * 3
    rig.run(6)
    assert set(rig.receiver.uids) == set(rig.all_ids())
    again = Counter(rig.receiver.uids)
    assert {uid for uid, count in again.items() if count > 1} == set(rig.all_ids()[-3:])  # in their turn, too
    rest = [uid for uid in rig.receiver.uids[3:] if uid in set(rig.all_ids())]
    assert rest == rig.all_ids()


def test_too_much_is_left_out_by_class_and_announced(tmp_path: Path) -> None:
    rig = Rig(tmp_path, backlog=1500)
    rig.receiver.down = True
    rig.ledger.add(1000)
    rig.ledger.add(4, "watch.alert.raised")
    rig.ledger.add(1000, "identity.client.signed_in")
    rig.ledger.add(500)
    rig.run()
    rig.receiver.down = False
    rig.run(6)
    said = [record for record in rig.receiver.records if record.kind == "watch.export.noticed"]
    assert len(said) == 1
    facts = said[0].event["unmapped"]["facts"]
    assert (facts["from"], facts["to"]) == (0, 1999)
    assert facts["left_out"] == {"access": 1000}
    assert rig.stored.left_out == 1000
    missing = set(rig.all_ids()) - set(rig.receiver.uids)
    assert missing == set(rig.all_ids()[:1000])
    assert rig.stored.cursor == len(rig.ledger.entries)
    ask_replay(rig.settings.paths.outbox, "soc", 0)
    rig = _again(rig, backlog=0)
    rig.run(4)
    assert set(rig.receiver.uids) >= missing


def _again(rig: Rig, **more: Any) -> Rig:
    """The same instance with other settings."""
    made = Rig(rig.home, **more)
    made.ledger, made.receiver = rig.ledger, rig.receiver
    made.restart()
    return made


def test_findings_are_never_left_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path, backlog=10)
    for _time in range(40):
        rig.ledger.add(90)
        rig.ledger.add(1, "watch.alert.raised")
        rig.ledger.add(9, "suppliers.grant.changed")
    rig.run(8)
    findings = {entry.id for entry in rig.ledger.entries if entry.kind == "watch.alert.raised"}
    assert findings <= set(rig.receiver.uids)
    told = [record.event["unmapped"]["facts"] for record in rig.receiver.records if record.uid.startswith("gap-")]
    assert sum(sum(each["left_out"].values()) for each in told) == rig.stored.left_out
    assert rig.stored.left_out == len(set(rig.all_ids()) - set(rig.receiver.uids))


def test_a_replay_goes_back_and_is_done_once(rig: Rig) -> None:
    rig.ledger.add(30)
    rig.run()
    ask_replay(rig.settings.paths.outbox, "soc", 20)
    rig.run(3)
    assert rig.receiver.uids == rig.all_ids() + rig.all_ids()[20:]
    rig.restart()
    rig.run(2)
    assert len(rig.receiver.uids) == 40


@pytest.mark.parametrize("content", [b"", b"{", b'{"start": "x"}', b"\xff" * 100])
def test_a_request_that_is_damaged_is_dropped(content: bytes, rig: Rig) -> None:
    rig.ledger.add(3)
    rig.run()
    (rig.settings.paths.outbox / "soc" / "replay.json").write_bytes(content)
    rig.run(2)
    assert rig.receiver.uids == rig.all_ids()
    assert not (rig.settings.paths.outbox / "soc" / "replay.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"cursor": "x"}', b"\xff" * 100])
def test_a_state_that_is_damaged_sends_all_again(content: bytes, rig: Rig) -> None:
    rig.ledger.add(3)
    rig.run()
    (rig.settings.paths.outbox / "soc" / STATE).write_bytes(content)
    rig.restart()
    rig.run(2)
    assert rig.receiver.uids == rig.all_ids() * 2


def test_an_entry_that_cannot_be_read_is_a_finding_and_holds_up_nothing(rig: Rig) -> None:
    rig.ledger.add(20)
    rig.ledger.damaged = {0, 7, 8, 19}
    rig.run(40)
    readable = [entry.id for entry in rig.ledger.entries if entry.index not in rig.ledger.damaged]
    assert [uid for uid in rig.receiver.uids if uid in readable] == readable
    said = [record for record in rig.receiver.records if record.kind == "watch.export.noticed"]
    assert [record.uid for record in said] == ["damaged-0", "damaged-7", "damaged-8", "damaged-19"]
    assert rig.stored.cursor == 20


def test_an_event_that_is_refused_is_replaced_by_a_notice(rig: Rig) -> None:
    rig.ledger.add(10)
    rig.receiver.poison = {rig.all_ids()[4]}
    rig.run(2)
    arrived = rig.receiver.uids
    assert set(rig.all_ids()) - set(arrived) == rig.receiver.poison
    assert f"refused-{rig.all_ids()[4]}" in arrived
    assert (rig.stored.cursor, rig.stored.left_out) == (10, 1)


def test_a_receiver_that_refuses_everything_is_at_fault_itself(rig: Rig) -> None:
    rig.ledger.add(10)
    rig.receiver.broken = True
    assert rig.run() >= 1.0
    assert (rig.stored.cursor, rig.stored.left_out) == (0, 0)
    rig.receiver.broken = False
    rig.run()
    assert set(rig.receiver.uids) == set(rig.all_ids())


def test_a_restored_ledger_goes_on_where_it_begins(rig: Rig) -> None:
    rig.ledger.add(30)
    rig.run()
    del rig.ledger.entries[20:]
    rig.ledger.add(1, "ledger.log.continued")
    rig.ledger.entries[20] = msgspec.structs.replace(rig.ledger.entries[20], id="continued" + "a" * 17)
    rig.run(3)  # shorter than what was sent
    assert rig.receiver.uids[30:] == ["continued" + "a" * 17]
    rig.ledger.add(20)
    for index in range(21, 41):
        rig.ledger.entries[index] = msgspec.structs.replace(rig.ledger.entries[index], id=f"new{index:023}")
    rig.run(2)
    assert set(rig.receiver.uids) >= set(rig.all_ids())
    rig.ledger.entries[40] = msgspec.structs.replace(rig.ledger.entries[40], id="z" * 26)
    rig.restart()  # another ledger of the same length
    rig.run(3)
    assert rig.receiver.uids[-1] == "z" * 26


def test_a_destination_that_fails_is_told_to_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    dead = Rig(tmp_path / "a", board, name="dead")
    well = Rig(tmp_path / "b", board, name="well")
    dead.receiver.down = True
    dead.ledger.add(3)
    well.ledger.add(3)
    dead.run()
    well.run()
    assert len(well.receiver.uids) == 3
    monkeypatch.setattr(dead.duty, "_alarm_us", -1)
    dead.run(3)
    well.run(2)
    (said,) = well.receiver.records[3:]
    assert said.uid.startswith("failing-dead-")
    assert said.sort == "findings"
    assert dead.receiver.uids == []
    dead.receiver.down = False
    dead.run(2)
    assert dead.receiver.uids == dead.all_ids()  # it is not told of itself


def test_a_disk_that_is_full_keeps_nothing_from_being_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Full(Files):
        def write(self, path: Path, content: bytes, mode: int = 0o644) -> None:
            del content, mode
            raise Unavailable("disk-full", "The disk is full.", str(path))

    rig = Rig(tmp_path)
    folder = rig.settings.paths.outbox
    outbox = Outbox(rig.destination, tmp_path, folder, make=rig.receiver.make, files=Full(), monotonic=lambda: rig.at)
    rig.duty = Exporting(rig.destination, rig.settings, rig.board, outbox)
    rig.ledger.add(20)
    rig.run(3)
    rig.ledger.add(20)
    rig.run(3)
    assert rig.receiver.uids == rig.all_ids()
    assert caplog.text.count("disk-full") == 1
    rig.restart()
    rig.run(3)
    assert rig.receiver.uids == rig.all_ids() * 2  # its place was not kept


# ---- a file that somebody changed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept",
    [
        {"cursor": 10**9, "anchor": ""},
        {"cursor": 10**9, "anchor": "uid" + "0" * 23},
        {"cursor": 20, "anchor": ""},
        {"cursor": 20, "anchor": "x" * 26},
        {"cursor": 2**62, "sent": 2**62},
        {"cursor": 10**30, "sent": 10**30},
        {"cursor": -7},
        {"cursor": 0, "delivered": -5, "failing_since_us": -1},
    ],
)
def test_a_cursor_that_was_changed_leaves_nothing_out(rig: Rig, kept: dict[str, Any]) -> None:
    rig.ledger.add(30)
    rig.run(3)
    path = rig.settings.paths.outbox / rig.destination.name / STATE
    path.write_bytes(json.dumps(kept).encode())
    rig.restart()
    rig.receiver.records.clear()
    rig.run(4)
    assert rig.receiver.uids == rig.all_ids()
    assert rig.stored.cursor == 30


@pytest.mark.parametrize("kept", [b"\xff\xfe", b'{"cursor": 3, "error": "\xff"}', b"[" * 5000, b"", b'{"cursor": "3"}'])
def test_a_state_that_is_no_text(rig: Rig, kept: bytes) -> None:
    rig.ledger.add(5)
    rig.run(2)
    folder = rig.settings.paths.outbox / rig.destination.name
    (folder / STATE).write_bytes(kept)
    rig.restart()
    (folder / REPLAY).write_bytes(kept)
    rig.receiver.records.clear()
    rig.run(3)
    assert rig.receiver.uids == rig.all_ids()
    assert not (folder / REPLAY).exists()


def test_a_replay_from_beyond_the_end_goes_on_with_what_comes(rig: Rig) -> None:
    rig.ledger.add(5)
    rig.run(2)
    ask_replay(rig.settings.paths.outbox, rig.destination.name, 10**9)
    rig.receiver.records.clear()
    rig.run(2)
    rig.ledger.add(2)
    rig.run(2)
    assert rig.receiver.uids == rig.all_ids()[5:]
