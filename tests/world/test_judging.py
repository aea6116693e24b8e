"""What judges count, with watchers whose answers are known beforehand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keten.watch.model import Event, Severity, Signal
from tests.world.__main__ import main
from tests.world.days import DAY, MINUTE
from tests.world.families import held_out, tuned
from tests.world.figures import classes, figures
from tests.world.judging import Census, Judge, Step, entitled, judge, nothing
from tests.world.report import markdown
from tests.world.shape import Size
from tests.world.stream import World

SIZE = Size(120, 40, 2)


def silent(_day: int, _events: int) -> None:
    """No progress is wanted."""


def on(chosen: Callable[[Event], bool], severity: Severity = "high") -> Step:
    """A watcher that says something at each event of a kind."""

    def step(event: Event) -> list[Signal]:
        if not chosen(event):
            return []
        return [Signal(detector="known", severity=severity, time_us=event.time_us, principal=event.principal)]

    return step


def run(world: World, step: Step, delay_us: int = 0) -> tuple[Census, Judge]:
    census, judges = judge(world, {"alone": nothing, "one": step}, silent, delay_us)
    return census, judges[1]


@pytest.fixture(scope="module")
def world() -> World:
    return World(SIZE, tuned, 1e-3)


@pytest.fixture(scope="module")
def released(world: World) -> dict[int, int]:
    found: dict[int, int] = dict.fromkeys((campaign.number for campaign in world.campaigns), 0)
    for seen in world:
        if seen.campaign:
            found[seen.campaign] += seen.event.records
    return found


def test_without_a_watcher_all_that_budgets_give_is_taken(world: World, released: dict[int, int]) -> None:
    _, one = run(world, nothing)
    assert {number: taken.out for number, taken in one.taken.items()} == released
    assert sum(released.values()) > 0
    assert not one.disturbed
    assert all(taken.at_alert is None and not taken.whole for taken in one.taken.values())
    assert all(released[c.number] <= entitled(world, c) for c in world.campaigns)


def test_who_always_cries_stops_everything_and_disturbs_everybody(world: World) -> None:
    census, one = run(world, on(lambda _: True))
    assert len(one.disturbed) == len(one.suspended) == sum(census.active.values())
    for taken in one.taken.values():
        assert taken.whole
        assert taken.at_alert == taken.out <= 1, "only what the first act gave"


def test_what_is_only_alerted_is_not_stopped(world: World, released: dict[int, int]) -> None:
    _, one = run(world, on(lambda _: True, "medium"))
    assert {number: taken.out for number, taken in one.taken.items()} == released
    assert all(taken.at_alert is not None and not taken.stopped for taken in one.taken.values())
    assert one.disturbed
    assert not one.suspended
    _, one = run(world, on(lambda _: True, "low"))
    assert not one.disturbed
    assert one.detectors["known"].noted > 0
    assert all(taken.at_alert is None for taken in one.taken.values())


def test_a_later_stop_costs_more(world: World) -> None:
    at_once = run(world, on(lambda event: event.records > 0))[1]
    later = run(world, on(lambda event: event.records > 0), 5 * MINUTE)[1]
    costs = [(at_once.taken[number].out, later.taken[number].out) for number in at_once.taken]
    assert all(soon <= late for soon, late in costs)
    assert any(soon < late for soon, late in costs)
    bulk = next(taken for taken in at_once.taken.values() if taken.campaign.family == "bulk")
    assert bulk.out == 1, "the first record gave it away"


def test_an_answer_that_comes_late_does_not_count_what_came_after_it(world: World) -> None:
    """A watcher that looks every ten minutes knows at the look, not at the event by which it is asked."""
    due: dict[str, int] = {}

    def step(event: Event) -> list[Signal]:
        found = [
            Signal(detector="polled", severity="high", time_us=at, principal=who)
            for who, at in due.items()
            if at <= event.time_us
        ]
        for signal in found:
            del due[signal.principal]
        if event.records:
            due.setdefault(event.principal, event.time_us - event.time_us % (10 * MINUTE) + 10 * MINUTE)
        return found

    _, one = run(world, step)
    for taken in one.taken.values():
        if taken.whole and taken.at_alert is not None and len(taken.campaign.principals) == 1:
            assert taken.out == taken.at_alert


def test_each_login_of_a_campaign_is_stopped_for_itself() -> None:
    world = World(SIZE, held_out, 1e-3)
    ten = next(campaign for campaign in world.campaigns if campaign.family == "ten-logins")
    first = world.principals[ten.principals[0]].id
    _, one = run(world, on(lambda event: event.principal == first))
    taken = one.taken[ten.number]
    assert set(taken.stopped) == {ten.principals[0]}
    assert not taken.whole
    everyone = {world.principals[who].id for who in ten.principals}
    _, one = run(world, on(lambda event: event.principal in everyone))
    assert one.taken[ten.number].whole
    assert one.taken[ten.number].out < taken.out


def test_a_step_up_ends_a_stolen_session_and_no_stolen_key(world: World, released: dict[int, int]) -> None:
    crier = on(lambda event: event.records > 0, "medium")
    _, (one,) = judge(world, {"one": crier}, silent, 0, {"one": lambda _detector, _severity: "step-up"})
    assert {number: taken.out for number, taken in one.taken.items()} == released, "all of these thieves have a key"
    silently = World(SIZE, tuned, 1e-3)
    thief = next(one for one in silently.campaigns if one.family == "new-key" and one.last > one.first)
    for sessions in thief.sessions.values():
        for session in sessions:
            session.silent = True
    _, (one,) = judge(silently, {"one": crier}, silent, 0, {"one": lambda _detector, _severity: "step-up"})
    taken = one.taken[thief.number]
    assert 0 < taken.out < released[thief.number]
    days = {seen.event.time_us // DAY for seen in silently if seen.campaign == thief.number and seen.event.records}
    assert taken.out >= len(days) > 1, "each day another session was stolen"
    assert one.disturbed


def test_signals_before_the_thief_comes_are_no_merit(world: World) -> None:
    last = max((one for one in world.campaigns if one.family == "travel"), key=lambda campaign: campaign.first)
    begin = last.sessions[last.first][0].start_us
    victim = world.principals[last.principals[0]].id
    _, one = run(world, on(lambda event: event.principal == victim and event.time_us < begin))
    assert one.taken[last.number].at_alert is None
    assert one.disturbed


def test_the_honest_in_whose_names_strangers_came_are_a_class_of_their_own(world: World) -> None:
    census, one = run(world, on(lambda event: event.what == "sign-in" and not event.allowed))
    assert census.active["named-by-strangers"] > 0
    assert "named-by-strangers" in one.disturbed.values()


def test_figures_and_report_say_what_they_rest_on(world: World) -> None:
    census, judges = judge(world, {"alone": nothing, "crier": on(lambda _: True)}, silent)
    found = figures(world, tuned, census, judges)
    assert found["synthetic"] is True
    json.dumps(found)
    crier = found["watchers"][1]
    assert crier["disturbed"]["rate"] == 1.0
    assert crier["within"]["found"] == len(world.campaigns)
    assert sum(entry["disturbed"]["found"] for entry in crier["classes"].values()) == crier["disturbed"]["found"]
    assert sum(found["honest"]["by_class"].values()) == found["honest"]["principal_days"]
    text = markdown(found)
    assert "synthetic" in text
    assert "may be tuned on" in text
    assert all(f"| {code} |" in text for code in classes() if found["honest"]["by_class"][code])
    assert "no result to report" not in text
    assert "## Which attacks win, and what they take" in text
    assert "## Honest surprises, side by side" in text
    assert "Made on" not in text, "only a command knows when it ran"
    wrong = figures(World(Size(120, 40, 1000), tuned), tuned, census, judges[:1])
    assert "no result to report" in markdown(wrong)


def test_the_command_writes_a_report_and_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--principals", "80", "--days", "15", "--seed", "1001", "--families", "held-out", "--out", str(tmp_path)]
    assert main([*asked, "--json", "--report", str(tmp_path / "report.txt")]) == 0
    printed = json.loads(capsys.readouterr().out)
    [written] = tmp_path.glob("*.json")
    assert json.loads(written.read_text()) == printed
    assert [one["name"] for one in printed["watchers"]][:2] == ["budgets alone", "panther-box"]
    [report] = tmp_path.glob("*.md")
    assert "held out" in report.read_text()
    assert report.read_text() == (tmp_path / "report.txt").read_text()
    assert f"Made on {printed['made']['on']} by `python -m tests.world --principals 80 --days 15" in report.read_text()


def test_without_ketens_detectors_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "keten.watch.engine", None)
    assert main(["--detectors", "keten"]) == 3
    assert "not in this checkout" in capsys.readouterr().err
