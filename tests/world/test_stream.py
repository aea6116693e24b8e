"""The world is what it says: the same for the same seed, in order where order is no surprise, within its budgets."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from math import exp, lgamma, log
from random import Random

import msgspec
import pytest

from tests.world.acts import negative_binomial, poisson
from tests.world.chances import bounds
from tests.world.days import ZONE, clock_changes, day, quarter_ends
from tests.world.families import held_out, tuned
from tests.world.judging import ORDINARY, Census
from tests.world.shape import ROLES, Account, Size
from tests.world.stream import Seen, World
from tests.world.surprises import KINDS
from tests.world.thefts import principal_days

SPRING = date(2026, 2, 23)  # 60 days from here hold the end of a quarter and the change of clocks
SMALL = Size(200, 60, 3, SPRING)


def digest(world: World) -> str:
    found = sha256()
    for seen in world:
        found.update(msgspec.json.encode((seen.event, seen.who, seen.campaign)))
    return found.hexdigest()


@pytest.fixture(scope="module")
def world() -> World:
    return World(SMALL, tuned, 1e-3)


@pytest.fixture(scope="module")
def stream(world: World) -> list[Seen]:
    return list(world)


def test_the_same_seed_gives_the_same_stream_each_time() -> None:
    size = Size(60, 20, 5)
    world = World(size, held_out)
    first = digest(world)
    assert digest(world) == first, "a second pass"
    assert digest(World(size, held_out)) == first, "another world of this seed"
    assert digest(World(Size(60, 20, 6), held_out)) != first


def test_days_are_made_when_they_are_asked_for(world: World) -> None:
    events = iter(world)
    next(events)
    assert world.today.day.number == 0


def test_time_goes_on_but_for_clocks_and_late_entries(world: World, stream: list[Seen]) -> None:
    odd = {"clock-skew", "late-events"}
    strange = {
        (who, number)
        for instance in world.surprises.instances
        if instance.kind.code in odd
        for who in instance.whos
        for number in range(instance.first, instance.last + 2)  # what began before midnight may end after it
    }
    latest, late, last = 0, 0, -1
    repeated = 0
    seen_before: dict[int, Seen] = {}
    for seen in stream:
        event = seen.event
        if event.index <= last:
            repeated += 1
            assert seen_before[event.index] is seen, "an entry that comes twice is the same entry"
            continue
        last = event.index
        seen_before[last] = seen
        number = (datetime.fromtimestamp(event.time_us / 1e6, UTC).astimezone(ZONE).date() - SPRING).days
        if event.time_us < latest:
            late += 1
            ahead_of_it = (seen.who, number) in strange or (seen.who, number + 1) in strange
            assert ahead_of_it or latest - event.time_us <= 120_000_000, "late, or after one whose clock is ahead"
        else:
            latest = event.time_us
    assert late > 0
    assert repeated > 0
    assert [seen.event.index for seen in stream if seen is seen_before[seen.event.index]][:3] == [0, 1, 2]


def test_the_honest_do_the_same_with_and_without_thieves(world: World, stream: list[Seen]) -> None:
    robbed = {who for campaign in world.campaigns for who in campaign.principals}
    assert robbed

    def conduct(seen: Seen) -> tuple[object, ...]:
        event = seen.event
        return (seen.who, event.time_us, event.what, event.network, event.records, event.missed, event.allowed)

    without = [conduct(seen) for seen in World(SMALL) if seen.who not in robbed]
    assert [conduct(seen) for seen in stream if not seen.campaign and seen.who not in robbed] == without


def test_nothing_is_released_beyond_a_budget(world: World, stream: list[Seen]) -> None:
    days: Counter[tuple[int, str, int]] = Counter()
    months: Counter[tuple[int, str, int]] = Counter()
    refused = 0
    before: set[int] = set()
    number = 0
    for seen in stream:
        event = seen.event
        if event.index in before:
            continue
        before.add(event.index)
        refused += event.reasons == ("budget-spent",)
        while number + 1 < SMALL.days and event.time_us >= day(SPRING, number + 1).start_us + 7 * 3_600_000_000:
            number += 1  # late entries are charged when they come; none is later than six hours
        days[seen.who, event.dataset, number] += event.records
    assert refused > 0
    for (who, dataset, number), records in days.items():
        # Grouped by a day that begins at seven, so one group holds parts of two days at most.
        assert records <= 2 * world.principals[who].role.day
        months[who, dataset, day(SPRING, number).month] += records
    assert all(records <= world.principals[who].role.month * 1.2 for (who, _, _), records in months.items())


def test_an_account_refuses_what_exceeds_the_day_or_the_month() -> None:
    account = Account(10, 15)
    assert account.charge(10, 1, 0)
    assert not account.charge(1, 1, 0)
    assert account.charge(5, 2, 0)
    assert not account.charge(1, 2, 0), "the month's are spent"
    assert not account.charge(1, 3, 0)
    assert account.charge(10, 4, 1), "another month"
    assert not account.charge(6, 5, 1)


@pytest.mark.parametrize("families", [tuned, held_out])
@pytest.mark.parametrize("seed", [1, 1000])
def test_thieves_are_as_rare_as_they_are_said_to_be(families: object, seed: int) -> None:
    size = Size(10_000, 180, seed)
    world = World(size, families)  # type: ignore[arg-type]
    share = sum(principal_days(campaign) for campaign in world.campaigns) / (size.principals * size.days)
    assert 1e-5 <= share <= 1.05e-4
    codes = {family.code for family in families.FAMILIES}  # type: ignore[attr-defined]
    assert {campaign.family for campaign in world.campaigns} == codes
    victims = [who for campaign in world.campaigns for who in campaign.principals]
    assert len(victims) == len(set(victims)), "nobody is robbed twice"


def test_no_family_and_no_seed_is_both_tuned_on_and_held_out() -> None:
    assert not {f.code for f in tuned.FAMILIES} & {f.code for f in held_out.FAMILIES}
    assert not set(tuned.SEEDS) & set(held_out.SEEDS)


def test_every_class_of_surprise_occurs() -> None:
    world = World(Size(400, 60, 4, SPRING))
    census = Census(world)
    for seen in world:
        census.see(seen)
    assert len(KINDS) >= 20
    assert [kind.code for kind in KINDS if not census.active[kind.code]] == []
    assert census.active[ORDINARY] > sum(census.active[kind.code] for kind in KINDS)


def test_conduct_has_the_rates_that_roles_say(world: World, stream: list[Seen]) -> None:
    """Over all ordinary days: misses, near ones and ones outside the caseload lie within exact bounds of the role's."""
    surprised = {who for instance in world.surprises.instances for who in instance.whos if instance.kind.rate}
    asked: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    failed = signed = 0
    for seen in stream:
        event = seen.event
        if seen.campaign or seen.who in surprised:
            continue
        if event.what == "sign-in":
            signed += 1
            failed += not event.allowed
        elif event.allowed:
            code = world.principals[seen.who].role.code
            asked[code] += event.asked
            missed[code] += event.missed
            outside[code] += event.outside
    roles = [role for role in ROLES if asked[role.code]]
    assert len(roles) >= 4
    for role in roles:
        low, high = bounds(missed[role.code], asked[role.code], 0.9999)
        assert low <= role.missed <= high, role.code
        low, high = bounds(outside[role.code], asked[role.code], 0.9999)
        assert low <= role.outside <= high, role.code
    assert 0.015 < sum(missed.values()) / sum(asked.values()) < 0.03, "about 2 % over all"
    low, high = bounds(failed, signed, 0.9999)
    assert low < 0.036 / 1.036 < high, "3 % of visits begin with a refusal, a fifth of these with two"


