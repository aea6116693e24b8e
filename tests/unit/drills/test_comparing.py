"""Peers' rules and Keten's detectors on traffic whose answers are known beforehand."""

from __future__ import annotations

from keten.core.clock import SECOND
from keten.drills.comparing import FURTHER, PACES, Compared, Theft, patient, told_by_peers
from keten.drills.history import USUAL, known_from
from keten.watch.model import Event
from tests.unit.watch.happening import MONDAY_US, event

BUDGET = 300
NOW_US = MONDAY_US + 9 * 3600 * SECOND


def lookups(who: str, many: int, gap_us: int, first: int = 0) -> list[Event]:
    return [event(first + n, NOW_US + n * gap_us, principal=who) for n in range(many)]


def by_watcher(found: list[Compared], thief: str) -> dict[str, Compared]:
    return {one.watcher: one for one in found if one.thief == thief}


def test_a_thief_whom_keten_stopped_goes_on_for_the_others() -> None:
    stream = lookups("thief", 40, SECOND // 10)
    found = by_watcher(told_by_peers((), stream, {"one": Theft(("thief",), NOW_US)}), "one")
    assert (found["panther-drive"].before_alert, found["panther-drive"].out) == (20, 20)
    assert (found["panther-box"].before_alert, found["panther-box"].out) == (100, 100)
    assert found["panther-box"].seconds == 9.9
    for blind in ("okta", "elastic"):
        assert (found[blind].before_alert, found[blind].out, found[blind].seconds) == (None, None, None)
    assert {one.honest for one in found.values()} == {0}


def test_several_logins_are_out_when_the_last_of_them_is_told() -> None:
    stream = sorted(
        lookups("a", 30, SECOND) + lookups("b", 30, 2 * SECOND, 100), key=lambda one: (one.time_us, one.index)
    )
    found = by_watcher(told_by_peers((), stream, {"ten": Theft(("a", "b"), NOW_US)}), "ten")["panther-drive"]
    assert found.seconds == 19.0
    assert found.before_alert == 20 + 10
    assert found.out == 40
    slow = lookups("c", 3, 3600 * SECOND)
    both = told_by_peers((), sorted(stream + slow, key=lambda one: one.time_us), {"x": Theft(("a", "c"), NOW_US)})
    assert by_watcher(both, "x")["panther-drive"].out is None, "one of the two is never told of"


def test_honest_people_whom_a_rule_tells_of_are_counted() -> None:
    stream = lookups("busy", 25, SECOND) + lookups("calm", 25, 60 * SECOND, 100)
    stream.sort(key=lambda one: (one.time_us, one.index))
    found = by_watcher(told_by_peers((), stream, {"none": Theft(("nobody",), NOW_US)}), "none")
    assert found["panther-drive"].honest == 1
    assert found["panther-box"].honest == 0
    assert found["panther-drive"].before_alert is None
    assert FURTHER >= 100


def test_what_a_patient_thief_gets_is_published_for_each_watcher() -> None:
    events = []
    for number in range(4):
        events.append(event(2 * number, NOW_US, principal=f"p{number}", what="sign-in", key="k" * 43))
        events.append(event(2 * number + 1, NOW_US, principal=f"p{number}"))
    found = {one.watcher: one for one in patient(known_from(events), "p1", NOW_US, BUDGET)}
    keten = found["keten"]
    assert keten.out == 20 * keten.a_day, "nothing stops him"
    assert keten.share in PACES
    assert keten.a_day <= BUDGET - 2 * USUAL
    assert keten.before_alert is not None, "but somebody is told"
    assert 0 < keten.before_alert < keten.out
    assert found["panther-box"].out == found["okta"].out == 20 * (BUDGET - 2 * USUAL)
    assert found["panther-box"].before_alert is None
