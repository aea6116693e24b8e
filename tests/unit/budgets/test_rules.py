"""Calendar windows: whatever clocks do, every moment is in exactly one, and each has the length people expect."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.budgets.model import Charge, Recorded
from keten.budgets.rules import PERIODS, disagreements, kept_from, window, zone
from keten.core.clock import SECOND, to_us
from keten.core.errors import Invalid

HOUR = 3600 * SECOND
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
# With a clock set back over midnight, by half an hour, by a day; offsets of quarters; and none at all.
ZONES = [
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Nuuk",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Europe/Dublin",
]


def us(text: str, tz: ZoneInfo = AMSTERDAM, fold: int = 0) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=tz, fold=fold))


def spans(text: str, per: str, tz: ZoneInfo = AMSTERDAM, fold: int = 0) -> tuple[str, str]:
    """The window of a local moment, as UTC without seconds."""
    found = window(us(text, tz, fold), per, tz)
    start, end = (datetime.fromtimestamp(at / SECOND, UTC) for at in (found.start_us, found.end_us))
    return f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("moment", "per", "start", "end"),
    [
        ("2026-11-22 12:34:56.789", "hour", "2026-11-22 11:00", "2026-11-22 12:00"),
        ("2026-11-22 12:34", "day", "2026-11-21 23:00", "2026-11-22 23:00"),
        ("2026-11-22 23:59:59.999999", "day", "2026-11-21 23:00", "2026-11-22 23:00"),
        ("2026-11-23 00:00", "day", "2026-11-22 23:00", "2026-11-23 23:00"),
        ("2026-11-22 12:34", "week", "2026-11-15 23:00", "2026-11-22 23:00"),  # a Sunday
        ("2026-11-23 00:00", "week", "2026-11-22 23:00", "2026-11-29 23:00"),  # a Monday
        ("2027-01-01 00:00", "week", "2026-12-27 23:00", "2027-01-03 23:00"),  # ISO week 53 of 2026
        ("2026-11-22 12:34", "month", "2026-10-31 23:00", "2026-11-30 23:00"),
        ("2026-12-31 23:59", "month", "2026-11-30 23:00", "2026-12-31 23:00"),
        ("2028-02-29 12:00", "month", "2028-01-31 23:00", "2028-02-29 23:00"),
        ("2027-02-28 12:00", "month", "2027-01-31 23:00", "2027-02-28 23:00"),
        ("2026-03-29 12:00", "day", "2026-03-28 23:00", "2026-03-29 22:00"),  # 23 hours
        ("2026-10-25 12:00", "day", "2026-10-24 22:00", "2026-10-25 23:00"),  # 25 hours
        ("2026-10-12 12:00", "month", "2026-09-30 22:00", "2026-10-31 23:00"),
        ("2026-03-29 01:30", "hour", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("2026-03-29 03:30", "hour", "2026-03-29 01:00", "2026-03-29 02:00"),
    ],
)
def test_windows_in_amsterdam(moment: str, per: str, start: str, end: str) -> None:
    assert spans(moment, per) == (start, end)


def test_an_hour_that_the_clock_shows_twice_is_two_windows() -> None:
    assert spans("2026-10-25 02:30", "hour", fold=0) == ("2026-10-25 00:00", "2026-10-25 01:00")
    assert spans("2026-10-25 02:30", "hour", fold=1) == ("2026-10-25 01:00", "2026-10-25 02:00")


def test_a_clock_that_is_set_within_an_hour_divides_it() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # back from 02:00 to 01:30, by half an hour
    assert spans("2026-04-05 01:45", "hour", lord_howe, fold=0) == ("2026-04-04 14:00", "2026-04-04 15:00")
    assert spans("2026-04-05 01:45", "hour", lord_howe, fold=1) == ("2026-04-04 15:00", "2026-04-04 15:30")


def test_a_day_that_begins_an_hour_late() -> None:
    beirut = ZoneInfo("Asia/Beirut")  # forward at midnight: 00:00 does not come
    assert spans("2026-03-29 12:00", "day", beirut) == ("2026-03-28 22:00", "2026-03-29 21:00")


class LeapsOverMidnight(tzinfo):
    """A clock set forward from 23:30 to 00:30, as Toronto's was in 1919."""

    CHANGE = datetime(2026, 3, 30, 23, 30)  # noqa: DTZ001 - on the clock before the change

    def utcoffset(self, dt: datetime | None) -> timedelta:
        assert dt is not None
        local = dt.replace(tzinfo=None)
        skipped = self.CHANGE <= local < self.CHANGE + timedelta(hours=1)
        after = local >= self.CHANGE and (not skipped or dt.fold == 1)
        return timedelta(hours=1) if after else timedelta()

    def fromutc(self, dt: datetime) -> datetime:
        after = dt.replace(tzinfo=None) >= self.CHANGE
        return dt + timedelta(hours=1) if after else dt

    def tzname(self, _dt: datetime | None) -> str:
        return "leaps"

    def dst(self, _dt: datetime | None) -> timedelta:
        return timedelta()


