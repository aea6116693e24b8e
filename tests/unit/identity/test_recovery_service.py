"""Recovery over a real register and ledger: the transactions do what the rules say, and every step is an entry."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from keten.identity import passkeys, restraints
from keten.identity import recovery_entries as entries
from keten.identity.recovery import rules, service
from keten.identity.recovery.model import (
    DAY_US,
    HOUR_US,
    Approve,
    Case,
    Channel,
    Lapse,
    Limits,
    Open,
    Refused,
    Send,
    Slot,
    Told,
    Use,
    Veto,
    Who,
)
from keten.identity.recovery.service import Reach, Recovered, Sent
from keten.ledger.bound import bound_tables
from tests.authenticator import encode
from tests.unit.suppliers.instances import Instance

ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: desk, email: desk@example.org, roles: [helpdesk]}
  - {id: owner, email: owner@example.org, roles: [data-owner]}
  - {id: auditor, email: auditor@example.org, roles: [auditor]}
suppliers:
  - id: drukker
    name: Drukkerij
    country: NL
    tier: high
    people:
      - {id: contact, email: contact@example.org, roles: [contact]}
      - {id: member, email: member@example.org}
      - {id: second, email: second@example.org}
      - {id: third, email: third@example.org}
"""
LIMITS = Limits()
RP = "files.example.org"


class House:
    """A register whose people have two channels each, all of it since more than a month."""

    def __init__(self, folder: Path) -> None:
        self.instance = Instance(folder)
        self.ids = self.instance.apply(ESTATE).ids["person"]
        self.reach = Reach(("confidential",), (self.ids["owner"],))
        self.since = self.instance.now_us
        for name in self.ids:
            for _channel in range(2):
                self.channel(name)
        self.later(31 * DAY_US)

    def later(self, us: int) -> None:
        self.instance.now_us += us

    def channel(self, name: str) -> None:
        self.instance.write(lambda writing: service.add_channel(writing, self.ids[name], "sealed", "operator:x"))

    def open(self, person: str = "member", opener: str = "desk") -> Case | Refused:
        person_id, opener_id = self.ids[person], self.ids[opener]
        return self.instance.write(
            lambda w: service.open_case(w, person_id, opener_id, self.since, self.reach, f"person:{opener_id}", LIMITS)
        )

    def approve(self, case: Case, name: str, slot: Slot, act: str = "", since: int = 0) -> Case | Refused:
        act, by = act or rules.act_digest(case.id, case.person), self.ids[name]
        return self.instance.write(
            lambda w: service.approve(w, case.id, by, slot, since or self.since, act, f"person:{by}", LIMITS)
        )

    def tell(self, case: Case) -> dict[str, str]:
        """Notices over every channel; the secret of each."""
        found = {}
        for channel in case.noticed:
            found[channel] = self.instance.write(partial(service.notice, case=case, channel=channel, limits=LIMITS))
            self.instance.write(partial(service.told, case_id=case.id, channel=channel, actor="keeper", limits=LIMITS))
        return found

    def send(self, case: Case) -> Sent | Refused:
        return self.instance.write(lambda w: service.send(w, case.id, "keeper", LIMITS))

    def use(self, *parts: str, number: int = 1) -> Case | Refused:
        made = passkeys.Made(encode(b"credential %d" % number), encode(b"key"), 0, synced=False)
        done = self.instance.write(lambda w: service.use(w, parts, made, RP, LIMITS))
        return done.case if isinstance(done, Recovered) else done

    def veto(self, token: str) -> Case | Refused:
        return self.instance.write(lambda w: service.veto(w, token, LIMITS))

    def keys(self, name: str = "member") -> tuple[str, ...]:
        with self.instance.reader.connect() as connection:
            return tuple(one.id for one in passkeys.of_person(connection, self.ids[name]))

    def approved(self) -> tuple[Case, dict[str, str]]:
        case = made(self.open())
        tokens = self.tell(case)
        made(self.approve(case, "contact", "contact"))
        return made(self.approve(case, "owner", "owner")), tokens

    def sent(self) -> tuple[Sent, dict[str, str]]:
        case, tokens = self.approved()
        self.later(48 * HOUR_US)
        sent = self.send(case)
        assert isinstance(sent, Sent), sent
        return sent, tokens


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.instance.engine.dispose()
    found.instance.reader.dispose()


