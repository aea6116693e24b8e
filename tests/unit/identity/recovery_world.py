"""A small world around the rules of recovery: honest people, one corrupt person, calls that succeed, and time.

Time is whole days from 0. Everything that anybody can do is a move to another world; a move costs as many honest
people as had to be deceived for it (the helpdesk costs nothing: it opens a case for whoever calls). The rules decide
whatever the rules decide; the world never looks inside of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from keten.identity.recovery import model, rules
from keten.identity.recovery.model import DAY_US, Approve, Case, Channel, Limits, Open, Refused, Send, Slot, Told, Who

Corrupt = Literal["stranger", "desk", "desk-owner", "contact", "owner", "administrator", "thief", "colleague"]
Victim = Literal["member", "contact", "staff"]
CORRUPT: tuple[Corrupt, ...] = (
    "stranger",
    "desk",
    "desk-owner",
    "contact",
    "owner",
    "administrator",
    "thief",
    "colleague",
)
VICTIMS: tuple[Victim, ...] = ("member", "contact", "staff")

LONG_AGO = -100 * DAY_US
SEASONED = 3
LIMITS = Limits(seasoned_us=SEASONED * DAY_US, cool_us=(("confidential", DAY_US),), lapse_us=4 * DAY_US, code_us=DAY_US)
LAST_DAY = 5
MOST_CASES = 2
SLOTS: tuple[Slot, ...] = ("contact", "owner", "administrator", "security-officer")
SUPPLIER = "supplier"


class World(msgspec.Struct, frozen=True):
    """How things stand.

    asked: the person itself lost its key, and says so to whoever asks. warned: a notice that it has to object to lies
    where it reads it. channels: with whom each of them ends. parts: those of the code that the attacker has.
    signed: signatures under cases that are over, as (by, slot, act). puppets: since when the administrator's made-up
    people are there.
    """

    day: int = 0
    case: Case | None = None
    cases: int = 0
    asked: bool = False
    warned: bool = False
    channels: tuple[tuple[Channel, str], ...] = ()
    parts: frozenset[str] = frozenset()
    signed: frozenset[tuple[str, Slot, str]] = frozenset()
    puppets: int | None = None
    stopped: bool = False
    stolen: bool = False

    @property
    def now_us(self) -> int:
        """The moment, as the rules count it."""
        return self.day * DAY_US

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.stopped or self.stolen


Move = tuple[int, str, World]
put = msgspec.structs.replace


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken for granted in a search. genuine: the person itself may ask, so that an attacker can ride along.
    careful: it never hands over a code. days: how long it goes on. desk: what deceiving the helpdesk costs.
    earlier: both approvers once signed an earlier, honest case of the same person.
    """

    genuine: bool = False
    careful: bool = False
    days: int = LAST_DAY
    desk: int = 0
    earlier: bool = False