def test_a_midnight_within_what_a_clock_skipped() -> None:
    change = to_us(datetime(2026, 3, 30, 23, 30, tzinfo=UTC))
    tz = LeapsOverMidnight()
    assert window(change - 1, "day", tz).end_us == change
    assert window(change, "day", tz).start_us == change
    assert window(change, "hour", tz) == window(change + 1800 * SECOND - 1, "hour", tz)
    assert window(change - 1, "hour", tz).end_us == change


@pytest.mark.parametrize("before_us", [1, 2, 3, 4, 5, 600 * SECOND, 1799 * SECOND])
def test_a_change_within_an_hour_is_found_to_the_microsecond(before_us: int) -> None:
    change = to_us(datetime(2026, 3, 30, 23, 30, tzinfo=UTC))
    tz = LeapsOverMidnight()
    assert window(change - before_us, "hour", tz).end_us == change
    assert window(change + before_us, "hour", tz).start_us == change


class FallsBackOverMidnight(tzinfo):
    """A clock set back from 00:01 on a Monday, the first of a month, to 23:01 of the day before."""

    CHANGE = datetime(2026, 6, 1, 0, 1, tzinfo=UTC)  # in UTC, which it shows until then

    def utcoffset(self, dt: datetime | None) -> timedelta:
        assert dt is not None
        local = dt.replace(tzinfo=UTC)
        twice = self.CHANGE - timedelta(hours=1) <= local < self.CHANGE
        after = local >= self.CHANGE or (twice and dt.fold == 1)
        return timedelta(hours=-1) if after else timedelta()

    def fromutc(self, dt: datetime) -> datetime:
        after = dt.replace(tzinfo=UTC) >= self.CHANGE
        shown = dt - timedelta(hours=1) if after else dt
        return shown.replace(fold=int(after and shown.replace(tzinfo=UTC) < self.CHANGE))

    def tzname(self, _dt: datetime | None) -> str:
        return "falls back"

    def dst(self, _dt: datetime | None) -> timedelta:
        return timedelta()


@pytest.mark.parametrize("per", ["day", "week", "month"])
def test_a_period_that_began_goes_on_when_the_clock_shows_the_one_before_again(per: str) -> None:
    tz = FallsBackOverMidnight()
    midnight = to_us(datetime(2026, 6, 1, tzinfo=UTC))
    began = window(midnight, per, tz)
    assert began.start_us == midnight
    assert window(midnight + 1800 * SECOND, per, tz) == began
    assert window(midnight - 1, per, tz).end_us == midnight
    assert window(began.end_us - 1, per, tz) == began
    assert window(began.end_us, per, tz).start_us == began.end_us


