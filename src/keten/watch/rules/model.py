"""A rule as it is asked: what matches, and how often within how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_type_hints

from keten.watch.model import Event, Severity

Predicate = Callable[[Event], bool]
Kind = Literal["event_count", "value_count", "value_sum", "temporal"]
Space = Literal["principal", "network", "supplier"]
SPACES: tuple[Space, ...] = ("principal", "network", "supplier")
"""What a rule can keep its counts of: the first of these that it groups by."""

FEW = ("principal", "network", "supplier", "dataset", "grant", "contract", "purpose", "country", "channel", "what")
"""Fields that rules may group by: one key has few values of them."""

_HIDDEN = frozenset({"index", "id", "time_us", "length", "opening", "day", "links"})
FIELDS: dict[str, type] = {
    name: kind if kind in {int, bool} else str for name, kind in get_type_hints(Event).items() if name not in _HIDDEN
}
"""Fields of an event that rules may name, and what they hold. `reasons` is one text, with commas between."""


def text(event: Event, field: str) -> str:
    """A field that holds text, in lower case, for Sigma compares without case; empty: it is not known."""
    value = ",".join(event.reasons) if field == "reasons" else getattr(event, field)
    return str(value).lower()


@dataclass(frozen=True)
class Correlation:
    """Within `span_us` up to an event, in one group: at least `need` events, values of `field`, its sum, or rules."""

    kind: Kind
    need: int
    span_us: int
    field: str = ""


@dataclass(frozen=True)
class Rule:
    """id: its own, stable. file: where it was read. matches: one for each rule that it is about.

    group: fields; the first is its space. correlation: None for a rule that every match fulfils.
    """

    id: str
    title: str
    file: str
    severity: Severity
    matches: tuple[Predicate, ...]
    group: tuple[str, ...]
    correlation: Correlation | None

    @property
    def space(self) -> Space:
        """What its counts are kept of."""
        return next(space for space in SPACES if space in self.group)


@dataclass(frozen=True)
class Refused:
    """A file or a rule in it that is not used, and why."""

    file: str
    reason: str
