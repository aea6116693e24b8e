"""A Sigma condition, as its parser gives it, as a function of an event; whatever else Sigma knows is refused."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCompareExpression,
    SigmaExists,
    SigmaNull,
    SigmaNumber,
    SigmaString,
    SigmaType,
    SpecialChars,
)

from keten.watch.rules.model import FIELDS, Predicate, text

MOST_NODES = 500
MOST_WILDCARDS = 8
_COMPARE: dict[CompareOperators, Callable[[float, float], bool]] = {
    CompareOperators.LT: operator.lt,
    CompareOperators.LTE: operator.le,
    CompareOperators.GT: operator.gt,
    CompareOperators.GTE: operator.ge,
    CompareOperators.NEQ: operator.ne,
}


class NotSupportedError(Exception):
    """Sigma knows this, and the watch does not; says what."""


class Conditions:
    """Makes functions of conditions, and counts what they are made of over one rule. Raises `NotSupportedError`."""

    def __init__(self) -> None:
        self._nodes = 0

    def predicate(self, node: object) -> Predicate:
        """Whether an event matches."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise NotSupportedError(f"it has more than {MOST_NODES} parts")
        if isinstance(node, ConditionAND | ConditionOR):
            return _joined([self.predicate(each) for each in node.args], every=isinstance(node, ConditionAND))
        if isinstance(node, ConditionNOT):
            inner = self.predicate(node.args[0])
            return lambda event: not inner(event)
        if isinstance(node, ConditionFieldEqualsValueExpression):
            return _compared(node.field, node.value)
        if isinstance(node, ConditionValueExpression):
            raise NotSupportedError("it looks for a value in no field")
        raise NotSupportedError(f"its condition has a {type(node).__name__}")


def _joined(parts: Sequence[Predicate], *, every: bool) -> Predicate:
    if every:
        return lambda event: all(part(event) for part in parts)
    return lambda event: any(part(event) for part in parts)


def _compared(field: str, value: SigmaType) -> Predicate:
    kind = FIELDS.get(field)
    if kind is None:
        raise NotSupportedError(f"events have no field {field!r}")
    made = {int: _of_number, bool: _of_truth, str: _of_text}[kind](field, value)
    if made is None:
        raise NotSupportedError(f"{field} can't be compared with a {type(value).__name__}")
    return made


def _of_number(field: str, value: SigmaType) -> Predicate | None:
    get = operator.attrgetter(field)
    if isinstance(value, SigmaCompareExpression):
        compare, limit = _COMPARE[value.op], value.number.number
        return lambda event: compare(get(event), limit)
    if isinstance(value, SigmaNumber):
        number = value.number
        return lambda event: bool(get(event) == number)
    return None


def _of_truth(field: str, value: SigmaType) -> Predicate | None:
    if not isinstance(value, SigmaBool):
        return None
    get, wanted = operator.attrgetter(field), value.boolean
    return lambda event: get(event) is wanted


def _of_text(field: str, value: SigmaType) -> Predicate | None:
    if isinstance(value, SigmaNull):
        return lambda event: not text(event, field)
    if isinstance(value, SigmaExists):
        wanted = value.exists
        return lambda event: bool(text(event, field)) is wanted
    if not isinstance(value, SigmaString) or isinstance(value, SigmaCasedString):
        return None
    parts = [part.lower() if isinstance(part, str) else part for part in value.s]
    if any(not isinstance(part, str) and part is not SpecialChars.WILDCARD_MULTI for part in parts):
        raise NotSupportedError("a value has ? or a placeholder")
    if len(parts) > 2 * MOST_WILDCARDS:
        raise NotSupportedError(f"a value has more than {MOST_WILDCARDS} wildcards")
    if all(isinstance(part, str) for part in parts):
        wanted_text = "".join(part for part in parts if isinstance(part, str))
        return lambda event: bool(wanted_text) and text(event, field) == wanted_text
    pieces = [part for part in parts if isinstance(part, str)]
    fixed_start, fixed_end = isinstance(parts[0], str), isinstance(parts[-1], str)
    return lambda event: like(text(event, field), pieces, starts=fixed_start, ends=fixed_end)


def like(value: str, pieces: Sequence[str], *, starts: bool, ends: bool) -> bool:
    """Whether the pieces are in a value that is not empty, one after the other.

    starts, ends: the first has to be at its start, the last at its end. One pass over the value for each piece.
    """
    if not value:
        return False
    at, middle = 0, list(pieces)
    if starts:
        if not value.startswith(middle[0]):
            return False
        at = len(middle.pop(0))
    limit = len(value)
    if ends:
        last = middle.pop()
        limit -= len(last)
        if limit < at or not value.endswith(last):
            return False
    for piece in middle:
        found = value.find(piece, at, limit)
        if found < 0:
            return False
        at = found + len(piece)
    return True