def test_hours_are_those_of_the_zones_own_clock() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")  # 5 hours and 45 minutes ahead
    assert spans("2026-11-22 12:30", "hour", kathmandu) == ("2026-11-22 06:15", "2026-11-22 07:15")


def test_the_machines_own_time_zone_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    at = us("2026-11-22 20:00")  # read as a time of the machine's zone, it would be the next day here
    expected = {per: window(at, per, AMSTERDAM) for per in PERIODS}
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert {per: window(at, per, AMSTERDAM) for per in PERIODS} == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_that_comes_back_for_an_hour() -> None:
    """St. John's once set its clocks back at 00:01: to the day before, which was over already."""
    newfoundland = ZoneInfo("America/St_Johns")
    first = window(us("2006-10-29 00:00:30", newfoundland), "day", newfoundland)
    again = window(us("2006-10-28 23:30", newfoundland, fold=1), "day", newfoundland)
    assert first == again
    before = window(us("2006-10-28 23:30", newfoundland, fold=0), "day", newfoundland)
    assert before.end_us == first.start_us


def test_a_day_that_a_zone_skipped() -> None:
    apia = ZoneInfo("Pacific/Apia")  # from 29 to 31 December 2011
    before = window(us("2011-12-29 12:00", apia), "day", apia)
    after = window(us("2011-12-31 12:00", apia), "day", apia)
    assert before.end_us == after.start_us
    assert after.end_us - after.start_us == 24 * HOUR


MOMENTS = st.integers(to_us(datetime(1975, 1, 1, tzinfo=UTC)), to_us(datetime(2037, 12, 31, tzinfo=UTC)))


def changes_of(tz: ZoneInfo) -> list[int]:
    """Moments around which a zone's offset changes, found by walking in days."""
    found = []
    at = datetime(1975, 1, 1, tzinfo=UTC)
    last = at.astimezone(tz).utcoffset()
    while at.year < 2031:
        at += timedelta(days=1)
        offset = at.astimezone(tz).utcoffset()
        if offset != last:
            found.append(to_us(at))
            last = offset
    return found


CHANGES = {name: changes_of(ZoneInfo(name)) for name in ZONES}
LENGTHS = {"hour": HOUR, "day": 26 * HOUR, "week": 7 * 24 * HOUR + 25 * HOUR, "month": 31 * 24 * HOUR + 25 * HOUR}


# Half of the moments near a change, where it is hard.
NEAR = st.sampled_from([(name, at) for name in ZONES for at in CHANGES[name]])
HARD = st.tuples(NEAR, st.integers(0, 50 * HOUR)).map(lambda drawn: (drawn[0][0], drawn[0][1] - drawn[1]))