def made(outcome: Case | Refused) -> Case:
    assert isinstance(outcome, Case), outcome
    return outcome


def reason(outcome: Case | Sent | Refused) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def test_the_whole_way_is_in_the_ledger(house: House) -> None:
    first = house.instance.size()
    sent, _tokens = house.sent()
    done = made(house.use(*sent.parts.values()))
    assert (done.state, done.reduced_until_us - done.ended_us) == ("done", LIMITS.reduced_us)
    assert len(house.keys()) == 1
    kinds = [kind for kind in house.instance.kinds(first) if kind.startswith("identity.recovery.")]
    assert kinds == [
        f"identity.recovery.{each}" for each in ("opened", "told", "told", "approved", "approved", "sent", "done")
    ]


def test_no_secret_and_no_address_is_in_the_ledger_in_the_clear(house: House) -> None:
    sent, tokens = house.sent()
    everything = b"".join(house.instance.payloads())
    for secret in (*sent.parts.values(), *tokens.values()):
        assert secret.encode() not in everything


def test_one_mailbox_is_not_enough_and_a_part_counts_once(house: House) -> None:
    sent, _tokens = house.sent()
    one, other = sent.parts.values()
    assert reason(house.use(one)) == "parts"
    assert reason(house.use(one, one)) == "parts"
    made(house.use(one, other))
    assert reason(house.use(one, other, number=2)) == "parts"
    assert len(house.keys()) == 1


def test_parts_of_two_cases_are_no_code(house: House) -> None:
    sent, _tokens = house.sent()
    house.later(3 * DAY_US)
    house.instance.write(lambda writing: service.lapse(writing, LIMITS))
    again, _others = house.sent()
    assert reason(house.use(next(iter(sent.parts.values())), next(iter(again.parts.values())))) == "parts"


def test_this_is_not_me_before(house: House) -> None:
    case, tokens = house.approved()
    vetoed = made(house.veto(next(iter(tokens.values()))))
    assert vetoed.state == "vetoed"
    house.later(48 * HOUR_US)
    assert reason(house.send(case)) == "not-open"
    assert reason(house.veto(next(iter(tokens.values())))) == "absent"


def test_this_is_not_me_after_takes_the_key_back(house: House) -> None:
    sent, tokens = house.sent()
    made(house.use(*sent.parts.values()))
    house.later(HOUR_US)
    assert made(house.veto(next(iter(tokens.values())))).state == "vetoed"
    assert house.keys() == ()


def test_this_is_not_me_comes_too_late(house: House) -> None:
    sent, tokens = house.sent()
    made(house.use(*sent.parts.values()))
    house.later(LIMITS.reduced_us)
    assert reason(house.veto(next(iter(tokens.values())))) == "not-open"
    assert len(house.keys()) == 1


@pytest.mark.parametrize("used", [False, True])
def test_a_letter_that_never_arrives_takes_nothing_from_the_one_before(house: House, used: bool) -> None:
    """Whoever filled the mailbox keeps the person from the newer letter, and not from stopping it by the older one."""
    sent, tokens = house.sent()
    case = made(house.use(*sent.parts.values())) if used else sent.case
    channel = case.noticed[0]
    lost = house.instance.write(lambda writing: service.notice(writing, case, channel, LIMITS))
    assert made(house.veto(tokens[channel])).state == "vetoed"
    assert house.keys() == ()
    assert reason(house.veto(lost)) == "not-open"
    assert reason(house.veto(tokens[channel])) == "absent"


