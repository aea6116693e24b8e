"""A rule with the interface of a detector: one step for an event, over a state of its own."""

from __future__ import annotations

import msgspec

from keten.watch.detectors.detector import Detector
from keten.watch.model import Event, Fact, Signal, What
from keten.watch.rules.counting import Group, count
from keten.watch.rules.model import FIELDS, Rule, Space, text

MOST_GROUPS = 64
HOUR_US = 3_600_000_000
EVERY: frozenset[What] = frozenset({"sign-in", "list", "describe", "open", "lookup", "delivered"})


class Counts(msgspec.Struct):
    """What a rule remembers of one principal, network or supplier: by the other fields that it groups by."""

    groups: dict[str, Group] = {}


class RuleDetector(Detector[Counts]):
    """Tells of a rule when it is fulfilled, once in its time span (an hour at least) for a group.

    Of one key the `MOST_GROUPS` groups that were seen last are remembered.
    """

    whats = EVERY
    forgets_us = 0
    version = 1
    state = Counts

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.code = f"rule-{rule.id}"
        self.space: Space = rule.space
        self.quiet_us = max(HOUR_US, rule.correlation.span_us if rule.correlation else 0)
        self._inner = tuple(field for field in rule.group if field != rule.space)

    def step(self, state: Counts, event: Event) -> tuple[Signal, ...]:
        """What this event shows, with what the state remembers; changes the state."""
        found = self.fulfilled(state, event)
        if found is None:
            return ()
        group, seen = found
        if 0 <= event.time_us - group.told_us < self.quiet_us and group.told_us >= 0:
            return ()
        group.told_us = event.time_us
        rule = self.rule
        facts: dict[str, Fact] = {"rule": rule.title, "seen": seen}
        if rule.correlation is not None:
            facts |= {"at_least": rule.correlation.need, "within_s": rule.correlation.span_us // 1_000_000}
        return (
            Signal(
                detector=self.code,
                severity=rule.severity,
                time_us=event.time_us,
                principal=event.principal if self.space == "principal" else "",
                supplier=event.supplier,
                dataset=event.dataset if "dataset" in rule.group else "",
                facts=facts,
                first=event.id,
                last=event.id,
            ),
        )

    def fulfilled(self, state: Counts, event: Event) -> tuple[Group, int] | None:
        """The group, and what was counted, where this event fulfils the rule; None where it does not."""
        rule = self.rule
        matching = [number for number, matches in enumerate(rule.matches) if matches(event)]
        if not matching or not text(event, rule.space):
            return None
        inner = [text(event, field) for field in self._inner]
        if not all(inner):
            return None
        group = self._group(state, "\n".join(inner))
        correlation = rule.correlation
        if correlation is None:
            return group, 1
        field = correlation.field
        value = text(event, field) if correlation.kind == "value_count" else ""
        amount = int(getattr(event, field)) if correlation.kind == "value_sum" else 0
        seen = count(correlation, group, event.time_us, value, amount, matching)
        return (group, seen) if seen >= correlation.need else None

    def _group(self, state: Counts, key: str) -> Group:
        groups = state.groups
        group = groups.pop(key, None) or Group()
        groups[key] = group  # the one seen last is last
        if len(groups) > MOST_GROUPS:
            del groups[next(iter(groups))]
        return group


def summable(field: str) -> bool:
    """Whether the values of a field can be added."""
    return FIELDS.get(field) is int
