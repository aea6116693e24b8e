"""Days and moments of contracts, with the changes of the clock that make a day begin or end at an odd moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.clock import from_rfc3339
from keten.suppliers.moments import day_end_us, day_start_us, end_us, start_us, zone, zone_names

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("place", "text", "starts", "ends"),
    [
        ("Europe/Amsterdam", "2026-01-01", "2025-12-31T23:00:00Z", "2026-01-01T23:00:00Z"),
        ("Europe/Amsterdam", "2026-07-01", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z"),
        # the clock is set forward at 02:00: a day of 23 hours
        ("Europe/Amsterdam", "2026-03-28", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"),
        ("Europe/Amsterdam", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        # and back at 03:00: one of 25
        ("Europe/Amsterdam", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("UTC", "2028-02-29", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
        # forward at 00:00: the day begins at 01:00
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        # back at 00:00 to 23:00: the day before lasts an hour longer
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"),
        # back at 01:00 to 00:00: 00:00 comes twice, and the day has begun at the first
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("America/Havana", "2026-10-31", "2026-10-31T04:00:00Z", "2026-11-01T04:00:00Z"),
        # back at 00:01 to 23:01: the day goes on after the next one had begun for a minute
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30:00Z", "2010-11-07T03:30:00Z"),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
        # a calendar day that never was
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ],
)
def test_a_date_is_that_day_in_the_organisations_time_zone(place: str, text: str, starts: str, ends: str) -> None:
    assert start_us(text, ZoneInfo(place)) == from_rfc3339(starts)
    assert end_us(text, ZoneInfo(place)) == from_rfc3339(ends)


def test_a_clock_set_forward_over_midnight() -> None:
    """Toronto went from 23:30 to 00:30 in 1919; the day began at the second of these."""
    toronto = ZoneInfo("America/Toronto")
    turn = from_rfc3339("1919-03-31T04:30:00Z")
    assert day_start_us(date(1919, 3, 31), toronto) == turn
    assert day_end_us(date(1919, 3, 30), toronto) == turn


@given(
    st.dates(date(1970, 1, 2), date(2037, 12, 30)),
    st.sampled_from(
        [
            "Europe/Amsterdam",
            "America/Sao_Paulo",
            "America/Havana",
            "America/St_Johns",
            "Africa/Cairo",
            "Asia/Beirut",
            "Pacific/Apia",
            "Asia/Amman",
            "Atlantic/Azores",
            "America/Asuncion",
            "Antarctica/Troll",
            "Asia/Gaza",
        ]
    ),
)
def test_a_day_holds_its_own_moments_only(day: date, name: str) -> None:
    where = ZoneInfo(name)
    start, end = day_start_us(day, where), day_end_us(day, where)

    def local(us: int) -> date:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(where).date()

    assert local(start - 1) < day
    assert local(end) > day
    if start == end:  # the day never was
        assert local(start) != day
    else:
        assert local(start) == day
        assert local(end - 1) == day
        assert 0 < end - start <= 26 * 3600 * SECOND
    assert day_start_us(day + timedelta(days=1), where) <= end


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-31T17:00:00+01:00", "2026-12-31T16:00:00Z"),
        ("2026-12-31T17:00+01:00", "2026-12-31T16:00:00Z"),
        ("2026-12-31 17:00:30-05:00", "2026-12-31T22:00:30Z"),
        ("2026-12-31t23:59:59z", "2026-12-31T23:59:59Z"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
    ],
)
def test_a_time_with_offset_is_that_moment(text: str, moment: str) -> None:
    where = ZoneInfo("Asia/Kathmandu")
    assert start_us(text, where) == end_us(text, where) == from_rfc3339(moment)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write a date"),
        ("tomorrow", "write a date"),
        ("31-12-2026", "write a date"),
        ("2026-12", "write a date"),
        ("20261231", "write a date"),
        ("2026-W53-4", "write a date"),
        ("2026-12-31T17", "write a date"),
        ("2026-12-31T17:00:00+0100", "write a date"),
        ("2026-12-31T17:00:00+01:00 ", "write a date"),
        ("2026-12-31\n", "write a date"),
        ("\uff12\uff10\uff12\uff16-12-31", "write a date"),
        ("2026-12-31T17:00:00", "offset"),
        ("2026-12-31 17:00", "offset"),
        ("2026-12-31T17:00:00.5Z", "to the second"),
        ("2026-02-29", "no such day"),
        ("2026-13-01", "no such day"),
        ("2026-12-32", "no such day"),
        ("2026-12-31T25:00:00Z", "no such day"),
        ("2026-12-31T23:59:60Z", "no such day"),
        ("2026-12-31T17:00:00+99:00", "no such day"),
        ("1969-12-31", "year"),
        ("9999-12-31", "year"),
        ("0000-01-01", "no such day"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    for read in (start_us, end_us):
        with pytest.raises(ValueError, match=why):
            read(text, ZoneInfo("Europe/Amsterdam"))


def test_the_last_day_that_can_be_written() -> None:
    assert end_us("9998-12-31", ZoneInfo("Pacific/Apia")) > start_us("9998-12-31", ZoneInfo("Pacific/Apia"))


@pytest.mark.parametrize(
    "name", ["", "Europe", "../etc/passwd", "/etc/localtime", "localtime", "europe/amsterdam", "a\0b"]
)
def test_only_real_time_zones(name: str) -> None:
    assert zone(name) is None


def test_the_zones_of_the_union_are_known() -> None:
    assert {"Europe/Amsterdam", "Europe/Brussels", "America/Curacao", "UTC"} <= zone_names()
