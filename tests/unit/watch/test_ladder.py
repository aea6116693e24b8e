"""Which response a signal calls for, and whom the watch may stop by itself."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.settings import Watch
from keten.watch.explaining import DETECTORS
from keten.watch.ladder import BUILT_IN, DEFAULT, NAMED_ONLY, Ladder, Stopped, fits, key_of, stronger
from keten.watch.model import RESPONSES, SEVERITIES, STOPPING, Response, Signal


def test_every_detector_has_an_answer_to_every_severity_that_grows_with_it() -> None:
    ladder = Ladder(Watch())
    for detector in (*DETECTORS, "a-rule-of-ones-own"):
        wanted = [ladder.wanted(detector, severity) for severity in SEVERITIES]
        places = [RESPONSES.index(one) for one in wanted]
        assert places == sorted(places), detector
    assert set(RESPONSES) == set(get_args(Response))
    assert set(BUILT_IN) <= DETECTORS | {DEFAULT}


def test_nothing_is_frozen_unless_the_owner_says_so() -> None:
    ladder = Ladder(Watch())
    assert "freeze" not in {ladder.wanted(one, severity) for one in DETECTORS for severity in SEVERITIES}


def test_the_more_particular_setting_wins() -> None:
    ladder = Ladder(
        Watch(
            ladder={"misses": {"high": "slow"}, "default": {"high": "alert", "low": "alert"}},
            datasets={"voters": {"misses": {"high": "freeze"}}, "patients": {"default": {"high": "suspend"}}},
        )
    )
    assert ladder.wanted("misses", "high", "voters") == "freeze"
    assert ladder.wanted("misses", "high", "patients") == "suspend"
    assert ladder.wanted("misses", "high", "roads") == "slow"
    assert ladder.wanted("misses", "low", "roads") == "alert"
    assert ladder.wanted("misses", "medium", "roads") == "slow"
    assert ladder.wanted("travel", "high", "voters") == "alert"


@pytest.mark.parametrize("detector", sorted(NAMED_ONLY))
def test_failed_sign_ins_in_anothers_name_stop_nobody_by_default(detector: str) -> None:
    sweeping = Watch(ladder={"default": {"high": "freeze"}}, datasets={"voters": {"default": {"high": "freeze"}}})
    assert Ladder(sweeping).wanted(detector, "high", "voters") not in STOPPING
    meant = Watch(ladder={detector: {"high": "suspend"}})
    assert Ladder(meant).wanted(detector, "high", "voters") == "suspend"


@given(st.integers(0, 10_000), st.integers(1, 50), st.integers(1, 50), st.integers(1, 100))
def test_the_first_one_always_fits_and_never_more_than_the_limits(
    active: int, hour: int, day: int, percent: int
) -> None:
    settings = Watch(most_per_hour=hour, most_per_day=day, most_percent=percent)
    stopped = Stopped({}, {})
    count = 0
    while fits(settings, after := stopped.also(f"one {count}", 1), active):
        stopped, count = after, count + 1
    assert count >= 1
    assert count <= max(1, min(hour, day, active * percent // 100))
    assert fits(settings, stopped.also("one 0", 1), active), "whoever was stopped already counts once"


def test_stronger_is_an_order() -> None:
    for place, one in enumerate(RESPONSES):
        assert [stronger(one, other) for other in RESPONSES] == [place > at for at in range(len(RESPONSES))]


def test_a_key_is_of_detector_principal_dataset_and_last_entry() -> None:
    assert key_of(Signal(detector="misses", severity="low", time_us=1, principal="p", dataset="d", last="e")) == (
        "misses/p/d/e"
    )
