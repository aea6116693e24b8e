"""How often within how long: counts for one group, that never hold more than the rule needs to know.

A window ends with an event and begins `span` before it, both included. Of what is older than all of the newest that are
enough nothing is kept: whether a later window holds enough can be told without it. Events that come late are
counted in their own windows; windows that were looked at before they came are not looked at again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

import msgspec

from keten.watch.rules.model import Correlation


class Group(msgspec.Struct):
    """Of one group. times: of events. latest: of a value, or of a rule (its number). amounts: time and amount.

    told_us: when the rule was told of last.
    """

    times: list[int] = []
    latest: dict[str, int] = {}
    amounts: list[tuple[int, int]] = []
    total: int = 0
    told_us: int = -1


def count(correlation: Correlation, group: Group, at_us: int, value: str, amount: int, rules: list[int]) -> int:
    """One more event; what its window now holds, exact up to `need`.

    value: of the field whose values are counted ("": none). amount: to be summed. rules: numbers of those that match.
    """
    kind = correlation.kind
    if kind == "event_count":
        return _events(correlation, group, at_us)
    if kind == "value_sum":
        return _sum(correlation, group, at_us, amount)
    keys = [str(rule) for rule in rules] if kind == "temporal" else [value] if value else []
    return _distinct(correlation, group, at_us, keys)


def _events(correlation: Correlation, group: Group, at_us: int) -> int:
    times = group.times
    insort(times, at_us)
    del times[: -correlation.need]
    return bisect_right(times, at_us) - bisect_left(times, at_us - correlation.span_us)


def _distinct(correlation: Correlation, group: Group, at_us: int, keys: list[str]) -> int:
    latest = group.latest
    for key in keys:
        latest[key] = max(at_us, latest.get(key, 0))
        if len(latest) > correlation.need:
            del latest[min(latest, key=lambda each: latest[each])]
    start = at_us - correlation.span_us
    return sum(start <= last <= at_us for last in latest.values())


def _sum(correlation: Correlation, group: Group, at_us: int, amount: int) -> int:
    amounts = group.amounts
    if amount > 0:
        insort(amounts, (at_us, amount))
        group.total += amount
    newest = amounts[-1][0] if amounts else at_us
    if at_us < newest:  # it comes late: its own window
        start = at_us - correlation.span_us
        return sum(each for time_us, each in amounts if start <= time_us <= at_us)
    gone, start = 0, at_us - correlation.span_us
    while gone < len(amounts) and (amounts[gone][0] < start or group.total - amounts[gone][1] >= correlation.need):
        group.total -= amounts[gone][1]
        gone += 1
    del amounts[:gone]
    return group.total
