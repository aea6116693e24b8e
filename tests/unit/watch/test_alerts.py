"""Signals become few alerts, each with what is done about it; never more than the limits allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.budgets.misses import STOP, STOPPED_US, Score, Scores
from keten.core.errors import Conflict, Corrupt, Invalid, NotFound
from keten.core.ids import new_id
from keten.core.settings import Watch
from keten.ledger.writing import Writing
from keten.watch import handling
from keten.watch.alerts import ACTOR, LATE_US, MOST_ALERTS_PER_HOUR, count_of
from keten.watch.model import Seen, Signal
from tests.unit.suppliers.instances import ACTOR as OPERATOR
from tests.unit.suppliers.instances import ESTATE
from tests.unit.watch.house import House

HOUR = 3600


def test_a_high_signal_suspends_with_an_alert_and_its_entries(house: House) -> None:
    raised = house.raise_(house.signal())
    (alert_id,) = raised.new
    assert raised.taken == ((alert_id, "suspend"),)
    alert = house.alert(alert_id)
    assert (alert.state, alert.response, alert.count, alert.held) == ("open", "suspend", 1, "")
    assert alert.owner == house.ids["person"]["dpo"]
    assert alert.supplier == house.ids["supplier"]["drukwerk"]
    client = house.client()
    assert client.suspended_at(house.now_us)
    assert client.suspended_at(alert.until_us - 1)
    assert not client.suspended_at(alert.until_us)
    (entry,) = house.entries("watch.alert.raised")
    assert entry["actor"] == ACTOR
    assert entry["refs"]["client"] == client.id
    assert entry["details"]["response"] == "suspend"
    assert entry["details"]["group"] == alert.topic
    assert entry["details"]["facts"]["missed"] == 21
    assert len(house.entries("watch.response.taken")) == len(house.entries("identity.client.suspended")) == 1


def test_raising_again_changes_nothing(house: House) -> None:
    upto = house.instance.size()
    seen = (Seen(upto - 1, house.signal()),)
    first = house.write(lambda writing: house.raising.raise_(writing, seen, upto))
    size = house.instance.size()
    again = house.write(lambda writing: house.raising.raise_(writing, seen, upto))
    assert len(first.new) == 1
    assert (again.new, again.before, again.taken) == ((), 1, ())
    assert house.instance.size() == size


def test_a_flood_of_signals_is_one_alert_and_few_entries(house: House) -> None:
    flood = [house.signal(severity="medium") for _ in range(1000)]
    raised = house.raise_(*flood)
    size = house.instance.size()
    for _ in range(3):
        assert house.raise_(*flood).new == ()
    (alert,) = house.alerts()
    with house.instance.reader.connect() as connection:
        assert count_of(connection, alert)[0] == 4000
    assert (len(raised.new), raised.counted) == (1, 999)
    assert house.instance.size() - size <= 3
    assert len(house.entries("identity.client.slowed")) == 1


def test_many_alerts_become_one_for_each_detector(house: House) -> None:
    signals = [house.signal(f"rule-{n}", severity="medium") for n in range(MOST_ALERTS_PER_HOUR + 50)]
    raised = house.raise_(*signals)
    assert len(raised.new) == len(signals)  # of detectors there are few, of principals and datasets many
    before = len(house.alerts())
    strangers = [
        Signal(detector="off-hours", severity="medium", time_us=house.now_us, principal=new_id()) for _ in range(200)
    ]
    assert len(house.raise_(*strangers).new) == 1
    assert len(house.alerts()) == before + 1


def test_many_who_should_be_stopped_and_may_not_be_fill_nothing(house: House) -> None:
    flood = [
        Signal(detector="misses", severity="high", time_us=house.now_us, principal=new_id())
        for _ in range(MOST_ALERTS_PER_HOUR + 400)
    ]
    house.raise_(house.signal())
    assert len(house.raise_(*flood).new) == MOST_ALERTS_PER_HOUR
    size = house.instance.size()
    house.raise_(*flood)
    assert house.instance.size() - size <= 3


def test_after_its_window_the_same_is_a_new_alert(house: House) -> None:
    (first,) = house.raise_(house.signal("off-hours", severity="medium")).new
    house.later(HOUR - 10)
    assert house.raise_(house.signal("off-hours", severity="medium")).new == ()
    house.later(HOUR + 10)
    (second,) = house.raise_(house.signal("off-hours", severity="medium")).new
    assert first != second


def test_a_worse_signal_calls_for_more(house: House) -> None:
    (alert,) = house.raise_(house.signal("volume", severity="low")).new
    assert house.alert(alert).state == "noted"
    house.raise_(house.signal("volume", severity="medium"))
    assert (house.alert(alert).state, house.alert(alert).response) == ("open", "slow")
    assert house.client().slowed_at(house.now_us) == house.settings.slow_per_minute
    house.raise_(house.signal("volume", severity="high"))
    assert house.alert(alert).response == "suspend"
    house.raise_(house.signal("volume", severity="low"))
    assert (house.alert(alert).severity, house.alert(alert).response) == ("high", "suspend")


def test_a_suspension_that_is_over_is_taken_again(house: House) -> None:
    house.follow(Watch(window="2d"))
    (alert,) = house.raise_(house.signal()).new
    house.later(4 * HOUR + 1)
    assert not house.client().suspended_at(house.now_us)
    raised = house.raise_(house.signal())
    assert raised.taken == ((alert, "suspend"),)
    assert house.client().suspended_at(house.now_us)


def test_fine_gives_access_back_and_is_remembered_until_it_gets_worse(house: House) -> None:
    (alert,) = house.raise_(house.signal("volume", severity="medium")).new
    assert house.handle(alert, "fine").lifted
    assert not house.client().slowed_at(house.now_us)
    (entry,) = house.entries("watch.alert.handled")
    assert entry["details"]["key"].startswith(f"volume/{house.client_id()}/{house.ids['dataset']['voters']}/")
    assert entry["details"]["quiet_until"] > house.now_us
    house.later(24 * HOUR)
    again = house.raise_(house.signal("volume", severity="medium"))
    assert (again.new, again.counted, again.taken) == ((), 1, ())
    worse = house.raise_(house.signal("volume", severity="high"))
    assert [taken for _, taken in worse.taken] == ["suspend"]
    house.later(7 * 24 * HOUR)
    assert len(house.raise_(house.signal("volume", severity="medium")).new) == 1


def test_lifting_one_leaves_what_another_alert_holds(house: House) -> None:
    (first,) = house.raise_(house.signal("misses")).new
    house.later(HOUR)
    (second,) = house.raise_(house.signal("travel")).new
    house.handle(second, "lift", "")
    assert house.client().suspended_at(house.now_us)
    assert house.alert(first).until_us < house.alert(second).until_us
    assert not house.client().suspended_at(house.alert(first).until_us)
    house.handle(first, "fine")
    assert not house.client().suspended_at(house.now_us)


@pytest.mark.parametrize("action", ["fine", "lift"])
def test_who_was_stopped_for_guessing_looks_up_again(house: House, action: str) -> None:
    """Fine and lift say that access is given back: also what the budget's own test of misses has taken."""
    grant = house.ids["grant"]["voters-for-drukwerk"]
    mine, other = house.client_id(), new_id()

    def stop(writing: Writing) -> None:
        for client in (mine, other):
            house.scores.write(writing.connection, grant, client, Score(STOP, 3, writing.time_us + STOPPED_US))

    house.write(stop)
    (alert,) = house.raise_(house.signal("misses", severity="medium")).new
    done = house.handle(alert, action)
    assert done.resumed
    with house.instance.reader.connect() as connection:
        assert Scores().read(connection, grant, mine) == Score()
        assert Scores().read(connection, grant, other).stopped_until_us
    (entry,) = house.entries("budgets.guessing.forgiven")
    assert entry["refs"] == {"grant": grant, "client": mine}
    assert entry["details"]["score"] == [STOP, 3]
    house.write(stop)
    again = house.handle(alert, "lift", "")
    assert (again.lifted, again.resumed, again.index is not None) == (False, True, True)
    (strange,) = house.raise_(house.signal("volume", severity="medium")).new
    house.write(stop)
    assert not house.handle(strange, "fine").resumed, "of something else"


