"""Whoever may confirm rights is asked by letter, once a week at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from keten.core.clock import DAY
from keten.core.recovering import Mail
from keten.identity import to_tell
from keten.keeper import protocol as said
from keten.keeper.reminding import Reminding
from keten.ledger.query import Filter, find
from keten.suppliers.entries import RIGHTS_REMINDED
from tests.fault.keeper_inside import Inside, run
from tests.town import Town

ZONE = "timezone: Europe/Amsterdam"


class Asks:
    """A keeper whose rights have to be confirmed within so many days."""

    def __init__(self, inside: Inside, ids: dict[str, dict[str, str]]) -> None:
        self.inside, self.ids = inside, ids
        self.reminding = Reminding(inside.trusted)

    def mail(self) -> None:
        trusted, mail = self.inside.trusted, Mail("smtps://localhost", "k@example.org")
        trusted.settings = msgspec.structs.replace(trusted.settings, mail=mail)

    def owed(self) -> list[tuple[str, str]]:
        with self.inside.trusted.reader.connect() as reading:
            return [(row.person, row.what) for row in to_tell.rows(reading)]

    def asked(self) -> list[str]:
        with self.inside.trusted.reader.connect() as reading:
            found = find(reading, Filter(kind=RIGHTS_REMINDED.name))
            return [entry.payload.subjects[0] for entry in found if entry.payload]


def with_days(days: str, stopped: Town, tmp_path: Path, testing: Callable[[Asks], Awaitable[None]]) -> None:
    async def inside_keeper(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=(ZONE, f"{ZONE}, {days}"))
        await testing(Asks(inside, applied.ids))

    run(stopped, tmp_path, inside_keeper)


def test_owners_and_administrators_are_asked_once_a_week(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def testing(asks: Asks) -> None:
        trusted = asks.inside.trusted
        await asks.reminding.go_on()
        assert asks.asked() == [], "without a mail server nobody is asked"
        asks.mail()
        await asks.reminding.go_on()
        first = asks.asked()
        assert len(first) == len(set(first)) > 0
        assert sorted(asks.owed()) == sorted((person, "rights") for person in first)
        await asks.reminding.go_on()
        assert asks.asked() == first, "not twice in a week"
        now = trusted.clock.recording_time()
        monkeypatch.setattr(trusted.clock, "recording_time", lambda: now + 8 * DAY)
        await asks.reminding.go_on()
        assert sorted(asks.asked()) == sorted(first * 2)

    with_days("confirm_grants_days: 20, confirm_roles_days: 20", stopped, tmp_path, testing)


def test_nobody_is_asked_for_what_is_far_away(stopped: Town, tmp_path: Path) -> None:
    async def testing(asks: Asks) -> None:
        asks.mail()
        await asks.reminding.go_on()
        assert asks.asked() == []

    with_days("confirm_grants_days: 40, confirm_roles_days: 40", stopped, tmp_path, testing)
