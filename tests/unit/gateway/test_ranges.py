"""Ranges against RFC 9110 read a second time: which bytes a header selects."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keten.gateway.ranges import WHOLE, Span, etag_matches, honours_range, parse_range


def oracle(header: str, size: int) -> tuple[int, int] | str | None:
    """First and last+1 byte; "unsatisfiable"; None where the header is to be ignored. RFC 9110 §14.1 by the letter."""
    unit, equals, rest = header.partition("=")
    if not equals or unit.lower() != "bytes":
        return None
    specs = [one.strip(" \t") for one in rest.split(",")]
    specs = [one for one in specs if one]
    if len(specs) != 1:
        return None
    first, dash, last = specs[0].partition("-")
    if not dash or any(character not in string.digits for character in first + last):
        return None
    if not first:
        if not last:
            return None
        count = min(int(last), size)
        return "unsatisfiable" if count == 0 else (size - count, size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return "unsatisfiable"
    return start, min(int(last) + 1, size) if last else size


def selected(span: Span, size: int) -> tuple[int, int] | str | None:
    """What the keeper makes of a span (keten.exchange.opening), in the oracle's words."""
    if not span.partial:
        return None
    if span.empty:
        return "unsatisfiable"
    if span.start < 0:
        start = max(0, size + span.start)
        return (start, size) if size else "unsatisfiable"
    if span.start >= size:
        return "unsatisfiable"
    return span.start, size if span.length < 0 else min(size, span.start + span.length)


numbers = st.integers(0, 2**70).map(str) | st.integers(0, 40).map(str) | st.just("") | st.just("007")
specs = st.tuples(numbers, st.sampled_from(["-", "-", "-", "", "--", " - "]), numbers).map("".join)
headers = st.tuples(
    st.sampled_from(["bytes=", "bytes=", "Bytes=", "bytes", "lines=", "=", "bytes ="]),
    st.lists(specs, min_size=0, max_size=3).map(",".join),
    st.sampled_from(["", "", " ", ",", "\t,"]),
).map("".join)


@given(headers | st.text(max_size=20), st.integers(0, 2**62) | st.integers(0, 30))
@example("bytes=0-", 0)
@example("bytes=-0", 5)
@example("bytes=0-0,-1", 5)
@example("bytes=5-4", 9)
@example("bytes=,0-1", 9)
@example("bytes=\u0661-\u0662", 9)  # digits, but not ASCII
def test_selects_the_bytes_that_the_rfc_says(header: str, size: int) -> None:
    assert selected(parse_range(header), size) == oracle(header, size)


@given(headers)
def test_numbers_fit_the_protocol(header: str) -> None:
    span = parse_range(header)
    assert -(2**63) <= span.start < 2**63
    assert -1 <= span.length < 2**63


@pytest.mark.parametrize("header", [None, "", "bytes=" + "1" * 300 + "-"])
def test_no_header_or_a_huge_one_is_the_whole(header: str | None) -> None:
    assert parse_range(header) == WHOLE


@pytest.mark.parametrize(
    ("header", "matches"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False), ("", False)],
)
def test_if_none_match(header: str, matches: bool) -> None:
    assert etag_matches(header, '"a"') is matches


@pytest.mark.parametrize(
    ("header", "honoured"),
    [(None, True), ('"a"', True), ('W/"a"', False), ('"b"', False), ("Sat, 01 Jan 2022 00:00:00 GMT", False)],
)
def test_if_range_compares_strongly(header: str | None, honoured: bool) -> None:
    assert honours_range(header, '"a"') is honoured
