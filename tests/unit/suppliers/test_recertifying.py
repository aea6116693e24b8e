"""Rights that have to be confirmed: until when they count, who may say so, and what becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest

from keten.core.clock import DAY
from keten.core.errors import Conflict, Corrupt, Invalid, NotFound
from keten.identity.model import Confirmation, Person
from keten.identity.roles import roles_of
from keten.identity.rows import people
from keten.suppliers import recertifying
from keten.suppliers.confirmation import confirming
from keten.suppliers.model import Grant
from keten.suppliers.rows import grants
from tests.unit.suppliers.instances import ESTATE, Instance

WITH = ESTATE.replace(
    "timezone: Europe/Amsterdam}",
    "timezone: Europe/Amsterdam, confirm_grants_days: 90, confirm_roles_days: 365}",
)
GRANT = "voters-for-drukwerk"
OWN = "dpo"


def grant(instance: Instance, name: str = GRANT) -> Grant:
    with instance.reader.connect() as connection:
        (row,) = grants.find(connection, name=name)
        return row


def person(instance: Instance, name: str = OWN) -> Person:
    with instance.reader.connect() as connection:
        (row,) = people.find(connection, name=name)
        return row


def until(row: Grant | Person) -> int:
    assert row.confirm is not None
    return row.confirm.until_us


@pytest.mark.parametrize(
    ("days", "before", "after"),
    [
        (0, None, None),
        (0, Confirmation(10, 5 * DAY), Confirmation(0, 0, 4 * DAY)),
        (0, Confirmation(10, DAY // 2), Confirmation(0, 0)),
        (0, Confirmation(0, 0, 4 * DAY), Confirmation(0, 0, 4 * DAY)),
        (10, Confirmation(0, 0, 4 * DAY), Confirmation(10, 5 * DAY)),
        (3, Confirmation(0, 0, 4 * DAY), Confirmation(3, 4 * DAY)),
        (10, Confirmation(0, 0), Confirmation(10, DAY)),  # what had lapsed is given no time
        (10, None, Confirmation(10, 11 * DAY)),
        (10, Confirmation(10, 5 * DAY), Confirmation(10, 5 * DAY)),
        (10, Confirmation(10, 11 * DAY), Confirmation(10, 11 * DAY)),
        (3, Confirmation(10, 11 * DAY), Confirmation(3, 4 * DAY)),
        (20, Confirmation(10, 5 * DAY), Confirmation(20, 5 * DAY)),
        (10, Confirmation(10, DAY), Confirmation(10, DAY)),  # lapsed stays lapsed
    ],
)
def test_what_an_estate_makes_of_it(days: int, before: Confirmation | None, after: Confirmation | None) -> None:
    assert confirming(days, before, DAY) == after


def test_what_is_new_is_confirmed_by_the_estate_and_no_more_by_the_same_one_again(instance: Instance) -> None:
    instance.apply(WITH)
    first = until(grant(instance))
    assert first == instance.now_us + 90 * DAY
    assert until(person(instance)) == instance.now_us + 365 * DAY
    instance.now_us += 10 * DAY
    assert instance.apply(WITH).changes == []
    assert until(grant(instance)) == first


def test_whoever_has_no_role_has_nothing_to_confirm(instance: Instance) -> None:
    instance.apply(WITH)
    with instance.reader.connect() as connection:
        without = [row for row in people.each(connection) if not row.roles]
    assert without
    assert all(row.confirm is None for row in without)


def test_a_dataset_of_its_own_rhythm(instance: Instance) -> None:
    instance.apply(WITH.replace("{id: voters, owner", "{id: voters, confirm_days: 7, owner"))
    assert until(grant(instance)) == instance.now_us + 7 * DAY


def test_a_shorter_rhythm_shortens_and_a_longer_one_waits(instance: Instance) -> None:
    instance.apply(WITH)
    first = until(grant(instance))
    instance.apply(WITH.replace("confirm_grants_days: 90", "confirm_grants_days: 400"))
    assert grant(instance).confirm == Confirmation(400, first)
    instance.apply(WITH.replace("confirm_grants_days: 90", "confirm_grants_days: 5"))
    assert until(grant(instance)) == instance.now_us + 5 * DAY


def test_another_role_is_confirmed_by_whoever_gives_it_and_one_less_is_not(instance: Instance) -> None:
    instance.apply(WITH)
    first = until(person(instance))
    instance.now_us += 10 * DAY
    roles = next(line for line in WITH.splitlines() if "id: dpo" in line)
    assert "roles: [" in roles
    more = roles.replace("roles: [", "roles: [auditor, ")
    instance.apply(WITH.replace(roles, more))
    assert until(person(instance)) == instance.now_us + 365 * DAY > first
    second = until(person(instance))
    instance.now_us += 10 * DAY
    instance.apply(WITH)
    assert until(person(instance)) == second


def test_taking_the_rhythm_out_and_putting_it_back_confirms_nothing(instance: Instance) -> None:
    instance.apply(WITH)
    instance.now_us += 80 * DAY
    instance.apply(ESTATE)
    assert not grant(instance).lapsed_at(instance.now_us + 100 * DAY)
    assert grant(instance).confirm_until_us == 0
    assert instance.apply(ESTATE).changes == []
    with pytest.raises(Conflict, match="Nobody has to"):
        instance.write(lambda writing: recertifying.confirm_grant(writing, grant(instance).id, "person:x"))
    instance.now_us += 30 * DAY  # that nobody had to for a while takes no time away either
    instance.apply(WITH)
    assert 9 * DAY < until(grant(instance)) - instance.now_us <= 10 * DAY
    instance.now_us += 11 * DAY
    instance.apply(ESTATE)
    instance.apply(WITH)
    assert grant(instance).lapsed_at(instance.now_us)
    with instance.reader.connect() as connection:
        assert not recertifying.overdue(connection, instance.now_us)  # and there is a month again to confirm it


def test_nobody_confirms_its_own_roles_by_an_estate(instance: Instance) -> None:
    row = instance.apply(WITH).ids["person"][OWN]
    first = until(person(instance))
    roles = next(line for line in WITH.splitlines() if "id: dpo" in line)
    more = WITH.replace(roles, roles.replace("roles: [", "roles: [auditor, "))
    instance.now_us += 300 * DAY
    for text in (more, WITH, ESTATE, WITH):
        instance.apply(text, f"person:{row}")
        assert person(instance).roles
    assert abs(until(person(instance)) - first) < DAY


def test_confirming_counts_from_now(instance: Instance) -> None:
    row = instance.apply(WITH).ids["grant"][GRANT]
    instance.now_us += 100 * DAY
    assert grant(instance).lapsed_at(instance.now_us)
    instance.write(lambda writing: recertifying.confirm_grant(writing, row, "person:somebody"))
    assert until(grant(instance)) == instance.now_us + 90 * DAY
    assert not grant(instance).lapsed_at(instance.now_us)


def test_nobody_confirms_its_own_roles(instance: Instance) -> None:
    row = instance.apply(WITH).ids["person"][OWN]
    with pytest.raises(Conflict) as caught:
        instance.write(lambda writing: recertifying.confirm_roles(writing, row, f"person:{row}"))
    assert caught.value.code == "own-self"
    instance.now_us += 400 * DAY
    assert roles_of(person(instance), instance.now_us) == ()
    instance.write(lambda writing: recertifying.confirm_roles(writing, row, "person:another"))
    assert roles_of(person(instance), instance.now_us) == person(instance).roles != ()


@pytest.mark.parametrize("what", ["absent", "ended", "nothing-to-confirm"])
def test_what_can_not_be_confirmed(instance: Instance, what: str) -> None:
    row = instance.apply(ESTATE if what == "nothing-to-confirm" else WITH).ids["grant"][GRANT]
    if what == "ended":
        instance.end("grant", row)
    asked = "a" * 26 if what == "absent" else row
    with pytest.raises((Conflict, NotFound)) as caught:
        instance.write(lambda writing: recertifying.confirm_grant(writing, asked, "person:x"))
    assert caught.value.code == what


def waiting(instance: Instance, within: int) -> list[str]:
    broken: list[Corrupt] = []
    at = instance.now_us + within
    with instance.reader.connect() as connection:
        found: list[Any] = [*recertifying.waiting_grants(connection, at, broken.append)]
        found += recertifying.waiting_people(connection, at, broken.append)
    assert not broken
    return [row.name for row in found]


def test_what_waits_is_found_by_its_moment(instance: Instance) -> None:
    instance.apply(ESTATE)
    assert waiting(instance, 10_000 * DAY) == []
    instance.apply(WITH)
    assert waiting(instance, 89 * DAY) == []
    assert GRANT in waiting(instance, 90 * DAY + 1)
    assert OWN not in waiting(instance, 364 * DAY)
    assert OWN in waiting(instance, 366 * DAY)
    instance.apply(ESTATE)
    assert waiting(instance, 10_000 * DAY) == []


def test_an_owner_sees_its_own_however_many_others_wait(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """All grants that come under it at once lapse at the same moment; the first of them are not everybody's."""
    people_line = next(line for line in WITH.splitlines() if "id: dpo" in line)
    other = people_line.replace("id: dpo", "id: other").replace("dpo@", "other@")
    first = next(line for line in WITH.splitlines() if "{id: voters" in line)
    more = [first.replace("id: voters", f"id: more-{each}").replace("owner: dpo", "owner: other") for each in range(9)]
    text = WITH.replace(people_line, f"{people_line}\n{other}").replace(first, "\n".join([first, *more]))
    body = text[text.index(f"  - id: {GRANT}") :].rstrip()
    again = [body.replace(GRANT, f"g-{each}").replace("dataset: voters", f"dataset: more-{each}") for each in range(9)]
    ids = instance.apply(text.rstrip() + "\n" + "\n".join(again) + "\n").ids["person"]
    monkeypatch.setattr(recertifying, "MOST", 1)
    monkeypatch.setattr(recertifying, "_AT_ONCE", 2)
    broken: list[Corrupt] = []
    with instance.reader.connect() as connection:
        at = instance.now_us + 100 * DAY
        own = recertifying.waiting_grants(connection, at, broken.append, ids[OWN])
        assert [row.name for row in own] == [GRANT]
        (others,) = recertifying.waiting_grants(connection, at, broken.append, ids["other"])
        assert others.name.startswith("g-")
    assert not broken