def test_there_is_less_to_do_at_weekends_and_on_holidays(world: World, stream: list[Seen]) -> None:
    people = {one.number for one in world.principals if not one.role.system}
    per_day: Counter[date] = Counter()
    for seen in stream:
        if seen.who in people and not seen.campaign:
            per_day[datetime.fromtimestamp(seen.event.time_us / 1e6, UTC).astimezone(ZONE).date()] += 1
    wednesdays = [per_day[SPRING + timedelta(days=2 + 7 * week)] for week in range(8)]
    saturdays = [per_day[SPRING + timedelta(days=5 + 7 * week)] for week in range(8)]
    assert max(saturdays) < min(wednesdays) / 2
    assert per_day[date(2026, 4, 6)] < min(wednesdays) / 2, "Easter Monday"


def chi_square(observed: Counter[int], expected: dict[int, float], total: int) -> tuple[float, int]:
    """The statistic and its degrees of freedom; counts that are hardly expected are taken together."""
    statistic, cells, rest_seen, rest_due = 0.0, 0, total, float(total)
    for value, chance in expected.items():
        due = chance * total
        if due < 8:
            continue
        statistic += (observed[value] - due) ** 2 / due
        cells += 1
        rest_seen -= observed[value]
        rest_due -= due
    return statistic + (rest_seen - rest_due) ** 2 / rest_due, cells


def test_volumes_are_negative_binomial() -> None:
    mean, size, total = 18.0, 4.0, 20_000
    rng = Random(7)
    observed = Counter(negative_binomial(rng, mean, size) for _ in range(total))
    p = size / (size + mean)
    expected = {
        k: exp(lgamma(k + size) - lgamma(size) - lgamma(k + 1) + size * log(p) + k * log(1 - p)) for k in range(200)
    }
    statistic, degrees = chi_square(observed, expected, total)
    assert statistic < degrees + 4 * (2 * degrees) ** 0.5
    wrong = {k: exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(200)}
    statistic, degrees = chi_square(observed, wrong, total)
    assert statistic > degrees + 40 * (2 * degrees) ** 0.5, "and the test would have noticed a plain Poisson count"


def test_large_counts_are_drawn_in_parts() -> None:
    rng = Random(7)
    counts = [poisson(rng, 1200.0) for _ in range(200)]
    assert abs(sum(counts) / 200 - 1200) < 4 * (1200 / 200) ** 0.5


def test_the_calendar() -> None:
    assert clock_changes(date(2026, 3, 1), 60) == [28], "29 March 2026"
    assert clock_changes(date(2026, 10, 1), 60) == [24], "25 October 2026"
    assert quarter_ends(date(2026, 3, 1), 60) == [(27, 34)]
    assert not day(date(2026, 4, 27), 0).working, "the king's birthday"
    assert day(date(2026, 3, 30), 0).start_us - day(date(2026, 3, 29), 0).start_us == 23 * 3_600_000_000


def test_victims_and_thieves_can_be_told_apart_only_by_the_label(stream: list[Seen]) -> None:
    """Nothing in an event names a campaign: what is known of it is beside the event."""
    by_campaign: defaultdict[int, set[str]] = defaultdict(set)
    for seen in stream:
        by_campaign[seen.campaign].add(seen.event.what)
    assert len(by_campaign) > 1
    assert not {"campaign", "label", "synthetic"} & set(stream[0].event.__struct_fields__)