def test_closing_leaves_the_response_and_lifting_leaves_the_alert(house: House) -> None:
    (alert,) = house.raise_(house.signal()).new
    house.handle(alert, "acknowledge", "")
    house.handle(alert, "close", "")
    assert house.client().suspended_at(house.now_us)
    assert house.handle(alert, "close", "").index is None
    with pytest.raises(Conflict):
        house.handle(alert, "not-fine")
    house.handle(alert, "lift", "")
    assert not house.client().suspended_at(house.now_us)
    assert house.handle(alert, "lift", "").index is None


def test_the_watch_stops_only_so_many_by_itself(tmp_path: Path) -> None:
    house = House(tmp_path, clients=40)
    house.follow(Watch(most_per_hour=3, most_per_day=4, most_percent=50))
    names = sorted(house.ids["client"])
    raised = house.raise_(*(house.signal(client=name) for name in names[:6]))
    assert [taken for _, taken in raised.taken] == ["suspend"] * 3
    assert len(raised.held) == 3
    assert len(raised.new) == 6
    held = house.alert(raised.held[0])
    assert (held.response, held.wanted, held.held) == ("alert", "suspend", "limit")
    assert not house.client(names[5]).suspended_at(house.now_us)
    # More of the same signals make no more entries.
    size = house.instance.size()
    house.raise_(*(house.signal(client=names[5]) for _ in range(500)))
    assert house.instance.size() - size <= 10
    house.later(HOUR + 1)
    later = house.raise_(*(house.signal(client=name) for name in names[6:9]))
    assert [taken for _, taken in later.taken] == ["suspend"]  # the day's limit
    house.close()


