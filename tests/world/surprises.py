"""Honest surprises: classes of days on which somebody who does nothing wrong looks as if. Each has labelled instances.

What a class changes is in `changes.py`; here they are listed and given their places in the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from tests.world import changes
from tests.world.changes import Change, Drawn
from tests.world.days import clock_changes, day, quarter_ends
from tests.world.shape import PEOPLE, SYSTEMS, WITH_CASELOAD, Names, Principal, Size, Supplier, of_roles

Scope = Literal["one", "supplier", "calendar"]
CASELOAD_OR_DESK = WITH_CASELOAD | {"desk"}
BATCHES = frozenset({"batch"})
TRIES = 40
LONG_LEAVE = 0.1  # of leaves take two to four months


@dataclass(frozen=True)
class Kind:
    """A class of honest surprise.

    code, says: its name, and what it is. rate: instances in a year for 10,000 of those it can happen to (scope one),
    or for 100 suppliers (scope supplier). days: fewest and most. saturday: it begins on one. stays: what it changes
    goes on after the labelled days.
    """

    code: str
    says: str
    change: Change
    scope: Scope
    rate: float
    days: tuple[int, int]
    roles: frozenset[str] = PEOPLE | SYSTEMS
    saturday: bool = False
    stays: bool = False


KINDS: tuple[Kind, ...] = (
    Kind(
        "carrier-nat",
        "mobile carrier: another shared network for each visit",
        changes.carrier,
        "one",
        600,
        (3, 10),
        PEOPLE,
    ),
    Kind(
        "mobile-churn",
        "on a train: many short visits, each from another network",
        changes.churn,
        "one",
        900,
        (1, 2),
        PEOPLE,
    ),
    Kind("vpn-move", "the supplier's VPN leaves the internet in another country", changes.vpn, "supplier", 20, (2, 10)),
    Kind(
        "client-upgrade", "upgrade wave: everybody signs in anew, often twice", changes.upgrade, "supplier", 60, (1, 3)
    ),
    Kind(
        "migration-weekend",
        "systems move: new network and key, much work, on a weekend",
        changes.migration,
        "supplier",
        25,
        (2, 2),
        SYSTEMS,
        True,
    ),
    Kind("audit-export", "an auditor wants every file of a dataset", changes.audit, "one", 400, (1, 1), BATCHES),
    Kind(
        "on-call-night", "night duty of somebody who works by day", changes.night, "one", 1500, (1, 4), CASELOAD_OR_DESK
    ),
    Kind("new-starter", "first days in a job", changes.starter, "one", 1500, (10, 10), PEOPLE),
    Kind(
        "return-from-leave",
        "back after weeks or months, with what has piled up",
        changes.returned,
        "one",
        2500,
        (4, 4),
        PEOPLE,
    ),
    Kind("clock-skew", "clocks that are minutes ahead or behind", changes.skewed, "supplier", 30, (1, 5)),
    Kind("late-events", "entries that come minutes to hours late", changes.late, "supplier", 30, (1, 2)),
    Kind("duplicate-events", "entries that come twice", changes.twice, "supplier", 30, (1, 2)),
    Kind("quarter-end", "the end of a quarter", changes.quarter_end, "calendar", 0, (8, 8)),
    Kind("summer-time", "the week after clocks were set forward or back", changes.nothing, "calendar", 0, (7, 7)),
    Kind(
        "contract-hand-over",
        "the last days of a contract, with work to finish",
        changes.hand_over,
        "calendar",
        0,
        (10, 10),
    ),
    Kind(
        "caseload-take-over",
        "takes over a colleague's caseload; the grant is changed days later",
        changes.take_over,
        "one",
        1500,
        (10, 15),
        WITH_CASELOAD,
    ),
    Kind(
        "office-move",
        "the supplier's office has another network from now on",
        changes.moved,
        "supplier",
        15,
        (5, 5),
        stays=True,
    ),
    Kind(
        "key-rotation", "a new key; for some days the old one as well", changes.rotated, "one", 3000, (5, 5), stays=True
    ),
    Kind("country-trip", "works from another country of the contract", changes.trip, "one", 1200, (3, 10), PEOPLE),
    Kind(
        "new-purpose", "a grant for another purpose, and it is used", changes.purposes, "one", 800, (5, 5), stays=True
    ),
    Kind(
        "retry-storm",
        "a client that goes wrong: refused and repeated hundreds of times",
        changes.storm,
        "one",
        1000,
        (1, 1),
        SYSTEMS,
    ),
    Kind("bulk-file-day", "nearly all files of a dataset on one day", changes.bulk_files, "one", 1500, (1, 1), BATCHES),
    Kind("holiday-cover", "works for two colleagues who are away", changes.cover, "one", 1500, (5, 12), WITH_CASELOAD),
    Kind(
        "batch-re-run", "a night's files fetched three times, in daytime", changes.again, "one", 2000, (1, 1), BATCHES
    ),
    Kind("overtime", "a weekend's work", changes.overtime, "one", 2000, (2, 2), PEOPLE, True),
    Kind(
        "bad-list", "a list with old keys: many misses, quickly", changes.bad_list, "one", 800, (1, 1), CASELOAD_OR_DESK
    ),
    Kind("household", "families: keys that lie side by side", changes.household, "one", 1500, (1, 1), CASELOAD_OR_DESK),
    Kind(
        "outage-morning",
        "sign-in is out of order: everybody is refused some times",
        changes.outage,
        "supplier",
        30,
        (1, 1),
    ),
    Kind(
        "split-tunnel",
        "two countries by turns: part of the traffic goes through a VPN",
        changes.split,
        "one",
        200,
        (1, 3),
        PEOPLE,
    ),
)


@dataclass(slots=True)
class Instance:
    """One surprise: whom it happens to, on which days (first and last), and what was drawn for it."""

    kind: Kind
    number: int
    whos: tuple[int, ...]
    first: int
    last: int
    drawn: Drawn


@dataclass(slots=True)
class Surprises:
    """All surprises of a world, and whom they happen to on a day."""

    instances: list[Instance] = field(default_factory=list)
    unsettled: set[int] = field(default_factory=set)

    def on(self, number: int, days: int) -> tuple[dict[int, list[Instance]], dict[int, Instance]]:
        """On a day: what changes whose conduct; and under which surprise a principal's day is labelled."""
        acting: dict[int, list[Instance]] = {}
        labelled: dict[int, Instance] = {}
        for instance in self.instances:
            if not instance.first <= number <= (days if instance.kind.stays else instance.last):
                continue
            for who in instance.whos:
                acting.setdefault(who, []).append(instance)
                if number <= instance.last:
                    labelled.setdefault(who, instance)
        return acting, labelled


