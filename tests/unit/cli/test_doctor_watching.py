"""The doctor says when nobody watches, how far behind the watch is, and what it could not do by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.cli.doctor import watching
from keten.cli.doctor.findings import Case
from keten.core.settings import Settings, Watch
from keten.ledger.cursors import store_cursor
from keten.watch.rules import loading
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