def test_a_small_share_is_still_one(house: House) -> None:
    house.follow(Watch(most_percent=1))
    raised = house.raise_(house.signal(client="drukwerk-batch"), house.signal(client="vervoer-app"))
    assert [taken for _, taken in raised.taken] == ["suspend"]
    assert len(raised.held) == 1


def test_freezing_counts_all_of_a_supplier_and_gives_way(tmp_path: Path) -> None:
    house = House(tmp_path, clients=8)
    house.follow(Watch(ladder={"misses": {"high": "freeze"}}, most_percent=100))
    (alert,) = house.raise_(house.signal()).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("suspend", "limit")
    assert not house.supplier().frozen_at(house.now_us)
    house.follow(Watch(ladder={"misses": {"high": "freeze"}}, most_percent=100, most_per_hour=20))
    (alert,) = house.raise_(house.signal(client="client-1")).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("freeze", "")
    assert house.supplier().frozen_at(house.now_us)
    house.handle(alert, "fine")
    assert not house.supplier().frozen_at(house.now_us)
    assert house.client().suspended_at(house.now_us)
    house.close()


def test_what_was_long_ago_or_about_nobody_stops_nobody(house: House) -> None:
    old = house.signal(time_us=house.now_us - LATE_US - 1)
    (alert,) = house.raise_(old).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("alert", "late")
    nobody = Signal(detector="travel", severity="high", time_us=house.now_us)
    (alert,) = house.raise_(nobody).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("alert", "nobody")
    gone = Signal(detector="dormant", severity="high", time_us=house.now_us, principal=new_id())
    (alert,) = house.raise_(gone).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("alert", "nobody")


