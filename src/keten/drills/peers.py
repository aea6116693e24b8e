"""Rules that others publish, on the same stream: what their numbers would do here. Sources: docs/world.md.

A download of theirs is an opened object or an answered lookup here; a login a sign-in; an address a network (/24 or
/48); a place a country's capital. Everything that they tell is taken as if somebody stopped the account at once, which
flatters them: theirs are alerts of low or informational severity in part, and stop nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt

from keten.core.clock import SECOND
from keten.watch.model import Event, Signal

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
EARTH_KM = 6371.0
# Capitals: degrees north and east.
PLACES = {
    "NL": (52.4, 4.9), "BE": (50.8, 4.4), "DE": (52.5, 13.4), "LU": (49.6, 6.1), "IE": (53.3, -6.3), "FR": (48.9, 2.4),
    "US": (38.9, -77.0), "BR": (-15.8, -47.9), "VN": (21.0, 105.8), "RU": (55.8, 37.6), "NG": (9.1, 7.5),
    "ID": (-6.2, 106.8), "CN": (39.9, 116.4), "IN": (28.6, 77.2),
}  # fmt: skip


def kilometres(one: str, other: str) -> float:
    """The way between two countries' capitals over the globe; 0 where one is not known."""
    if one == other or one not in PLACES or other not in PLACES:
        return 0.0
    (north, east), (norther, easter) = PLACES[one], PLACES[other]
    a, b = radians(north), radians(norther)
    half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(easter - east) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(half))


def told(detector: str, event: Event, time_us: int, principal: str) -> Signal:
    """What a peer tells."""
    return Signal(
        detector=detector, severity="high", time_us=time_us, principal=principal, supplier=event.supplier, last=event.id
    )


@dataclass(slots=True)
class Threshold:
    """So many matches of one key within a period that begins with the first: told once in a period."""

    code: str
    matches: Callable[[Event], str]
    most: int
    period_us: int
    about_principal: bool = True
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def step(self, event: Event) -> Signal | None:
        """One more event."""
        key = self.matches(event)
        if not key:
            return None
        begin, count = self._seen.get(key, (event.time_us, 0))
        if event.time_us - begin >= self.period_us:
            begin, count = event.time_us, 0
        self._seen[key] = (begin, count + 1)
        if count + 1 != self.most:
            return None
        return told(self.code, event, event.time_us, event.principal if self.about_principal else "")


@dataclass(slots=True)
class Travel:
    """Two sign-ins further apart than `most_kmh` allows. Only the last one is known, and for `known_us` at most."""

    code: str
    most_kmh: float
    known_us: int
    _last: dict[str, tuple[int, str]] = field(default_factory=dict)

    def step(self, event: Event) -> Signal | None:
        """One more event."""
        if event.what != "sign-in" or not event.allowed:
            return None
        last = self._last.get(event.principal)
        self._last[event.principal] = (event.time_us, event.country)
        if last is None or event.time_us - last[0] > self.known_us:
            return None
        hours = abs(event.time_us - last[0]) / HOUR or 0.0001
        if kilometres(last[1], event.country) / hours <= self.most_kmh:
            return None
        return told(self.code, event, event.time_us, event.principal)


@dataclass(slots=True)
class NewNetwork:
    """A sign-in from a network that was not among the last `most`. The first of all is not told."""

    code: str
    most: int
    _last: dict[str, deque[str]] = field(default_factory=dict)

    def step(self, event: Event) -> Signal | None:
        """One more event."""
        if event.what != "sign-in" or not event.allowed:
            return None
        last = self._last.get(event.principal)
        if last is None:
            self._last[event.principal] = deque([event.network], maxlen=self.most)
            return None
        new = event.network not in last
        last.append(event.network)
        return told(self.code, event, event.time_us, event.principal) if new else None


@dataclass(slots=True)
class NewTerm:
    """A principal with a country that was not seen in the last `history_us`, looked for every `every_us`.

    Nothing is told until there is a history of that length.
    """

    code: str
    history_us: int
    every_us: int
    _begin_us: int = 0
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)
    _due: OrderedDict[tuple[str, str], tuple[int, Event]] = field(default_factory=OrderedDict)

    def step(self, event: Event) -> Signal | None:
        """One more event; what is told is of the last look."""
        found = None
        if self._due:
            key, (due_us, seen) = next(iter(self._due.items()))
            if due_us <= event.time_us:
                del self._due[key]
                found = told(self.code, seen, due_us, seen.principal)
        self._begin_us = self._begin_us or event.time_us
        if event.allowed and event.principal:
            key = (event.principal, event.country)
            last = self._seen.get(key)
            self._seen[key] = event.time_us
            new = last is None or event.time_us - last > self.history_us
            if new and event.time_us - self._begin_us > self.history_us:
                self._due[key] = (event.time_us - event.time_us % self.every_us + self.every_us, event)
        return found


Rule = Threshold | Travel | NewNetwork | NewTerm


class Peer:
    """Some rules of one peer, in one object with the watch's own interface."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def step(self, event: Event) -> list[Signal]:
        """What the rules tell about one more event."""
        return [signal for rule in self.rules if (signal := rule.step(event)) is not None]


def download(event: Event) -> str:
    """Whose download it is; empty: it is none."""
    return event.principal if event.allowed and event.what in {"lookup", "open"} else ""


def refused_sign_in(event: Event) -> str:
    """The network of a refused sign-in; empty: it is none."""
    return event.network if event.what == "sign-in" and not event.allowed else ""


def panther(downloads: int, period_us: int) -> Peer:
    """Panther's rules for one kind of store, with those that hold for all. Streaming: told at once."""
    return Peer(
        Threshold("downloads", download, downloads, period_us),
        Threshold("failed-sign-ins", refused_sign_in, 20, HOUR, about_principal=False),
        Travel("travel", 900.0, DAY),
    )


def baselines() -> dict[str, Peer]:
    """The peers, by name."""
    return {
        "panther-box": panther(100, HOUR),
        "panther-drive": panther(20, 5 * MINUTE),
        "okta": Peer(NewNetwork("new-network", 50), Travel("velocity", 805.0, 3650 * DAY)),
        "elastic": Peer(NewTerm("new-country", 10 * DAY, 15 * MINUTE)),
    }