def test_what_nobody_confirmed_for_a_month_ends_for_good(instance: Instance) -> None:
    instance.apply(WITH)
    last = until(grant(instance)) + recertifying.LATE_US
    something_is_recorded(instance, last - recertifying.LATE_US // 2)
    instance.now_us = last - 1_000_001
    assert instance.write(lambda writing: recertifying.end_unconfirmed(writing, "keeper")) == []
    instance.now_us = last - 1_000_000
    ended = instance.write(lambda writing: recertifying.end_unconfirmed(writing, "keeper"))
    assert grant(instance).id in ended
    found = grant(instance).ended
    assert found is not None
    assert (found.reason, found.by) == (recertifying.NOT_CONFIRMED, "keeper")
    assert GRANT not in waiting(instance, 10_000 * DAY)
    assert not instance.write(lambda writing: recertifying.end_unconfirmed(writing, "keeper"))


@pytest.mark.parametrize("recorded", [-1, 31])
def test_nothing_ends_when_nobody_could_have_confirmed_it(instance: Instance, recorded: int) -> None:
    """The machine was off for all of it, or came up with a clock of next year. recorded: days after the lapse."""
    instance.apply(WITH)
    lapses = until(grant(instance))
    something_is_recorded(instance, lapses + recorded * DAY)
    instance.now_us = lapses + 300 * DAY
    with instance.reader.connect() as connection:
        assert not recertifying.overdue(connection, instance.now_us)
    assert instance.write(lambda writing: recertifying.end_unconfirmed(writing, "keeper")) == []
    assert grant(instance).lapsed_at(instance.now_us)
    instance.write(lambda writing: recertifying.confirm_grant(writing, grant(instance).id, "person:owner"))
    assert not grant(instance).lapsed_at(instance.now_us)


def something_is_recorded(instance: Instance, at_us: int) -> None:
    """Somebody is confirmed then."""
    instance.now_us = at_us
    row = person(instance)
    instance.write(lambda writing: recertifying.confirm_roles(writing, row.id, "person:another"))


@pytest.mark.parametrize("days", ["-1", "1826", "often", "'30'"])
@pytest.mark.parametrize("key", ["confirm_grants_days", "confirm_roles_days"])
def test_days_that_are_none(instance: Instance, key: str, days: str) -> None:
    text = ESTATE.replace("timezone: Europe/Amsterdam}", f"timezone: Europe/Amsterdam, {key}: {days}}}")
    with pytest.raises(Invalid, match=key):
        instance.apply(text)
