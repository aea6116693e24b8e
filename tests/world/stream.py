"""The world as a stream of events in the order of its ledger, with what each one is: honest, or of which campaign.

One day at a time is made and sorted, so memory holds a day, however long the world. What is asked beyond a budget is
refused here, as the keeper would.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from types import ModuleType
from typing import NamedTuple

from keten.watch.model import Event
from tests.world import surprises, thefts
from tests.world.acts import Campaign, Row, unfold
from tests.world.days import Day, day
from tests.world.honest import perform, usual
from tests.world.shape import Names, Size, suppliers_and_principals
from tests.world.surprises import Instance

SPENT = ("budget-spent",)


class Seen(NamedTuple):
    """An event, the number of its principal, and of its campaign (0: honest)."""

    event: Event
    who: int
    campaign: int


@dataclass(slots=True)
class Today:
    """The day that the stream is in. labelled: surprises by principal."""

    day: Day
    labelled: dict[int, Instance]


class World:
    """Suppliers, principals and their surprises; thieves among them. Honest work is the same with and without thieves,
    but for those of whom a thief needs that they have been away.

    families: a module of `tests.world.families`, or None. prevalence: share of principal-days under attack.
    """

    def __init__(self, size: Size, families: ModuleType | None = None, prevalence: float = 1e-4) -> None:
        self.size = size
        rng = Random(f"{size.seed} people")
        self.suppliers, self.principals = suppliers_and_principals(size, rng)
        self.surprises = surprises.place(size, self.suppliers, self.principals, Random(f"{size.seed} surprises"))
        self.campaigns: list[Campaign] = []
        if families is not None:
            rng = Random(f"{size.seed} {families.__name__}")
            scene = thefts.Scene(size, self.suppliers, self.principals, self.surprises, rng, Names(rng), set())
            self.campaigns = thefts.place(scene, families.FAMILIES, prevalence)
        self.today = Today(day(size.first, 0), {})

    def __iter__(self) -> Iterator[Seen]:
        """All events from the first; each time the same. `today` goes along."""
        self._fresh()
        again: list[tuple[int, int, Seen]] = []  # entries that come a second time
        carried: list[Row] = []
        index = 0
        for number in range(self.size.days):
            rows = self._rows(number, carried)
            end_us = day(self.size.first, number + 1).start_us
            keep = next((n for n, row in enumerate(rows) if row[0] >= end_us), len(rows))
            carried = rows[keep:]
            del rows[keep:]
            for row in rows:
                while again and again[0][0] <= row[0]:
                    yield heapq.heappop(again)[2]
                seen = self._seen(row, index)
                if seen is None:
                    continue
                index += 1
                yield seen
                odd = row[12]
                if odd is not None and odd.again_us:
                    heapq.heappush(again, (row[0] + odd.again_us, index, seen))
        yield from (held[2] for held in sorted(again, key=itemgetter(0, 1)))

    def _fresh(self) -> None:
        for one in self.principals:
            for account in one.accounts.values():
                account.day = account.month = -1
        for campaign in self.campaigns:
            for sessions in campaign.sessions.values():
                for session in sessions:
                    session.origin.refusals = 0

    def _rows(self, number: int, carried: list[Row]) -> list[Row]:
        size = self.size
        today = day(size.first, number)
        acting, labelled = self.surprises.on(number, size.days)
        self.today = Today(today, labelled)
        rng = Random(f"{size.seed} day {number}")
        rows: list[Row] = []
        for one in self.principals:
            if not one.begins <= number <= one.ends:
                continue
            plan = usual(one, today, rng)
            for instance in acting.get(one.number, ()):
                instance.kind.change(plan, instance.drawn, one, number - instance.first, rng)
            if one.away and not one.there(number):
                perform(one, plan, today, rng, [])  # drawn all the same: others' days do not depend on it
                continue
            perform(one, plan, today, rng, rows)
        for campaign in self.campaigns:
            own = Random(f"{size.seed} campaign {campaign.number} day {number}")
            for session in campaign.sessions.get(number, ()):
                unfold(session, own, rows)
        rows += carried
        rows.sort(key=itemgetter(0))
        return rows

    def _seen(self, row: Row, index: int) -> Seen | None:
        """The event of a row; None for what does not happen, since what came before it was refused."""
        at, origin, what, allowed, reasons, records, asked, missed, near, outside, size, name, odd = row
        if what == "delivered":
            if origin.refusals:
                return None
        elif asked or name:
            if origin.refusals >= origin.patience:
                return None
            today = self.today.day
            if records and not origin.account.charge(records, today.number, today.month):
                origin.refusals += 1
                allowed, reasons, records, missed, near, outside, size = False, SPENT, 0, 0, 0, 0, 0
            else:
                origin.refusals = 0
        used_day = used_long = 0
        if allowed and what in {"lookup", "open"}:
            used_day, used_long = origin.account.used(self.today.day.number, self.today.day.month)
        if odd is not None:
            at -= odd.late_us
        return Seen(
            Event(
                index=index,
                id=f"{index:026d}",
                time_us=at,
                what=what,
                allowed=allowed,
                principal=origin.principal,
                supplier=origin.supplier,
                dataset=origin.dataset if what != "sign-in" else "",
                grant=origin.grant if what != "sign-in" else "",
                contract=origin.contract,
                purpose=origin.purpose,
                object=name,
                reasons=reasons,
                records=records,
                asked=asked,
                missed=missed,
                near=near,
                outside=outside,
                bytes=size,
                country=origin.country,
                network=origin.network,
                channel=origin.channel,
                key=origin.key,
                dataset_records=origin.dataset_records,
                contract_ends_us=origin.contract_ends_us,
                used_day=used_day,
                used_long=used_long,
            ),
            origin.who,
            origin.campaign,
        )
