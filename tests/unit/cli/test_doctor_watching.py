"""The doctor says when nobody watches, how far behind the watch is, and what it could not do by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.cli.doctor import watching
from keten.cli.doctor.findings import Case
from keten.core.settings import Settings, Watch
from keten.ledger.cursors import store_cursor
from keten.watch.flows.lines import Counts
from keten.watch.rules import loading
from keten.watch.standing import FlowStanding, Standing, standing, write
from keten.worker.watching import watching as worker_watching
from tests.unit.watch.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def case(house: House, watch: Watch | None = None, *, up: bool = True) -> Case:
    settings = Settings(home="/nowhere", watch=watch or Watch())
    return Case(settings, house.instance.reader, None, {"ready": True} if up else None)


def test_a_watch_that_is_off_and_a_ladder_for_nothing(house: House) -> None:
    assert list(watching.on(case(house))) == []
    assert [one.code for one in watching.on(case(house, Watch(enabled=False)))] == ["watch-off"]
    misspelt = Watch(ladder={"mises": {"high": "alert"}}, datasets={"voters": {"default": {"high": "alert"}}})
    (found,) = watching.on(case(house, misspelt))
    assert (found.severity, found.code) == ("note", "watch-ladder")
    assert "'mises'" in found.what


def test_a_rule_that_is_not_used(house: House, tmp_path: Path) -> None:
    shipped = Path(loading.__file__).with_name("shipped")
    assert list(watching.rules(case(house))) == []
    assert list(watching.rules(case(house, Watch(rules=(str(shipped),))))) == []
    broken = tmp_path / "broken.yml"
    broken.write_text("title: x\n")
    (found,) = watching.rules(case(house, Watch(rules=(str(shipped), str(broken)))))
    assert (found.severity, found.code) == ("weak", "watch-rule")
    assert "broken.yml" in found.what


def test_how_it_stands_with_flow_logs(house: House, tmp_path: Path) -> None:
    watch = Watch(flows=("conn.log",))
    settings = Settings(home=str(tmp_path), watch=watch)
    settings.paths.watch.mkdir(parents=True)
    asked = Case(settings, house.instance.reader, None, {"ready": True})

    def codes(said: FlowStanding) -> list[tuple[str, str]]:
        write(settings.paths.flow_standing, said)
        return [(one.code, one.severity) for one in watching.flows(asked)]

    assert list(watching.flows(case(house))) == []
    assert [one.code for one in watching.flows(asked)] == ["watch-flows-unknown"]
    assert codes(FlowStanding(files=1, suppliers=1)) == []
    assert codes(FlowStanding(files=1)) == [("watch-flows-nobody", "weak")]
    few, many = Counts(lines=1000, wrong={"no JSON": 3}), Counts(lines=1000, wrong={"no JSON": 30})
    assert codes(FlowStanding(1, 1, few)) == [("watch-flows-lines", "note")]
    assert codes(FlowStanding(1, 1, many)) == [("watch-flows-lines", "weak")]
    assert codes(FlowStanding(1, 1, trouble={"/x": "no"}, waiting=True)) == [
        ("watch-flows-file", "weak"),
        ("watch-flows-behind", "weak"),
    ]
    settings.paths.flow_standing.write_bytes(b"{")
    assert [one.code for one in watching.flows(asked)] == ["watch-flows-unknown"]


def test_rules_that_the_worker_began_with(house: House, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("title: x\n")
    shipped = Path(loading.__file__).with_name("shipped")
    settings = Settings(home=str(tmp_path), watch=Watch(rules=(str(shipped), "broken.yml")))
    asked = Case(settings, house.instance.reader, None, {"ready": True})
    made = worker_watching(settings)
    said = standing(settings.paths.standing)
    assert said is not None
    assert (len(said.rules), said.not_used, said.refused[0].file) == (5, 1, str(tmp_path / "broken.yml"))
    assert [one.code for one in watching.rules(asked)] == ["watch-rule"]
    write(settings.paths.standing, Standing(1, 22, said.rules[1:]))
    assert [one.code for one in watching.rules(asked)] == ["watch-rule", "watch-rules-changed"]
    assert made.reached == 0


def test_without_pysigma_the_watch_looks_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sigma"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sigma", None)
    shipped = Path(loading.__file__).with_name("shipped")
    settings = Settings(home=str(tmp_path), watch=Watch(rules=(str(shipped),)))
    assert worker_watching(settings).reached == 0
    said = standing(settings.paths.standing)
    assert said is not None
    assert (said.rules, said.not_used) == ((), 1)
    assert "keten[sigma]" in said.refused[0].reason


def test_a_watch_that_is_behind(house: House) -> None:
    (found,) = watching.behind(case(house))  # entries of the start of 2026, and none was looked at
    assert found.code == "watch-behind"
    assert list(watching.behind(case(house, up=False))) == []
    assert list(watching.behind(case(house, Watch(enabled=False)))) == []
    size = house.instance.size()
    house.write(lambda writing: store_cursor(writing.connection, "watch", size))
    assert list(watching.behind(case(house))) == []


def test_what_the_watch_could_not_do_by_itself_is_said_until_somebody_looked(house: House) -> None:
    house.follow(Watch(most_percent=1))
    held = house.raise_(house.signal(), house.signal(client="vervoer-app")).held
    (found,) = watching.limits(case(house))
    assert (found.severity, found.code) == ("wrong", "watch-limit")
    assert held[0] in found.what
    house.handle(held[0], "not-fine")
    assert list(watching.limits(case(house))) == []


def test_a_database_without_alerts_is_said_to_be_older(house: House) -> None:
    house.instance.tamper("DROP TABLE alerts")
    assert [one.code for one in watching.limits(case(house))] == ["watch-unknown"]
