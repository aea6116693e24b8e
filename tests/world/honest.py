"""A day of honest work: what a principal would do on it, which surprises change, and then its sessions."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.world.acts import Oddity, Origin, Row, Session, negative_binomial, origin, poisson, unfold
from tests.world.days import HOUR, Day
from tests.world.shape import Grant, Principal

FROM_HOME = 0.4  # of people's days
SECOND_GRANT = 0.1  # of sessions, where the supplier has another grant
FAILED = 0.03  # of sign-ins have a refused one before them


@dataclass(slots=True)
class Plan:
    """What a principal is about to do on a day. Surprises change it.

    factor: more or less work than usual. shift: hours later. networks: instead of its own, another for each session.
    others: principals whose caseloads it works on as well, for `share` of its sessions; known: the grant says so.
    failures: refused sign-ins before the first session. times: how often each file is fetched. turns: countries and
    networks by turns, from one session to the next.
    """

    works: bool
    factor: float = 1.0
    shift: float = 0.0
    country: str = ""
    network: str = ""
    networks: tuple[str, ...] = ()
    key: str = ""
    grant: Grant | None = None
    missed: float = -1.0
    near: float = -1.0
    outside: float = -1.0
    sessions: int = 0
    failures: int = 0
    pace: float = 1.0
    files: int = -1
    times: int = 1
    others: tuple[Principal, ...] = ()
    share: float = 0.5
    known: bool = True
    turns: tuple[tuple[str, str], ...] = ()
    oddity: Oddity | None = None


def usual(one: Principal, today: Day, rng: Random) -> Plan:
    """What is usual for it on this day."""
    role = one.role
    if today.working and today.weekday in one.days:
        return Plan(rng.random() < role.attendance, today.pace if not role.system else 1.0)
    return Plan(rng.random() < role.weekend, 0.7)


def perform(one: Principal, plan: Plan, today: Day, rng: Random, rows: list[Row]) -> None:
    """Add what it does on this day to `rows`."""
    if not plan.works:
        return
    role = one.role
    drawn: set[int | str] = set()
    mean = role.mean * one.factor * plan.factor
    keys = negative_binomial(rng, mean, role.size) if mean > 0 else 0
    if role.files:
        _fetch(one, plan, today, rng, rows, drawn)
        return
    if not keys and rng.random() < 0.7:
        return
    count = max(1, min(keys, plan.sessions or 1 + int(rng.random() * role.sessions)))
    at_home = not role.system and rng.random() < FROM_HOME
    for turn in range(count):
        session = _session(one, plan, turn, rng, at_home=at_home)
        session.start_us = today.start_us + int(_hour(one, plan, rng) * HOUR)
        session.keys = keys // count + (turn < keys % count)
        session.drawn = drawn
        unfold(session, rng, rows)


def _session(one: Principal, plan: Plan, turn: int, rng: Random, *, at_home: bool) -> Session:
    role = one.role
    other = plan.others[turn % len(plan.others)] if plan.others and rng.random() < plan.share else None
    made = Session(
        _origin(one, plan, turn, rng, at_home=at_home),
        0,
        plan.failures if turn == 0 and plan.failures else (1 + (rng.random() < 0.2) if rng.random() < FAILED else 0),
        batch=role.keys,
        gap_s=(15.0 if role.system else rng.uniform(35, 200)) / plan.pace,
        missed=role.missed if plan.missed < 0 else plan.missed,
        near=role.near if plan.near < 0 else plan.near,
        outside=role.outside if plan.outside < 0 else plan.outside,
        first=other.first if other else one.first,
        span=role.caseload,
        oddity=plan.oddity,
    )
    if other and not plan.known:
        made.outside = max(made.outside, 0.9)
    return made


def _origin(one: Principal, plan: Plan, turn: int, rng: Random, *, at_home: bool) -> Origin:
    grant = plan.grant
    if grant is None and len(one.supplier.grants) > 1 and rng.random() < SECOND_GRANT:
        grant = one.supplier.grants[0]
    network = plan.network or (one.home if at_home else one.network)
    if plan.networks:
        network = rng.choice(plan.networks)
    country = plan.country
    if plan.turns:
        country, network = plan.turns[turn % len(plan.turns)]
    return origin(one, grant=grant, country=country, network=network, key=plan.key)


def _hour(one: Principal, plan: Plan, rng: Random) -> float:
    role = one.role
    middle, width = (role.begins + role.ends) / 2, (role.ends - role.begins) / 2
    # Two peaks, before and after noon, as people work.
    peak = middle + (-0.45 if rng.random() < 0.55 else 0.45) * width
    return min(max(rng.gauss(peak, width * 0.3), role.begins - 0.5), role.ends) + one.shift + plan.shift


def _fetch(one: Principal, plan: Plan, today: Day, rng: Random, rows: list[Row], drawn: set[int | str]) -> None:
    role = one.role
    files = plan.files if plan.files >= 0 else min(8, poisson(rng, role.files * plan.factor))
    if not files:
        return
    session = _session(one, plan, 0, rng, at_home=False)
    hour = role.begins + (one.number * 7 % 100) / 100 * (role.ends - role.begins) + rng.gauss(0, 0.05) + plan.shift
    session.start_us = today.start_us + int(hour * HOUR)
    objects = one.grant.dataset.objects if plan.grant is None else plan.grant.dataset.objects
    session.files = tuple(objects[(one.number + today.number + n) % len(objects)] for n in range(files))
    session.times = plan.times
    session.drawn = drawn
    unfold(session, rng, rows)
