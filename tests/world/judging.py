"""What a watcher does to thieves and to the honest, over one stream. A stopped account gives a thief nothing more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from keten.watch.model import STOPPING, Event, Response, Severity, Signal
from tests.world.acts import Campaign
from tests.world.days import DAY, SECOND, day
from tests.world.stream import Seen, World

Step = Callable[[Event], Sequence[Signal]]
Responding = Callable[[str, Severity], Response]
DISTURBING = frozenset({"medium", "high"})
ORDINARY = "ordinary"
NAMED = "named-by-strangers"
RESPONSE_US = 2 * SECOND


@dataclass(slots=True)
class Taken:
    """What a campaign got away with under one watcher.

    out, before: records in all, and without the last event. at_alert: before the first alert; None: there was none.
    stopped: login → when. until: login → when one stopped by a step-up alone may go on. signs_in: logins with which the
    thief signed in, and can again. riding: login → the day on which it was
    used last.
    """

    campaign: Campaign
    out: int = 0
    before: int = 0
    first_us: int = 0
    at_alert: int | None = None
    alert_us: int = 0
    alert_by: str = ""
    stop_us: int = 0
    stop_by: str = ""
    stopped: dict[int, int] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)
    signs_in: set[int] = field(default_factory=set)
    riding: dict[int, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether each of its logins was stopped."""
        return len(self.stopped) >= len(self.campaign.principals)


@dataclass(slots=True)
class Disturbed:
    """What one detector did to the honest: principal-days, and signals of low severity."""

    disturbed: set[tuple[int, int]] = field(default_factory=set)
    suspended: set[tuple[int, int]] = field(default_factory=set)
    noted: int = 0
    nobody: int = 0  # signals that name no principal