def test_who_has_ended_is_left_alone(house: House) -> None:
    house.instance.end("client", house.client_id())
    (alert,) = house.raise_(house.signal()).new
    assert (house.alert(alert).response, house.alert(alert).held) == ("alert", "nobody")
    assert house.client().ended is not None
    with pytest.raises(Conflict):
        house.write(lambda writing: handling.suspend(writing, house.client_id(), 10**7, "why", OPERATOR))


def test_a_row_that_was_changed_by_hand_stops_no_other(house: House) -> None:
    house.instance.tamper("UPDATE clients SET body = :body WHERE name = 'drukwerk-batch'", body=b"{}")
    raised = house.raise_(house.signal(), house.signal(client="vervoer-app"))
    assert [taken for _, taken in raised.taken] == ["suspend"]
    assert len(raised.new) == 2


def test_an_alert_that_was_changed_by_hand_is_not_believed(house: House) -> None:
    (alert,) = house.raise_(house.signal("travel", severity="medium")).new
    house.instance.tamper("UPDATE alerts SET state = 'closed'")
    with pytest.raises(Corrupt):
        house.alert(alert)
    assert len(house.raise_(house.signal("travel", severity="medium")).new) == 1


def test_an_estate_file_gives_nobody_access_back(house: House) -> None:
    house.raise_(house.signal())
    assert house.instance.apply(ESTATE).changes == []
    assert house.client().suspended_at(house.now_us)
    changed = house.instance.apply(ESTATE.replace("Drukwerk BV", "Drukwerk Groep"))
    assert len(changed.changes) == 1
    assert house.client().suspended_at(house.now_us)


def test_signals_are_cut_to_size(house: House) -> None:
    facts = {f"fact {n}": "x" * 5000 for n in range(200)}
    signal = house.signal("x" * 500, severity="medium", facts=facts, last="../../etc", first="{}")
    (alert,) = house.raise_(signal).new
    found = house.alert(alert)
    assert len(found.detector) <= 60
    assert len(found.facts) <= 24
    assert max(len(str(value)) for value in found.facts.values()) <= 200
    assert (found.first, found.last) == ("", "")


def test_an_alert_about_a_person_says_so(house: House) -> None:
    person = house.ids["person"]["drukwerk-ops"]
    (alert,) = house.raise_(house.signal(principal=person)).new
    found = house.alert(alert)
    assert (found.who, found.refs["person"], "client" in found.refs) == ("person", person, False)
    assert (found.supplier, found.response) == (house.ids["supplier"]["drukwerk"], "suspend")


def test_a_person_may_be_suspended_by_hand_and_released(house: House) -> None:
    person = house.ids["person"]["drukwerk-ops"]
    done = house.write(lambda writing: handling.suspend(writing, person, 3_600_000_000, "lost her phone", OPERATOR))
    (entry,) = house.entries("identity.person.suspended")
    assert entry["subjects"] == [person]
    assert done.alert.refs["person"] == person
    found = house.instance.register().person(person)
    assert found is not None
    assert found.suspended_at(house.now_us)
    assert house.handle(done.alert.id, "lift", "").lifted
    assert len(house.entries("identity.person.released")) == 1


@pytest.mark.parametrize(
    ("action", "note"), [("fine", ""), ("fine", "two\nlines"), ("fine", "x" * 501), ("shrug", "x")]
)
def test_what_is_said_must_be_sayable(house: House, action: str, note: str) -> None:
    (alert,) = house.raise_(house.signal(severity="medium")).new
    with pytest.raises(Invalid):
        house.handle(alert, action, note)


def test_there_is_no_such_alert(house: House) -> None:
    with pytest.raises(NotFound):
        house.handle(new_id(), "fine")
    with pytest.raises(NotFound):
        house.handle("../x", "fine")


@pytest.mark.parametrize("for_us", [0, -1, 10**18])
def test_a_suspension_has_an_end(house: House, for_us: int) -> None:
    with pytest.raises(Invalid):
        house.write(lambda writing: handling.suspend(writing, house.client_id(), for_us, "why", OPERATOR))