@given(where=st.tuples(st.sampled_from(ZONES), MOMENTS) | HARD, per=st.sampled_from(PERIODS))
def test_every_moment_is_in_exactly_one_window(where: tuple[str, int], per: str) -> None:
    name, at = where
    tz = ZoneInfo(name)
    found = window(at, per, tz)
    assert {type(found.start_us), type(found.end_us)} == {int}
    assert found.start_us <= at < found.end_us
    assert found.end_us - found.start_us <= LENGTHS[per]
    for inside in (found.start_us, found.end_us - 1, (found.start_us + found.end_us) // 2):
        assert window(inside, per, tz) == found
    assert window(found.end_us, per, tz).start_us == found.end_us
    assert window(found.start_us - 1, per, tz).end_us == found.start_us
    local = datetime.fromtimestamp(found.start_us // SECOND, UTC).astimezone(tz)
    if per == "week":
        assert local.weekday() == 0 or local.date() == date(2011, 12, 31)
    if per == "month":
        assert local.day == 1
    if per != "hour":
        before = datetime.fromtimestamp(found.start_us // SECOND - 1, UTC).astimezone(tz)
        assert before.date() < local.date()  # the first moment of that date


@given(name=st.sampled_from(ZONES), at=MOMENTS)
def test_what_counts_nowhere_any_more_is_before_every_window(name: str, at: int) -> None:
    tz = ZoneInfo(name)
    horizon = kept_from(at, tz)
    assert horizon == min(window(at, per, tz).start_us for per in PERIODS)
    assert at - horizon < 33 * 24 * HOUR


@pytest.mark.parametrize("at", [-1, -(2**62), 2**62, to_us(datetime(9000, 1, 1, tzinfo=UTC))])
def test_moments_out_of_range(at: int) -> None:
    for per in PERIODS:
        with pytest.raises(Invalid) as caught:
            window(at, per, AMSTERDAM)
        assert (caught.value.code, caught.value.reason) == ("budget-window", str(at))


def test_the_first_moment_has_windows_west_of_greenwich_too() -> None:
    assert window(0, "month", ZoneInfo("America/New_York")).start_us < 0


@pytest.mark.parametrize("per", ["", "year", "Day", "minute"])
def test_other_windows_are_refused(per: str) -> None:
    with pytest.raises(Invalid, match="per hour, day, week, month; not per") as caught:
        window(0, per, AMSTERDAM)
    assert caught.value.code == "budget-window"


@pytest.mark.parametrize(
    "name", ["", "Europe/Utopia", "../../etc/passwd", "/etc/localtime", "a\0b", "Europe", "x" * 5000]
)
def test_zones_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        zone(name)
    assert caught.value.code == "timezone-unknown"


# ---- comparing with the ledger ---------------------------------------------------------------------------------------


AT = 1_000_005


def charge(idx: int, records: int = 10, window_start: int = 1000, at_us: int = AT, **values: str) -> Charge:
    grant, client, object_id = (values.get(name, name) for name in ("grant", "client", "object"))
    return Charge(grant, client, object_id, window_start, records, at_us, idx)


def recorded(idx: int, charged: int = 10, window_us: int = 1000, **values: str) -> Recorded:
    grant, client, object_id = (values.get(name, name) for name in ("grant", "client", "object"))
    return Recorded(idx, grant, client, object_id, window_us, charged, AT)


def test_charges_that_their_entries_confirm() -> None:
    charges = [charge(3), charge(7, object="other"), charge(9, records=0, object="empty")]
    entries = [recorded(3), recorded(5, charged=0), recorded(7, object="other"), recorded(9, charged=0, object="empty")]
    assert list(disagreements(charges, entries, 0)) == []
    assert list(disagreements([], [], 0)) == []


def test_a_charge_that_is_gone_is_named_unless_it_counts_nowhere_any_more() -> None:
    entries = [recorded(3), recorded(4, charged=0), recorded(7, window_us=5000)]
    [found] = disagreements([charge(7, window_start=5000)], entries, 1000)
    assert "entry 3" in found
    assert list(disagreements([charge(7, window_start=5000)], entries, 1001)) == []
    assert len(list(disagreements([], entries, 0))) == 2
    assert len(list(disagreements([], [recorded(3, charged=1)], 0))) == 1, "one record is one too many"


@pytest.mark.parametrize(
    "changed",
    [
        charge(3, records=9),
        charge(3, window_start=999),
        charge(3, at_us=AT - 1),  # out of its window it would count no more
        charge(3, grant="other"),
        charge(3, client="other"),
        charge(3, object="other"),
    ],
)
def test_a_charge_that_was_changed_is_named(changed: Charge) -> None:
    [found] = disagreements([changed], [recorded(3)], 0)
    assert "entry 3" in found


def test_a_charge_without_an_entry_is_named() -> None:
    found = list(disagreements([charge(2), charge(3), charge(8)], [recorded(3)], 0))
    assert ["entry 2," in found[0], "entry 8," in found[1], len(found)] == [True, True, 2]
    found = list(disagreements([charge(4)], [recorded(3)], 0))
    assert ["entry 3" in found[0], "entry 4" in found[1]] == [True, True]