def test_a_burst_freezes_also_what_is_pending(house: House) -> None:
    case = made(house.open("member"))
    house.tell(case)
    made(house.open("second"))
    assert reason(house.open("third")) == "burst"
    assert reason(house.approve(case, "contact", "contact")) == "frozen"
    house.later(LIMITS.frozen_us)
    made(house.approve(case, "contact", "contact"))
    made(house.open("third"))


def test_a_burst_freezes_also_a_code_that_is_out(house: House) -> None:
    """Of three within a day the first can be as far as that only when a fourth was opened before."""
    sent, _tokens = house.sent()
    made(house.open("second"))
    made(house.open("contact"))
    assert reason(house.open("third")) == "burst"
    assert reason(house.use(*sent.parts.values())) == "frozen"
    with house.instance.reader.connect() as connection:
        assert service.shown(connection, tuple(sent.parts.values()), house.instance.now_us, LIMITS) is None
    assert house.keys() == ()


@pytest.mark.parametrize("how", ["ended", "suspended", "role"])
@pytest.mark.parametrize("name", ["contact", "owner"])
def test_an_approval_counts_while_its_approver_may_approve(house: House, name: str, how: str) -> None:
    case, _tokens = house.approved()
    if how == "ended":
        house.instance.end("person", house.ids[name])
    elif how == "suspended":
        until = house.instance.now_us + 60 * DAY_US
        house.instance.write(lambda writing: restraints.suspend(writing, house.ids[name], until, "odd", "keeper"))
    else:
        house.instance.apply(
            ESTATE.replace(
                "[contact]" if name == "contact" else "[data-owner]", "[member]" if name == "contact" else "[auditor]"
            )
        )
    house.later(48 * HOUR_US)
    assert reason(house.send(case)) == "approvals"


def test_another_approves_in_place_of_one_who_has_ended(house: House) -> None:
    house.instance.apply(
        ESTATE.replace(
            "{id: second, email: second@example.org}", "{id: second, email: second@example.org, roles: [contact]}"
        )
    )
    house.later(31 * DAY_US)
    case, _tokens = house.approved()
    assert reason(house.approve(case, "second", "contact")) == "role-again"
    house.instance.end("person", house.ids["contact"])
    after = made(house.approve(case, "second", "contact"))
    assert [one.by for one in after.approvals] == [house.ids["owner"], house.ids["second"]]
    house.later(48 * HOUR_US)
    assert isinstance(house.send(case), Sent)


def test_who_may_not_and_what_is_not_signed(house: House) -> None:
    assert reason(house.open(opener="auditor")) == "opener-role"
    case = made(house.open())
    assert reason(house.open()) == "another-case"
    assert reason(house.approve(case, "desk", "owner")) == "approver-role"
    assert reason(house.approve(case, "owner", "owner", act=rules.act_digest("another", case.person))) == "act"
    assert reason(house.approve(case, "owner", "owner", since=house.instance.now_us)) == "approver-new"
    refused = [one for one in house.instance.kinds() if one == entries.REFUSED.name]
    assert len(refused) == 5


def test_a_role_that_was_just_given_approves_nothing(house: House) -> None:
    house.instance.apply(ESTATE.replace("roles: [auditor]", "roles: [auditor, data-owner]"))
    house.reach = Reach(("confidential",), (house.ids["owner"], house.ids["auditor"]))
    case = made(house.open())
    assert reason(house.approve(case, "auditor", "owner")) == "approver-new"


def test_that_roles_have_to_be_confirmed_changes_nothing_of_who_somebody_is(house: House) -> None:
    """Else nobody could approve anything for a month after an organisation begins with it, or changes how often."""
    for days in (365, 180, 0, 90):
        house.instance.apply(ESTATE.replace("Amsterdam}", f"Amsterdam, confirm_roles_days: {days}}}"))
    case = made(house.open())
    made(house.approve(case, "contact", "contact"))
    house.instance.apply(ESTATE.replace("[data-owner]", "[auditor, data-owner]"))
    assert reason(house.approve(case, "owner", "owner")) == "approver-new"