class Moves:
    """What can be done in a world with one corrupt person and one victim."""

    def __init__(self, corrupt: Corrupt, victim: Victim, assumed: Assumed) -> None:
        self.assumed = assumed
        self.corrupt = corrupt
        self.victim = victim
        roles: dict[Victim, tuple[str, ...]] = {"member": ("member",), "contact": ("contact",), "staff": ("helpdesk",)}
        self.supplier = "" if victim == "staff" else SUPPLIER
        self.people = {
            "victim": Who("victim", self.supplier, roles[victim], LONG_AGO),
            "desk": Who("desk", "", ("helpdesk",), LONG_AGO),
            # Somebody of the helpdesk who, against all advice, may approve as well.
            "desk-owner": Who("desk-owner", "", ("helpdesk", "data-owner", "security-officer"), LONG_AGO),
            "contact": Who("contact", SUPPLIER, ("contact",), LONG_AGO),
            "owner": Who("owner", "", ("data-owner",), LONG_AGO),
            # One person with two of the roles: it must count once.
            "administrator": Who("administrator", "", ("administrator", "security-officer"), LONG_AGO),
            "officer": Who("officer", "", ("security-officer",), LONG_AGO),
            "colleague": Who("colleague", SUPPLIER, ("member",), LONG_AGO),
            "thief": Who("thief", "", (), LONG_AGO),
            "stranger": Who("stranger", "", (), LONG_AGO),
        }
        self.owners = ("owner", "desk-owner")

    def start(self) -> World:
        """Before anything happened. A thief has taken over the first of the person's channels."""
        first = "attacker" if self.corrupt == "thief" else "victim"
        act = rules.act_digest("case-earlier", "victim")
        earlier: frozenset[tuple[str, Slot, str]] = frozenset({("contact", "contact", act), ("owner", "owner", act)})
        return World(
            signed=earlier if self.assumed.earlier else frozenset(),
            channels=((Channel("mail-1", LONG_AGO), first), (Channel("mail-2", LONG_AGO), "victim")),
        )

    def all(self, world: World) -> Iterator[Move]:
        """Every move from here, with its cost."""
        if world.over:
            return
        yield from self._asks(world)
        yield from self._opens(world)
        yield from self._tells(world)
        yield from self._approves(world)
        yield from self._changes(world)
        yield from self._sends(world)
        yield from self._takes(world)
        yield from self._uses(world)
        yield from self._waits(world)

    # ---- what people do ----------------------------------------------------------------------------------------

    def _asks(self, world: World) -> Iterator[Move]:
        """The person really lost its key."""
        if self.assumed.genuine and not world.asked and world.case is None:
            yield 0, "the person asks for a recovery", put(world, asked=True)

    def _opens(self, world: World) -> Iterator[Move]:
        """The honest helpdesk for whoever calls, the corrupt person whenever it may."""
        if world.cases == MOST_CASES:
            return
        pending = int(world.case is not None and world.case.pending)
        for name in sorted({"desk", self.corrupt}):
            event = Open(
                f"case-{world.cases}",
                self.people[name],
                self.people["victim"],
                tuple(channel for channel, _holder in world.channels),
                ("confidential",),
                self.owners if self.supplier else (),
                pending,
                0,
                frozen=False,
            )
            case = rules.step(None, event, world.now_us, LIMITS)
            if isinstance(case, Case):
                fresh = put(world, case=case, cases=world.cases + 1, parts=frozenset())
                cost = 0 if world.asked or name == self.corrupt else self.assumed.desk
                yield cost, f"{name} opens a case", fresh

    def _tells(self, world: World) -> Iterator[Move]:
        """Notices go out: the person objects to one of a case it did not ask for, once it has read it."""
        if world.case is None or not world.case.pending:
            return
        for channel, holder in world.channels:
            if channel.id in world.case.told:
                continue
            after = rules.step(world.case, Told(channel.id), world.now_us, LIMITS)
            if isinstance(after, Case):
                reads = holder == "victim" and not world.asked
                yield 0, f"a notice goes over {channel.id}", put(world, case=after, warned=world.warned or reads)

    def _approves(self, world: World) -> Iterator[Move]:
        """Signatures are made and handed in: honest ones under what the person asked for, or deceived; the corrupt at
        will; and once more those that were made under an earlier case."""
        if world.case is None or not world.case.pending:
            return
        act = rules.act_digest(world.case.id, world.case.person)
        for name, slot in self._signers(world):
            honest = name != self.corrupt and name not in ("puppet-contact", "puppet-owner")
            cost = int(honest and (not world.asked or name == "victim"))
            yield from self._handed_in(world, cost, name, slot, act)
        for name, slot, earlier in sorted(world.signed):
            yield from self._handed_in(world, 0, name, slot, earlier)

    def _handed_in(self, world: World, cost: int, name: str, slot: Slot, act: str) -> Iterator[Move]:
        assert world.case is not None
        event = Approve(self._who(world, name), slot, act, frozen=False)
        after = rules.step(world.case, event, world.now_us, LIMITS)
        if isinstance(after, Case) and len(after.approvals) <= model.APPROVERS:
            yield cost, f"{name} approves as {slot}", put(world, case=after)

    def _signers(self, world: World) -> Iterator[tuple[str, Slot]]:
        if self.supplier:
            yield from (("contact", "contact"), ("owner", "owner"), ("victim", "contact"))
        else:
            yield from (("administrator", "administrator"), ("officer", "security-officer"))
        for slot in SLOTS:
            yield self.corrupt, slot
        if world.puppets is not None:
            yield from (("puppet-contact", "contact"), ("puppet-owner", "administrator"))

    def _who(self, world: World, name: str) -> Who:
        since = (world.puppets or 0) * DAY_US
        if name == "puppet-contact":
            return Who(name, SUPPLIER, ("contact",), since)
        if name == "puppet-owner":
            return Who(name, "", ("administrator",), since)
        return self.people[name]

    def _changes(self, world: World) -> Iterator[Move]:
        """The register is changed: by the corrupt administrator, or by somebody who was told on the phone to."""
        cost = int(self.corrupt != "administrator")
        if all(channel.id.startswith("mail") for channel, _holder in world.channels):
            now = max(world.now_us, 1)
            ended = tuple(
                (channel if channel.ended_us else put(channel, ended_us=now), holder)
                for channel, holder in world.channels
            )
            new = tuple((Channel(f"{name}-{world.day}", now), "attacker") for name in ("new-1", "new-2"))
            reads = NOTICES[0] and any(holder == "victim" for _channel, holder in world.channels)
            changed = put(world, channels=(*ended, *new), warned=world.warned or reads)
            yield cost, "the person's channels are changed in the register", changed
        if self.corrupt == "administrator" and world.puppets is None:
            yield 0, "the administrator makes up approvers", put(world, puppets=world.day)

    # ---- the code ----------------------------------------------------------------------------------------------

    def _sends(self, world: World) -> Iterator[Move]:
        if world.case is None:
            return
        channels = tuple(channel for channel, _holder in world.channels)
        after = rules.step(world.case, Send(channels, frozen=False), world.now_us, LIMITS)
        if isinstance(after, Case):
            held = frozenset(channel.id for channel, holder in world.channels if holder == "attacker")
            parts = held & set(after.channels)
            yield 0, "the code goes out", put(world, case=after, parts=parts)

    def _takes(self, world: World) -> Iterator[Move]:
        """The person is called by "the helpdesk", and hands over everything that it got."""
        if self.assumed.careful or world.case is None or world.case.state != "sent":
            return
        if not world.parts >= set(world.case.channels):
            yield 1, "the person hands over its parts of the code", put(world, parts=frozenset(world.case.channels))

    def _uses(self, world: World) -> Iterator[Move]:
        if world.case is None:
            return
        for who, parts in (("the attacker", world.parts), ("the person", self._own(world))):
            after = rules.step(world.case, model.Use(tuple(sorted(parts)), frozen=False), world.now_us, LIMITS)
            if parts and isinstance(after, Case):
                stolen = who == "the attacker"
                yield 0, f"{who} enrols a key", put(world, case=after, stolen=stolen)

    def _own(self, world: World) -> frozenset[str]:
        if not world.asked or world.case is None or world.case.state != "sent":
            return frozenset()
        held = {channel.id for channel, holder in world.channels if holder == "victim"}
        return frozenset(held & set(world.case.channels))

    # ---- time --------------------------------------------------------------------------------------------------

    def _waits(self, world: World) -> Iterator[Move]:
        """A day passes. Whoever is warned has objected by then, unless talked out of it."""
        if world.day == self.assumed.days:
            return
        case = world.case
        if case is not None:
            lapsed = rules.step(case, model.Lapse(), world.now_us, LIMITS)
            case = case if isinstance(lapsed, Refused) else lapsed
        later = put(world, day=world.day + 1, case=case)
        if not world.warned:
            yield 0, "a day passes", later
        elif self._objects(world):
            yield 0, 'the person says "this is not me"', put(world, stopped=True)
            yield 1, "the person is talked out of objecting, and a day passes", put(later, warned=False)
        else:
            yield 0, "a day passes", later

    def _objects(self, world: World) -> bool:
        """Whether objecting ends it: to a case by the rules, to changed channels by whoever set them."""
        if world.case is None or not world.case.pending:
            return True
        for channel, holder in world.channels:
            if holder == "victim":
                after = rules.step(world.case, model.Veto(channel.id), world.now_us, LIMITS)
                if isinstance(after, Case) and not after.pending:
                    return True
        return False


