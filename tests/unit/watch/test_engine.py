"""The engine: the same events give the same signals, however often it is stopped, and nothing stops the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import KetenError, Unavailable
from keten.core.keyed import Keyed
from keten.watch.detectors import default
from keten.watch.detectors.detector import DAY_US, HOUR_US, MINUTE_US, SPACES, Detector, signal
from keten.watch.engine import FAULT, Engine
from keten.watch.model import Event, Signal
from keten.watch.states import NAME
from tests.unit.watch.happening import MONDAY_US, codes, event


class Seen(msgspec.Struct, gc=False, array_like=True):
    """How many."""

    many: int = 0


class Counting(Detector[Seen]):
    """Speaks at every third event of a principal."""

    code = "counting"
    whats = frozenset({"lookup"})
    state = Seen

    def step(self, state: Seen, event: Event) -> Sequence[Signal]:
        state.many += 1
        return [signal(self, "low", event, {"many": state.many})] if state.many % 3 == 0 else []


class Throwing(Detector[Seen]):
    """Throws at misses, and counts the rest."""

    code = "throwing"
    whats = frozenset({"lookup"})
    state = Seen

    def step(self, state: Seen, event: Event) -> Sequence[Signal]:
        state.many += 1
        if event.missed:
            raise ZeroDivisionError
        return [signal(self, "low", event, {"many": state.many})]


def busy(seed: int, many: int, principals: int = 12) -> list[Event]:
    """All kinds of events of a few principals over weeks: some usual, much of it not."""
    rng = Random(seed)
    found: list[Event] = []
    time_us = MONDAY_US
    for index in range(many):
        time_us += rng.choice((MINUTE_US // 30, MINUTE_US, HOUR_US, 6 * HOUR_US))
        what = rng.choice(("lookup", "lookup", "lookup", "open", "sign-in", "list", "describe", "delivered"))
        who = rng.randrange(principals)
        allowed = rng.random() < 0.8
        found.append(
            event(
                index,
                time_us,
                what=what,
                allowed=allowed,
                principal=f"{who:026d}",
                supplier=f"s{who % 3}",
                purpose=rng.choice(("benefits", "debt", "housing")),
                records=rng.choice((0, 1, 3, 50, 900)) if allowed else 0,
                asked=rng.choice((1, 4)),
                missed=rng.choice((0, 0, 1)),
                near=rng.choice((0, 1)),
                outside=rng.choice((0, 1)),
                reasons=() if allowed else (rng.choice(("absent", "budget-spent", "proof-invalid")),),
                object=f"o{rng.randrange(40)}" if what == "open" else "",
                country=rng.choice(("NL", "NL", "NL", "BE", "US", "VN", "")),
                network=rng.choice(("a" * 16, "b" * 16, f"{rng.randrange(500):016d}", "")),
                listed=rng.random() < 0.02,
                key=rng.choice(("k1", "k2", "")),
                contract_ends_us=MONDAY_US + 60 * DAY_US,
                used_day=index * 37 % 1000,
                used_long=index * 11 % 1000,
            )
        )
    return found


def run(engine: Engine, events: Sequence[Event]) -> list[Signal]:
    return [one for each in events for one in engine.step(each)]


def test_it_is_not_only_silence_that_is_compared() -> None:
    seen = set(codes(run(Engine(default()), busy(1, 4000))))
    assert {"misses", "several", "country-new", "travel", "budget-spent", "network-listed"} <= seen


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=4), st.sampled_from([2, 5, 50_000]))
def test_stopped_and_started_and_evicted_it_sees_the_same(seed: int, stops: list[int], hot: int) -> None:
    events = busy(seed, 400)
    live = run(Engine(default()), events)
    with TemporaryDirectory() as name:
        folder = Path(name)
        found: list[Signal] = []
        at = 0
        for stop in sorted(stops):
            engine = Engine(default(), folder, hot=hot)
            assert engine.cursor == at
            found += run(engine, events[at:stop])
            engine.save(stop)
            at = stop
            engine.close()
        engine = Engine(default(), folder, hot=hot)
        found += run(engine, events[at:])
        engine.close()
    assert found == live


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 299), st.integers(0, 299)), max_size=20))
def test_what_was_seen_changes_nothing(seed: int, again: list[tuple[int, int]]) -> None:
    events = busy(seed, 300)
    repeated: list[Event] = []
    for place, one in enumerate(events):
        repeated.append(one)
        repeated += [events[old] for after, old in again if after == place and old <= place]
    assert run(Engine(default()), repeated) == run(Engine(default()), events)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_late_and_reordered_events_do_no_harm(seed: int, rng: Any) -> None:
    events = busy(seed, 300)
    mixed = list(events)
    for _ in range(60):
        a, b = rng.randrange(300), rng.randrange(300)
        mixed[a], mixed[b] = mixed[b], mixed[a]
    late = [msgspec.structs.replace(one, time_us=one.time_us - rng.choice((0, 0, DAY_US))) for one in mixed]
    first = run(Engine(default()), late)
    assert first == run(Engine(default()), late)
    assert FAULT not in codes(first)


def test_a_crash_goes_back_to_what_was_saved(tmp_path: Path) -> None:
    events = busy(7, 600)
    live = run(Engine(default(), hot=3), events)
    engine = Engine(default(), tmp_path, hot=3)
    found = run(engine, events[:200])
    engine.save(200)
    run(engine, events[200:400])  # much of it is evicted into the file by now, and nothing of that is kept
    engine.close()
    engine = Engine(default(), tmp_path, hot=3)
    assert engine.cursor == 200
    assert engine.last == events[199].id
    assert found + run(engine, events[200:]) == live
    engine.close()


def test_its_file_is_its_owners_alone(tmp_path: Path) -> None:
    engine = Engine(default(), tmp_path / "new" / "watch")
    engine.save(0)
    engine.close()
    assert (tmp_path / "new" / "watch" / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new" / "watch").stat().st_mode & 0o777 == 0o700


def saved(folder: Path) -> Path:
    engine = Engine(default(), folder)
    run(engine, busy(3, 2000, principals=300))
    engine.save(2000)
    engine.close()
    return folder / NAME


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
def test_a_damaged_file_is_made_anew(part: float, tmp_path: Path) -> None:
    path = saved(tmp_path)
    raw = bytearray(path.read_bytes())
    at = int(part * len(raw))
    raw[at : at + 256] = bytes(byte ^ 0x5A for byte in raw[at : at + 256])
    path.write_bytes(raw)
    engine = Engine(default(), tmp_path)
    assert engine.cursor in (0, 2000)  # a page that holds nothing can't be damaged: then everything is there
    events = busy(3, 3000, principals=300)
    whole = Engine(default())
    run(whole, events[: engine.cursor])
    assert run(engine, events[engine.cursor :]) == run(whole, events[engine.cursor :])
    engine.close()


def test_a_torn_file_is_made_anew(tmp_path: Path) -> None:
    path = saved(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    engine = Engine(default(), tmp_path)
    assert engine.cursor == 0
    engine.close()


def test_a_state_that_somebody_changed_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    connection = sqlite3.connect(path)
    ((key, value),) = connection.execute("SELECT key, value FROM held WHERE space = 0 LIMIT 1").fetchall()
    connection.execute("UPDATE held SET value = ? WHERE space = 0 AND key = ?", (value[:-1] + b"\x01", key))
    connection.commit()
    connection.close()
    engine = Engine(default(), tmp_path)
    assert engine.cursor == 0
    engine.close()


def test_a_file_that_is_none_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"rubbish" * 1000)
    engine = Engine(default(), tmp_path)
    assert engine.cursor == 0
    engine.save(5)
    engine.close()
    engine = Engine(default(), tmp_path)
    assert engine.cursor == 5
    engine.close()


def test_other_detectors_states_are_not_used(tmp_path: Path) -> None:
    saved(tmp_path)
    engine = Engine(default(without=["misses"]), tmp_path)
    assert engine.cursor == 0
    engine.close()


def test_one_that_throws_is_told_of_and_stops_nobody() -> None:
    engine = Engine([Throwing(), Counting()])
    assert codes(engine.step(event(0, MONDAY_US))) == ["throwing"]
    (fault,) = engine.step(event(1, MONDAY_US + 1, missed=1))
    assert (fault.detector, fault.facts, fault.severity) == (
        FAULT,
        {"detector": "throwing", "error": "ZeroDivisionError"},
        "medium",
    )
    found = engine.step(event(2, MONDAY_US + 2))
    assert codes(found) == ["throwing", "counting"]
    assert found[0].facts == {"many": 1}  # it began anew
    assert engine.step(event(3, MONDAY_US + 3, missed=1)) == []  # once an hour
    assert codes(engine.step(event(4, MONDAY_US + 2 * HOUR_US, missed=1))) == [FAULT]


def test_what_was_said_to_be_fine_is_not_said_again_until_then() -> None:
    def told(engine: Engine, index: int, time_us: int) -> list[str]:
        return codes(engine.step(event(index, time_us)))

    engine = Engine([Throwing()])
    (one,) = engine.step(event(0, MONDAY_US))
    engine.feedback(f"{one.detector}/{one.principal}/{one.dataset}/{one.last}", MONDAY_US + HOUR_US)
    assert told(engine, 1, MONDAY_US + 1) == []
    assert codes(engine.step(event(2, MONDAY_US + 2, principal="other"))) == ["throwing"]
    assert told(engine, 3, MONDAY_US + HOUR_US) == ["throwing"]
    engine = Engine(default())
    attack = [event(n, MONDAY_US + n, missed=1) for n in range(40)]
    (first, *_) = run(engine, attack)
    assert (first.detector, first.severity) == ("misses", "high")
    engine = Engine(default())
    engine.feedback(f"misses/{first.principal}/{first.dataset}", MONDAY_US + DAY_US, "low")
    assert "misses" in codes(run(engine, attack))  # it is worse than what was fine
    engine = Engine(default())
    engine.feedback(f"misses/{first.principal}/{first.dataset}", MONDAY_US + DAY_US)
    assert "misses" not in codes(run(engine, attack))


def test_what_was_fine_is_kept(tmp_path: Path) -> None:
    engine = Engine([Throwing()], tmp_path)
    engine.feedback(f"throwing/{event(0, 0).principal}/dataset", MONDAY_US + HOUR_US)
    engine.save(0)
    engine.close()
    engine = Engine([Throwing()], tmp_path)
    assert engine.step(event(0, MONDAY_US)) == []
    engine.close()


def test_a_save_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = busy(11, 500)
    engine = Engine(default(), tmp_path)
    found = run(engine, events[:200])
    engine.save(200)
    found += run(engine, events[200:300])
    with monkeypatch.context() as patched:
        patched.setattr(Keyed, "commit", full)
        with pytest.raises(KetenError, match="disk is full"):
            engine.save(300)
    assert engine.cursor == 200
    found += run(engine, events[300:400])
    engine.save(400)
    engine.close()
    engine = Engine(default(), tmp_path)
    assert engine.cursor == 400
    assert found + run(engine, events[400:]) == run(Engine(default()), events)
    engine.close()


def test_a_save_that_fails_after_evictions_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = busy(11, 500)
    engine = Engine(default(), tmp_path, hot=2)
    found = run(engine, events[:200])
    engine.save(200)
    run(engine, events[200:300])
    with monkeypatch.context() as patched:
        patched.setattr(Keyed, "commit", full)
        with pytest.raises(KetenError, match="disk is full"):
            engine.save(300)
    assert engine.cursor == 200
    assert found + run(engine, events[200:]) == run(Engine(default()), events)
    engine.close()


def full(_file: Keyed, _notes: dict[str, bytes]) -> None:
    """A disk that takes nothing more."""
    raise Unavailable("disk-full", "The disk is full.")


def test_another_ledger_begins_anew(tmp_path: Path) -> None:
    events = busy(5, 300)
    engine = Engine(default(), tmp_path)
    run(engine, events)
    engine.save(300)
    engine.begin_anew()
    assert (engine.cursor, engine.last) == (0, "")
    assert run(engine, events) == run(Engine(default()), events)
    engine.close()


def test_memory_is_bounded(tmp_path: Path) -> None:
    engine = Engine(default(), tmp_path, hot=100)
    for number in range(3000):
        engine.step(event(number, MONDAY_US + number, principal=f"{number:026d}", network=f"{number:016d}"))
        assert all(len(shelf) <= 101 for shelf in engine._shelves)
    engine.save(3000)
    assert engine._file.count(0) == 3000
    engine.close()


def test_what_nobody_remembers_is_removed(tmp_path: Path) -> None:
    def refused(index: int, time_us: int, network: str) -> Event:
        return event(index, time_us, what="sign-in", allowed=False, principal="", network=network)

    engine = Engine(default(), tmp_path, hot=2)
    for number in range(50):
        engine.step(refused(number, MONDAY_US + number, f"{number:016d}"))
    engine.save(50)
    space = list(SPACES).index("network")
    assert engine._file.count(space) == 50
    engine.step(refused(50, MONDAY_US + 60 * DAY_US, "n" * 16))
    engine.save(51)
    assert engine._file.count(space) == 1
    engine.close()


def test_two_detectors_of_one_code_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one code"):
        Engine([Counting(), Counting()])


def test_what_is_not_of_this_ledger_teaches_and_its_index_says_nothing(tmp_path: Path) -> None:
    """Learning gives the states, and the signals, that the same events of a ledger would; the cursor stays."""
    events = busy(5, 300)
    stepped, learned = Engine(default()), Engine(default(), tmp_path)
    said = [one for each in events for one in stepped.step(each)]
    before = [msgspec.structs.replace(each, index=7) for each in events[:150]]
    told = [one for each in before for one in learned.learn(each)]
    learned.save(0)
    learned.close()
    learned = Engine(default(), tmp_path)
    assert learned.cursor == 0
    told += [one for number, each in enumerate(events[150:]) for one in learned.step(_at(each, number))]
    learned.close()
    assert told == said
    assert said


def _at(each: Event, index: int) -> Event:
    return msgspec.structs.replace(each, index=index)
