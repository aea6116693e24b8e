"""What a detector is: a pure step over a state of its own, by the time of events alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from keten.watch.model import Event, Fact, Severity, Signal, What

S = TypeVar("S", bound=msgspec.Struct)
P = TypeVar("P", bound=msgspec.Struct)

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

Space = Literal["principal", "network", "supplier", "peers"]
SPACES: Mapping[Space, Callable[[Event], str]] = {
    "principal": lambda event: event.principal,
    "network": lambda event: event.network,
    "supplier": lambda event: event.supplier,
    "peers": lambda event: f"{event.supplier}/{event.purpose}/{event.what}" if event.supplier and event.purpose else "",
}
"""What states are kept of: space → its key for an event; "" where the event is of none.

Peers: those of one supplier who do the same (`what`) for one purpose.
"""

NOTHING: tuple[Signal, ...] = ()


class Detector(Generic[S]):
    """Sees one thing. Whatever it remembers is in the states that it is given, which are saved between two steps.

    code: stable, in its signals. whats: the events it looks at. space: what it keeps a state of. forgets_us: a key
    that was idle for so long is as one never seen; 0: never. version: raised when states of before mean something else.
    """

    code: str
    whats: ClassVar[frozenset[What]]
    space: Space = "principal"
    forgets_us: ClassVar[int] = 0
    version: ClassVar[int] = 1
    state: type[S]

    def step(self, state: S, event: Event) -> Sequence[Signal]:
        """What this event shows, with what the state remembers; changes the state."""
        raise NotImplementedError


class Comparing(Detector[S], Generic[S, P]):
    """A detector that also looks at a state which the key shares with others. beside: what that is kept of."""

    beside: ClassVar[Space] = "peers"
    shared: type[P]

    def compare(self, state: S, shared: P, event: Event) -> Sequence[Signal]:
        """As `step`; changes both states."""
        raise NotImplementedError


class Combining(Detector[S]):
    """A detector that looks at what the others saw in the same event, and remembers it."""

    def combine(self, state: S, event: Event, seen: Iterable[Signal]) -> Sequence[Signal]:
        """As `step`, once for each event, after all others."""
        raise NotImplementedError


def signal(
    detector: Detector[Any], severity: Severity, event: Event, facts: dict[str, Fact], first: str = ""
) -> Signal:
    """A signal about whom and what an event is about. `first`: id of the first entry that it rests on."""
    return Signal(
        detector=detector.code,
        severity=severity,
        time_us=event.time_us,
        principal=event.principal,
        supplier=event.supplier,
        dataset=event.dataset,
        grant=event.grant,
        facts=facts,
        first=first or event.id,
        last=event.id,
    )