def test_whoever_has_ended_takes_no_part(house: House) -> None:
    sent, _tokens = house.sent()
    house.instance.end("person", house.ids["member"])
    assert reason(house.use(*sent.parts.values())) == "person-ended"
    assert house.keys() == ()
    house.instance.end("person", house.ids["desk"])
    assert reason(house.open("second")) == "absent"


def test_a_channel_that_is_new_gets_no_part_and_one_taken_away_gets_the_notice(house: House) -> None:
    with house.instance.reader.connect() as connection:
        (taken, *_rest) = service.channel_rows(connection, house.ids["member"])
    house.instance.write(lambda writing: service.end_channel(writing, taken, "operator:x"))
    house.channel("member")
    assert reason(house.open()) == "channels"
    house.later(31 * DAY_US)
    case = made(house.open())
    assert taken.id in case.noticed
    assert taken.id not in case.channels


def test_what_takes_too_long_lapses_and_a_restore_ends_what_is_pending(house: House) -> None:
    case = made(house.open())
    assert house.instance.write(lambda writing: service.lapse(writing, LIMITS)) == []
    house.later(LIMITS.lapse_us)
    assert [one.id for one in house.instance.write(lambda writing: service.lapse(writing, LIMITS))] == [case.id]
    sent, _tokens = house.sent()
    assert len(house.instance.write(lambda writing: service.abandon(writing, "operator:x"))) == 1
    assert reason(house.use(*sent.parts.values())) == "not-sent"


def test_every_table_is_verified() -> None:
    assert {"recovery_cases", "recovery_channels", "recovery_secrets", "recovery_freezes"} <= set(bound_tables())


# ---- the transactions against the rules ------------------------------------------------------------------------------

_SLOTS: tuple[Slot, ...] = ("contact", "owner", "administrator")
_ROLES = {"desk": ("helpdesk",), "owner": ("data-owner",), "auditor": ("auditor",), "contact": ("contact",)}
Outcomes = tuple[Case | Sent | Refused, Case | Refused]