class Judge:
    """One watcher on the stream. `delay_us`: from its signal until the account is stopped.

    response: what the watcher does about a signal, where it is known; otherwise `high` stops. After a step-up the
    honest sign in anew. A thief with the key does as well; one who only took over a session has lost it, until the
    next day, on which he may have another.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        world: World,
        delay_us: int = RESPONSE_US,
        response: Responding | None = None,
    ) -> None:
        self.name = name
        self._response = response or _by_severity
        self.delay_us = delay_us
        self.taken = {campaign.number: Taken(campaign) for campaign in world.campaigns}
        self.detectors: defaultdict[str, Disturbed] = defaultdict(Disturbed)
        self.disturbed: dict[tuple[int, int], str] = {}  # principal and day: the class that it is labelled with
        self.suspended: dict[tuple[int, int], str] = {}
        self.rightly: set[tuple[int, int]] = set()  # principal-days under attack that were told
        self._step = step
        self._numbers = {one.id: one.number for one in world.principals}

    def see(self, seen: Seen, census: Census) -> None:
        """One more event."""
        event, who, number = seen
        if not number:
            for signal in self._step(event):
                self._heard(signal, event, None, census)
            return
        taken = self.taken[number]
        if event.what == "sign-in" and event.allowed:
            taken.signs_in.add(who)
        if who in taken.until and (who in taken.signs_in or taken.until[who] < event.time_us):
            del taken.until[who]
            taken.stopped.pop(who)
        stop = taken.stopped.get(who)
        if stop is not None and event.time_us >= stop:
            return
        taken.first_us = taken.first_us or event.time_us
        taken.riding[who] = event.time_us - event.time_us % DAY
        taken.before = taken.out
        taken.out += event.records
        for signal in self._step(event):
            self._heard(signal, event, taken, census)
        if taken.stopped.get(who, event.time_us) < event.time_us:
            taken.out = taken.before  # the stop, which a watcher that looks at times knew before, came first

    def _heard(self, signal: Signal, event: Event, taken: Taken | None, census: Census) -> None:
        who = self._numbers.get(signal.principal, -1)
        under = census.attacked.get(who)
        if under is not None:
            if self.taken[under].first_us:  # what is told before the thief comes is no merit, nor was the day honest
                self._caught(self.taken[under], signal, who, event, census)
        elif taken is not None and (who < 0 or who in taken.campaign.principals):
            self._caught(taken, signal, who, event, census)
        else:
            self._disturbs(signal, who, census)
            if taken is not None and who in census.named:  # the thief was told, and a stranger to it disturbed
                self._caught(taken, signal, -1, event, census)

    def _caught(self, taken: Taken, signal: Signal, who: int, event: Event, census: Census) -> None:
        if signal.severity not in DISTURBING:
            return
        if who >= 0:
            self.rightly.add((who, census.number))
        if taken.at_alert is None:
            taken.alert_us, taken.alert_by = signal.time_us, signal.detector
            earlier = census.acting == taken.campaign.number and signal.time_us < event.time_us
            taken.at_alert = taken.before if earlier else taken.out
        response = self._response(signal.detector, signal.severity)
        rides = who not in taken.signs_in and signal.time_us - taken.riding.get(who, -DAY) < DAY
        stops = response in STOPPING or (response == "step-up" and rides)
        if not stops or who < 0 or (who in taken.stopped and who not in taken.until):
            return
        if response in STOPPING:
            taken.until.pop(who, None)
        else:
            taken.until[who] = signal.time_us - signal.time_us % DAY + DAY
        taken.stopped.setdefault(who, signal.time_us + self.delay_us)
        taken.stop_us, taken.stop_by = signal.time_us + self.delay_us, signal.detector

    def _disturbs(self, signal: Signal, who: int, census: Census) -> None:
        entry = self.detectors[signal.detector]
        if who < 0:
            entry.nobody += 1
            return
        if signal.severity not in DISTURBING:
            entry.noted += 1
            return
        key = (who, census.number)
        label = census.label(who)
        entry.disturbed.add(key)
        self.disturbed.setdefault(key, label)
        if signal.severity == "high":
            entry.suspended.add(key)
            self.suspended.setdefault(key, label)


class Census:
    """Who is at work on which day, and as what: counted once, for all judges."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.number = -1
        self.acting = 0
        self.attacked: dict[int, int] = {}
        self.active: Counter[str] = Counter()
        self.under_attack = 0
        self.events = 0
        self.refused = 0
        self.asked = 0
        self.named: set[int] = set()
        self._seen = [-1] * len(world.principals)

    def see(self, seen: Seen) -> None:
        """One more event."""
        if self._world.today.day.number != self.number:
            self._turn(self._world.today.day.number)
        self.events += 1
        self.acting = seen.campaign
        if not seen.campaign and seen.event.what in {"lookup", "open"}:
            self.asked += 1
            self.refused += not seen.event.allowed
        who = seen.who
        if self._seen[who] != self.number:
            self._seen[who] = self.number
            if who in self.attacked:
                self.under_attack += 1
            else:
                self.active[self.label(who)] += 1

    def label(self, who: int) -> str:
        """The class of a principal's day."""
        if who in self.named:
            return NAMED
        instance = self._world.today.labelled.get(who)
        return ORDINARY if instance is None else instance.kind.code

    def _turn(self, number: int) -> None:
        """Another day. A principal is under attack from its first to its last day in a campaign, and the day after."""
        self.number = number
        self.attacked = {
            who: campaign.number
            for campaign in self._world.campaigns
            if campaign.first <= number <= campaign.last + 1
            for who in campaign.principals
        }
        self.named = {who for campaign in self._world.campaigns for who in campaign.named.get(number, ())}


def entitled(world: World, campaign: Campaign) -> int:
    """What the budgets would let out in a campaign's days: the number that the owners chose."""
    total = 0
    months = Counter(day(world.size.first, number).month for number in range(campaign.first, campaign.last + 1))
    for who in campaign.principals:
        role = world.principals[who].role
        total += sum(min(role.month, days * role.day) for days in months.values())
    return total


def _by_severity(_detector: str, severity: Severity) -> Response:
    return "suspend" if severity == "high" else "alert"


def judge(
    world: World,
    watchers: Mapping[str, Step],
    progress: Callable[[int, int], None],
    delay_us: int = RESPONSE_US,
    responses: Mapping[str, Responding] | None = None,
) -> tuple[Census, list[Judge]]:
    """Run the stream past all watchers. progress: called with day and events, once a day. responses: by watcher."""
    census = Census(world)
    known = responses or {}
    judges = [Judge(name, step, world, delay_us, known.get(name)) for name, step in watchers.items()]
    _run(world, census, judges, progress)
    return census, judges


def _run(world: Iterable[Seen], census: Census, judges: Sequence[Judge], progress: Callable[[int, int], None]) -> None:
    last = -1
    for seen in world:
        census.see(seen)
        if census.number != last:
            last = census.number
            progress(last, census.events)
        for one in judges:
            one.see(seen, census)


def nothing(_event: Event) -> list[Signal]:
    """The watcher that never says anything: what budgets do alone."""
    return []
