"""The ladder: what is done about a signal, and how much of that the watch may do by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keten.core.settings import Response, Rungs, Watch
from keten.watch.explaining import DETECTORS
from keten.watch.model import RESPONSES, Severity, Signal

OPERATOR = "operator"
"""The detector of an alert that a person made."""
DEFAULT = "default"
BUILT_IN: Mapping[str, Rungs] = {
    DEFAULT: {"low": "note", "medium": "alert", "high": "suspend"},
    "misses": {"low": "note", "medium": "slow", "high": "suspend"},
    "adjacency": {"low": "note", "medium": "slow", "high": "suspend"},
    "volume": {"low": "note", "medium": "slow", "high": "suspend"},
    "rate": {"low": "note", "medium": "slow", "high": "suspend"},
    "budget-share": {"low": "note", "medium": "step-up", "high": "suspend"},
    "network-listed": {"low": "alert", "medium": "step-up", "high": "suspend"},
    "supplier-volume": {"low": "note", "medium": "alert", "high": "alert"},
    "failed-sign-ins": {"low": "note", "medium": "alert", "high": "alert"},
    "detector-fault": {"low": "alert", "medium": "alert", "high": "alert"},
    "budget-spent": {"low": "note", "medium": "alert", "high": "alert"},
    "bypass": {"low": "note", "medium": "alert", "high": "alert"},
}


NAMED_ONLY = frozenset({"failed-sign-ins", "supplier-volume", "detector-fault", "budget-spent", "bypass"})
"""Anybody can fail to sign in in another's name, and flow logs are others' word; the rest names nobody."""


class Ladder:
    """Which response a signal calls for. More particular settings win: dataset before detector, both before "default".

    1. The dataset's rungs for the detector, 2. the dataset's "default", 3. the detector's, 4. "default", 5. the
    built-in ones. For `NAMED_ONLY` 2 and 4 do not count: to suspend for these, they must be meant.
    """

    def __init__(self, settings: Watch) -> None:
        self._ladder = settings.ladder
        self._datasets = settings.datasets

    def wanted(self, detector: str, severity: Severity, dataset: str = "") -> Response:
        """dataset: its name, "" for none."""
        own = self._datasets.get(dataset, {})
        named_only = detector in NAMED_ONLY
        for rungs in (
            own.get(detector),  # 1
            own.get(DEFAULT) if not named_only else None,  # 2
            self._ladder.get(detector),  # 3
            self._ladder.get(DEFAULT) if not named_only else None,  # 4
            BUILT_IN.get(detector),  # 5
            BUILT_IN[DEFAULT],
        ):
            found = rungs.get(severity) if rungs else None
            if found is not None:
                return found
        return "alert"


def unknown_in(settings: Watch) -> tuple[str, ...]:
    """What the settings name as a detector and is none of Keten's own."""
    named = {*settings.ladder, *(name for rungs in settings.datasets.values() for name in rungs)}
    return tuple(sorted(named - DETECTORS - {DEFAULT}))


class Stopped(msgspec.Struct, frozen=True):
    """Whom the watch has stopped by itself within the last hour and day: principal or supplier → how many that are."""

    hour: dict[str, int]
    day: dict[str, int]

    def also(self, who: str, weight: int) -> Stopped:
        """With another one. Whoever was stopped already counts once."""
        more = {who: weight}
        return Stopped(_most(self.hour, more), _most(self.day, more))


def fits(settings: Watch, stopped: Stopped, active: int) -> bool:
    """Whether the watch may stop so many by itself. active: how many principals there are that act.

    A first one may always be, however few there are.
    """
    share = max(1, active * settings.most_percent // 100)
    hour, day = sum(stopped.hour.values()), sum(stopped.day.values())
    return hour <= min(settings.most_per_hour, share) and day <= min(settings.most_per_day, share)


def _most(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {who: max(one.get(who, 0), other.get(who, 0)) for who in {**one, **other}}


def milder(response: Response) -> tuple[Response, ...]:
    """What may be done in place of a response that stops somebody, the strongest first."""
    return ("suspend", "alert") if response == "freeze" else ("alert",)


def stronger(one: Response, other: Response) -> bool:
    """Whether one response is stronger than another."""
    return RESPONSES.index(one) > RESPONSES.index(other)


def key_of(signal: Signal) -> str:
    """A signal's key: its topic and last entry. The same signal always has the same."""
    return f"{signal.topic}/{signal.last}"