NOTICES = [True]
"""Whether a change of channels is told over the old ones; a list, for a control takes it away."""


class Found(msgspec.Struct, frozen=True):
    """What a search came to. price: the fewest deceptions that end with a stranger's key; None: there is no path."""

    states: int
    price: int | None
    path: tuple[str, ...]


def search(corrupt: Corrupt, victim: Victim, most: int, assumed: Assumed) -> Found:
    """Every world that can be reached with at most so many deceptions, each once; all of a price before the next."""
    moves = Moves(corrupt, victim, assumed)
    start = moves.start()
    cost: dict[World, int] = {start: 0}
    came: dict[World, tuple[World, str]] = {}
    layers: list[list[World]] = [[start], *([] for _ in range(most))]
    for price, layer in enumerate(layers):
        for world in layer:  # grows while it is walked through: breadth first within a price
            if cost[world] < price:
                continue
            if world.stolen:
                return Found(len(cost), price, _path(came, world))
            for more, what, then in moves.all(world):
                after, total = _plain(then), price + more
                if total <= most and total < cost.get(after, most + 1):
                    cost[after] = total
                    came[after] = (world, what)
                    layers[total].append(after)
    return Found(len(cost), None, ())


def _plain(world: World) -> World:
    """The world without what makes no difference: when somebody approved, in which order, and a case that is over."""
    case = world.case
    if case is None:
        return world
    if not case.pending:
        earlier = {(one.by, one.slot, one.act) for one in case.approvals}
        return put(world, case=None, parts=frozenset(), signed=world.signed | earlier, asked=False)
    approvals = tuple(
        sorted((put(one, at_us=0) for one in case.approvals), key=lambda one: (one.by, one.slot, one.act))
    )
    return put(world, case=put(case, approvals=approvals, told=tuple(sorted(case.told))))


def _path(came: dict[World, tuple[World, str]], world: World) -> tuple[str, ...]:
    steps = []
    while world in came:
        world, what = came[world]
        steps.append(what)
    return tuple(reversed(steps))
