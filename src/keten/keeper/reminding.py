"""Whoever may confirm rights hears of it by letter, once a week at most, while some lapse before long or have."""

from __future__ import annotations

import asyncio

import msgspec
from sqlalchemy import Connection as Reading

from keten.core.clock import DAY, rfc3339
from keten.core.db import translated
from keten.core.errors import Corrupt
from keten.identity import to_tell
from keten.identity.roles import roles_of
from keten.identity.rows import people
from keten.keeper.trusted import Trusted
from keten.ledger.model import Draft
from keten.ledger.query import Filter, find
from keten.ledger.writing import Writing
from keten.suppliers import recertifying
from keten.suppliers.entries import RIGHTS_REMINDED

SOON_US = 30 * DAY
AGAIN_US = 7 * DAY


class Wait(msgspec.Struct, frozen=True):
    """What waits for one person (random id): how many rights, and when the first of them lapses (microseconds UTC)."""

    person: str
    count: int
    first_us: int


class Reminding:
    """Asks for letters; `keeper/recoveries.py` sends them."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    async def go_on(self) -> None:
        """One round. Without a mail server nobody is asked: the console shows what waits.

        1. Rights that lapse within a month, or have: of grants the owner of the dataset, of roles the administrators.
        2. Whoever was asked within a week is left in peace. The ledger says when, so a restart asks nobody twice.
        3. In one transaction: that they were asked, and that a letter is owed.

        Raises `Unavailable`: the clock jumped, or the database can't be read.
        """
        self._trusted.clock.now()
        if not self._trusted.settings.mail.url:
            return
        found = await asyncio.to_thread(self._waiting)
        if found:
            await self._trusted.writer.run(lambda writing: _asked(writing, found), alone=True)

    def _waiting(self) -> list[Wait]:
        now = self._trusted.clock.recording_time()
        rights: dict[str, list[int]] = {}
        broken: list[Corrupt] = []  # `keten ledger verify` names them
        with translated(), self._trusted.reader.connect() as reading:
            for grant in recertifying.waiting_grants(reading, now + SOON_US, broken.append):  # 1
                dataset = self._trusted.register.dataset(grant.dataset)
                if dataset is not None:
                    rights.setdefault(dataset.owner, []).append(grant.confirm_until_us)
            roles = recertifying.waiting_people(reading, now + SOON_US, broken.append)
            for person in self._administrators(reading, now) if roles else ():
                rights.setdefault(person, []).extend(row.confirm_until_us for row in roles if row.id != person)
            return [
                Wait(person, len(moments), min(moments))
                for person, moments in rights.items()
                if moments and not _lately(reading, person, now)  # 2
            ]

    def _administrators(self, reading: Reading, now: int) -> list[str]:
        own = people.find(reading, supplier="")
        return [row.id for row in own if row.ended is None and "administrator" in roles_of(row, now)]


def _lately(reading: Reading, person: str, now: int) -> bool:
    newest = Filter(kind=RIGHTS_REMINDED.name, subject=person, newest_first=True, limit=1)
    return any(entry.time_us > now - AGAIN_US for entry in find(reading, newest))


def _asked(writing: Writing, found: list[Wait]) -> None:
    for one in found:  # 3
        details = {"count": one.count, "first": rfc3339(one.first_us)}
        writing.record(Draft(RIGHTS_REMINDED, "keeper", (one.person,), {}, details))
        to_tell.owe(writing, one.person, "rights")