def place(size: Size, suppliers: Sequence[Supplier], principals: Sequence[Principal], rng: Random) -> Surprises:
    """Give each class its instances: those of one principal first, so that labels of its days are its own."""
    placing = _Placing(size, suppliers, principals, rng)
    for scope in ("one", "supplier"):
        for kind in KINDS:
            if kind.scope == scope:
                placing.kind(kind)
    placing.calendar({kind.code: kind for kind in KINDS if kind.scope == "calendar"})
    return placing.found


class _Placing:
    def __init__(self, size: Size, suppliers: Sequence[Supplier], principals: Sequence[Principal], rng: Random) -> None:
        self.found = Surprises()
        self._size, self._suppliers, self._principals, self._rng = size, suppliers, principals, rng
        self._names = Names(rng)
        self._busy: dict[int, list[tuple[int, int]]] = {}
        self._saturdays = [n for n in range(size.days - 1) if day(size.first, n).weekday == 5]

    def kind(self, kind: Kind) -> None:
        """Instances of one class: as many as its rate says, and two at least where there is room."""
        years = self._size.days / 365
        whom = of_roles(self._principals, kind.roles)
        many = len(whom) / 10_000 if kind.scope == "one" else len(self._suppliers) / 100
        for _ in range(max(2, round(kind.rate * many * years))):
            for _ in range(TRIES):
                if self._try(kind, whom):
                    break

    def _try(self, kind: Kind, whom: Sequence[int]) -> bool:
        rng = self._rng
        length = rng.randint(*kind.days)
        if self._size.days <= length or not whom or (kind.saturday and not self._saturdays):
            return False
        first = rng.choice(self._saturdays) if kind.saturday else rng.randrange(self._size.days - length)
        last = first + length - 1
        if kind.scope == "one":
            whos: Iterable[int] = (rng.choice(whom),)
        else:
            roles = kind.roles
            whos = [w for w in rng.choice(self._suppliers).whos if self._principals[w].role.code in roles]
        free = tuple(who for who in whos if self._free(who, first, last))
        if not free:
            return False
        instance = Instance(kind, len(self.found.instances), free, first, last, self._draw(free[0]))
        if not self._prepare(instance):
            return False
        for who in free:
            self._busy.setdefault(who, []).append((instance.first, last))
            if kind.stays:
                self.found.unsettled.add(who)
        self.found.instances.append(instance)
        return True

    def _free(self, who: int, first: int, last: int) -> bool:
        one = self._principals[who]
        if not (one.there(first) and one.there(last)):
            return False
        return not any(first <= end and begin <= last for begin, end in self._busy.get(who, ()))

    def _draw(self, who: int) -> Drawn:
        rng, one = self._rng, self._principals[who]
        others = [c for c in one.supplier.countries if c != one.country]
        colleagues = [w for w in one.supplier.whos if w != who and self._principals[w].role is one.role]
        return Drawn(
            networks=tuple(self._names.network() for _ in range(12)),
            country=rng.choice(others),
            key=self._names.id(),
            amount=rng.random(),
            grant=self._names.id(),
            others=tuple(self._principals[w] for w in rng.sample(colleagues, min(2, len(colleagues)))),
        )

    def _prepare(self, instance: Instance) -> bool:
        """What has to be true before: a starter was not there, somebody on leave was away. False: it can't be so."""
        one, rng = self._principals[instance.whos[0]], self._rng
        if instance.kind.code in {"caseload-take-over", "holiday-cover"}:
            return bool(instance.drawn.others)
        if instance.kind.code == "new-starter":
            if self._busy.get(one.number) or instance.first == 0:
                return False
            one.begins = instance.first
        if instance.kind.code == "return-from-leave":
            away = rng.randint(60, 110) if rng.random() < LONG_LEAVE else rng.randint(10, 40)
            begin = max(0, instance.first - away)
            if begin == instance.first or not self._free(one.number, begin, instance.first):
                return False
            one.away.append((begin, instance.first - 1))
            self._busy.setdefault(one.number, []).append((begin, instance.first - 1))
        return True

    def calendar(self, kinds: dict[str, Kind]) -> None:
        """What the calendar brings: half of the suppliers at the end of a quarter, everybody when clocks are set."""
        size, rng = self._size, self._rng
        for begin, end in quarter_ends(size.first, size.days):
            for supplier in self._suppliers:
                if rng.random() < 0.5:
                    self._add(kinds["quarter-end"], supplier.whos, begin, end)
        for number in clock_changes(size.first, size.days):
            last = min(number + 6, size.days - 1)
            self._add(kinds["summer-time"], range(len(self._principals)), number + 1, last)
        for supplier in self._suppliers:
            if supplier.ends < size.days:
                self._add(kinds["contract-hand-over"], supplier.whos, max(0, supplier.ends - 10), supplier.ends - 1)

    def _add(self, kind: Kind, whos: Sequence[int], first: int, last: int) -> None:
        if whos:
            drawn = self._draw(whos[0])
            self.found.instances.append(
                Instance(kind, len(self.found.instances), tuple(whos), first, last, drawn),
            )
