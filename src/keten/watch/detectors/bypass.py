"""What goes to a supplier past the door: flows that no recorded delivery accounts for.

Default: `low` for a link never seen before; `medium` from 100 MB in a day and 3.5 standard deviations of the logarithm
or 8 times the usual, `high` from 1 GB and 6 or 25 times, once a day each; before three days are known, the amounts
alone decide. It names no principal. (Times, because who grows slowly also widens what counts as its spread.)

What Keten delivers goes over the same network, and is in the same flow logs. So of what went to an outside network on
a day, that is taken off which callers from that network were given: the bytes of each access (as long as one is open,
what it may hand over), with a tenth for protocols, and 16 KiB for each thing done at the door. A flow is dated by its
beginning, a delivery by its end, and their clocks differ: what is left of the day before or after counts as well.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from keten.watch.detectors.baseline import Level, bound, knows, turn, usual
from keten.watch.detectors.detector import DAY_US, NOTHING, Detector, signal
from keten.watch.detectors.known import Known, meets
from keten.watch.model import Event, Fact, Link, Severity, Signal

MEGABYTE = 1_000_000
STEPS: tuple[tuple[Severity, float, float, int], ...] = (
    ("medium", 3.5, 8.0, 100 * MEGABYTE),
    ("high", 6.0, 25.0, 1000 * MEGABYTE),
)
"""Severity; standard deviations; times the usual; least bytes."""
KNOWN_DAYS = 3.0
LINK_LEAST = MEGABYTE
"""A link that is accounted for but for so little is none past the door."""
PROTOCOLS = 1.1
AT_THE_DOOR = 16 * 1024
"""Bytes that any one thing at the door may take: a handshake, headers, a page, a record."""
KEPT_DAYS = 3
MOST_NETWORKS = 64
MOST_OPEN = 1000
MOST_KNOWN = 256
_SENT, _GIVEN = 0, 1


class Past(msgspec.Struct, gc=False, array_like=True):
    """days: day → outside network (pseudonym) → bytes sent there, and given to callers from there. told: day → step.

    open: opening entry → day, network and bytes of an access that has not ended. level: what is usual in a day, in
    bytes that nothing accounts for. links: those seen before.
    """

    days: dict[int, dict[str, list[int]]] = {}
    told: dict[int, int] = {}
    open: dict[str, tuple[int, str, int]] = {}
    level: Level = msgspec.field(default_factory=Level)
    links: Known = msgspec.field(default_factory=Known)


class Bypass(Detector[Past]):
    """Past the door to a supplier.

    Facts: recipient (supplier), bytes (that day), usual_bytes (a day), day, link (the largest), flows, from_network.
    """

    code = "bypass"
    whats = frozenset({"sign-in", "list", "describe", "open", "lookup", "delivered", "flow"})
    space = "supplier"
    state = Past

    def step(self, state: Past, event: Event) -> tuple[Signal, ...]:
        """What was given is remembered; what went is held against it."""
        if event.what == "flow":
            return self._flow(state, event)
        if event.what == "delivered":
            _delivered(state, event)
        elif event.network:
            _given(state, event)
        return NOTHING

    def _flow(self, state: Past, event: Event) -> tuple[Signal, ...]:
        day = event.day
        for link in event.links:
            _sums(state, day, link.outside)[_SENT] += link.bytes
        _sums(state, day, "")[_SENT] += max(0, event.bytes - sum(link.bytes for link in event.links))
        signals = (*self._links(state, event), *self._volume(state, event))
        _forget(state)
        return signals

    def _links(self, state: Past, event: Event) -> tuple[Signal, ...]:
        """The largest of the links that are new; the others are remembered with it."""
        fresh: list[Link] = []
        for link in event.links:
            past = link.unsized or _past(state, event.day, link.outside) >= LINK_LEAST
            name = f"{link.target}/{link.inside}"
            if past and name not in state.links.seen:
                meets(state.links, name, event.time_us, MOST_KNOWN)
                fresh.append(link)
        if not fresh:
            return NOTHING
        largest = max(fresh, key=lambda link: link.bytes)
        return (self._signal("low", state, event, largest),)

    def _volume(self, state: Past, event: Event) -> tuple[Signal, ...]:
        amount, told, level = _all_past(state, event.day), state.told.get(event.day, 0), state.level
        place = len(STEPS)
        while place > told and not _is_much(level, amount, *STEPS[place - 1][1:]):
            place -= 1
        if place <= told:
            return NOTHING
        state.told[event.day] = place
        largest = max(event.links, key=lambda link: link.bytes, default=None)
        return (self._signal(STEPS[place - 1][0], state, event, largest),)

    def _signal(self, severity: Severity, state: Past, event: Event, link: Link | None) -> Signal:
        facts: dict[str, Fact] = {
            "recipient": event.supplier,
            "bytes": _all_past(state, event.day),
            "usual_bytes": round(usual(state.level, None)),
            "day": _date(event.day),
        }
        if link is not None:
            facts |= {"link": link.target, "flows": link.flows, "from_network": link.inside}
        return signal(self, severity, event, facts)


def _is_much(level: Level, amount: int, sigmas: float, times: float, least: int) -> bool:
    if amount < least or not knows(level, None, KNOWN_DAYS):
        return amount >= least
    return amount > min(bound(level, None, sigmas), times * usual(level, None))


def _given(state: Past, event: Event) -> None:
    day = event.time_us // DAY_US
    networks = state.days.get(day)  # every event at the door comes by here
    sums = networks.get(event.network) if networks is not None else None
    if sums is None:
        sums = _sums(state, day, event.network)
        _forget(state)
    sums[_GIVEN] += AT_THE_DOOR * (event.asked or event.count)
    if event.what == "open" and event.allowed and event.length:
        sums[_GIVEN] += event.length
        while len(state.open) >= MOST_OPEN:
            del state.open[next(iter(state.open))]
        state.open[event.id] = (day, event.network, event.length)


def _delivered(state: Past, event: Event) -> None:
    """An access has ended: what it really handed over takes the place of what it might have."""
    opened = state.open.pop(event.opening, None)
    if opened is None:
        return
    day, network, length = opened
    before = state.days.get(day, {}).get(network)
    if before is not None:
        before[_GIVEN] -= length
    # By its end, for that is when most of a long one had gone; the day before counts as well.
    _sums(state, event.time_us // DAY_US, network)[_GIVEN] += event.bytes
    _forget(state)


def _sums(state: Past, day: int, network: str) -> list[int]:
    networks = state.days.setdefault(day, {})
    if network not in networks and len(networks) >= MOST_NETWORKS:
        network = ""
    return networks.setdefault(network, [0, 0])


def _past(state: Past, day: int, network: str) -> int:
    """Bytes that went to a network on a day and that nothing at the door accounts for."""
    sums = state.days.get(day, {}).get(network, [0, 0])
    rest = sums[_SENT] - _allowed(sums, network)
    for near in (day - 1, day + 1):
        beside = state.days.get(near, {}).get(network)
        if beside is not None and rest > 0:
            rest -= max(0, _allowed(beside, network) - beside[_SENT])
    return max(0, rest)


def _allowed(sums: list[int], network: str) -> int:
    return int(max(0, sums[_GIVEN]) * PROTOCOLS) if network else 0


def _all_past(state: Past, day: int) -> int:
    return sum(_past(state, day, network) for network in state.days.get(day, {}))


def _forget(state: Past) -> None:
    """Days that are over are learnt from, in their order; one that comes after that was judged by itself."""
    while len(state.days) > KEPT_DAYS:
        day = min(state.days)
        level = state.level
        if day > level.period:
            turn(level, day, 1.0, None)
            level.amount = float(_all_past(state, day))
        del state.days[day]
        state.told.pop(day, None)


def _date(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=min(day, 100 * 366))).isoformat()