class Walk:
    """Steps at random; each gives what the service made of it, and what the rules say of it beside that."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.chance = random.Random(seed)
        self.case: Case | None = None
        self.veto: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        person = house.instance.register().person(house.ids["contact"])
        assert person is not None
        self.supplier = person.supplier

    @property
    def at(self) -> int:
        """The moment of the transaction that comes."""
        return self.house.instance.now_us + 1_000_000

    def who(self, name: str) -> Who:
        supplier = "" if name in ("desk", "owner", "auditor") else self.supplier
        return Who(self.house.ids[name], supplier, _ROLES.get(name, ("member",)), self.house.since)

    def channels(self) -> tuple[Channel, ...]:
        with self.house.instance.reader.connect() as connection:
            return service.channels_of(connection, self.house.ids["member"])

    def frozen(self) -> bool:
        with self.house.instance.reader.connect() as connection:
            return service.is_frozen(connection, self.supplier, self.at)

    def recent(self) -> int:
        with self.house.instance.reader.connect() as connection:
            found = service.cases_of(connection, person=self.house.ids["member"])
        return sum(one.opened_us > self.at - LIMITS.burst_us for one in found)

    def open(self) -> Outcomes | None:
        if self.case is not None and self.case.pending:
            return None
        opener = self.chance.choice(("desk", "desk", "auditor"))
        at, recent, frozen, owners = self.at, self.recent(), self.frozen(), (self.house.ids["owner"],)
        got = self.house.open("member", opener)
        name = got.id if isinstance(got, Case) else "x"
        who, person = self.who(opener), self.who("member")
        event = Open(name, who, person, self.channels(), ("confidential",), owners, 0, recent, frozen=frozen)
        self.veto, self.parts = {}, {}
        return got, rules.step(None, event, at, LIMITS)

    def tell(self) -> Outcomes | None:
        case = self.case
        if case is None or not case.pending:
            return None
        channel = self.chance.choice(case.noticed)
        self.veto[channel] = self.house.instance.write(lambda w: service.notice(w, case, channel, LIMITS))
        at = self.at
        got = self.house.instance.write(lambda w: service.told(w, case.id, channel, "keeper", LIMITS))
        return got, rules.step(case, Told(channel), at, LIMITS)

    def approve(self) -> Outcomes | None:
        case = self.case
        if case is None:
            return None
        name, slot = self.chance.choice((("contact", _SLOTS[0]), ("owner", _SLOTS[1])))
        if self.chance.random() < 0.3:
            name, slot = self.chance.choice(("contact", "owner", "desk", "second")), self.chance.choice(_SLOTS)
        act = rules.act_digest(case.id if self.chance.random() < 0.9 else "another", case.person)
        at, event = self.at, Approve(self.who(name), slot, act, self.frozen())
        return self.house.approve(case, name, slot, act), rules.step(case, event, at, LIMITS)

    def send(self) -> Outcomes | None:
        case = self.case
        if case is None:
            return None
        at, event = self.at, Send(self.channels(), self.frozen())
        got = self.house.send(case)
        self.parts = got.parts if isinstance(got, Sent) else self.parts
        return got, rules.step(case, event, at, LIMITS)

    def use(self) -> Outcomes | None:
        case = self.case
        if case is None or case.state != "sent":
            return None
        shown = dict(self.chance.sample(list(self.parts.items()), self.chance.randint(1, len(self.parts))))
        at = self.at
        got = self.house.use(*shown.values(), number=at)
        return got, rules.step(case, Use(tuple(shown), self.frozen()), at, LIMITS)

    def say_not_me(self) -> Outcomes | None:
        case = self.case
        if case is None or not self.veto or self.chance.random() < 0.9:  # or every walk ends here
            return None
        channel, at = self.chance.choice(list(self.veto)), self.at
        if at >= case.lapses_us + LIMITS.code_us + LIMITS.reduced_us:
            return None  # the secret is over by itself: then nobody is told of a case
        secret = self.veto[channel]
        got = self.house.veto(secret)
        if isinstance(got, Case):
            del self.veto[channel]  # it is used
        return got, rules.step(case, Veto(channel), at, LIMITS)

    def pause(self) -> int:
        """How long nothing happens: as long as a cool-down once a case waits for that, mostly shorter otherwise."""
        waits = self.case is not None and len(self.case.approvals) == 2 and self.case.state == "open"
        over = self.case is None or not self.case.pending
        return self.chance.choice((0, 50 * HOUR_US) if waits or over else (0, 0, HOUR_US, 3 * HOUR_US, 20 * HOUR_US))

    def lapse(self) -> None:
        """What took too long ends, as the keeper does by itself."""
        case, at = self.case, self.at
        ended = self.house.instance.write(lambda w: service.lapse(w, LIMITS))
        if case is not None:
            expected = rules.step(case, Lapse(), at, LIMITS) if case.pending else Refused("over")
            assert ended == ([expected] if isinstance(expected, Case) else [])
            self.case = ended[0] if ended else case


@pytest.mark.parametrize("seed", [0, 2, 3, 6, 7])  # walks that go all the way at least once
def test_the_transactions_are_the_rules(house: House, seed: int) -> None:
    """A walk of 200 steps: the service does what `rules.step` says at each moment, and the row is what it said."""
    walk, happened = Walk(house, seed), set()
    steps = (
        walk.open,
        walk.tell,
        walk.tell,
        walk.approve,
        walk.approve,
        walk.send,
        walk.use,
        walk.use,
        walk.say_not_me,
    )
    for _step in range(200):
        house.later(walk.pause())
        walk.lapse()
        step = walk.chance.choice(steps)
        outcomes = step()
        if outcomes is None:
            continue
        got, expected = outcomes
        after = got.case if isinstance(got, Sent) else got
        assert after == expected, step.__name__
        if isinstance(after, Case):
            happened.add(after.state)
            walk.case = after
            with house.instance.reader.connect() as connection:
                assert service.case_of(connection, after.id) == after
    assert {"open", "sent", "done"} <= happened, "the walk went far enough to show something"
