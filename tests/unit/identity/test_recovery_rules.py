"""The rules of recovery one by one, at their edges: what the search's small world has no moves for."""

from __future__ import annotations

import msgspec
import pytest

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
from keten.identity.recovery.rules import act_digest, approver, is_over, seasoned, step
from keten.identity.roles import STAFF, SUPPLIERS

NOW = 1_000 * DAY_US
LONG_AGO = NOW - 400 * DAY_US
LIMITS = Limits()
DESK = Who("desk", "", ("helpdesk",), LONG_AGO)
PERSON = Who("person", "supplier", ("member",), LONG_AGO)
CONTACT = Who("contact", "supplier", ("contact",), LONG_AGO)
OWNER = Who("owner", "", ("data-owner",), LONG_AGO)
CHANNELS = (Channel("mail-1", LONG_AGO), Channel("mail-2", LONG_AGO))
OPEN = Open("case", DESK, PERSON, CHANNELS, ("confidential",), ("owner",), 0, 0, frozen=False)


def made(outcome: Case | Refused) -> Case:
    assert isinstance(outcome, Case), outcome
    return outcome


def reason(outcome: Case | Refused) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def told(case: Case, now_us: int = NOW) -> Case:
    for channel in case.noticed:
        case = made(step(case, Told(channel), now_us, LIMITS))
    return case


def approval(who: Who, slot: Slot, case: Case, *, frozen: bool = False) -> Approve:
    return Approve(who, slot, act_digest(case.id, case.person), frozen)


def approved() -> Case:
    case = told(made(step(None, OPEN, NOW, LIMITS)))
    case = made(step(case, approval(CONTACT, "contact", case), NOW, LIMITS))
    return made(step(case, approval(OWNER, "owner", case), NOW, LIMITS))


def test_the_whole_way() -> None:
    case = approved()
    assert reason(step(case, Send(CHANNELS, frozen=False), NOW + 48 * HOUR_US - 1, LIMITS)) == "cool-down"
    sent = made(step(case, Send(CHANNELS, frozen=False), NOW + 48 * HOUR_US, LIMITS))
    assert reason(step(sent, Use(("mail-1",), frozen=False), sent.sent_us, LIMITS)) == "parts"
    assert reason(step(sent, Use(sent.channels, frozen=False), sent.sent_us + LIMITS.code_us, LIMITS)) == "code-over"
    done = made(step(sent, Use(sent.channels, frozen=False), sent.sent_us + LIMITS.code_us - 1, LIMITS))
    assert done.state == "done"
    assert done.reduced_until_us == done.ended_us + 72 * HOUR_US
    assert reason(step(done, Use(sent.channels, frozen=False), done.ended_us, LIMITS)) == "not-sent"


@pytest.mark.parametrize("role", [*STAFF, *SUPPLIERS])
def test_only_the_helpdesk_opens(role: str) -> None:
    outcome = step(None, msgspec.structs.replace(OPEN, opener=Who("x", "", (role,), LONG_AGO)), NOW, LIMITS)
    if role == "helpdesk":
        assert made(outcome).state == "open"
    else:
        assert reason(outcome) == "opener-role"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"opener": Who("x", "supplier", ("helpdesk",), LONG_AGO)}, "opener-role"),
        ({"person": Who("desk", "", ("helpdesk",), LONG_AGO)}, "opener-is-person"),
        ({"others": 1}, "another-case"),
        ({"frozen": True}, "frozen"),
        ({"recent": 2}, "burst"),
        ({"channels": CHANNELS[:1]}, "channels"),
        ({"channels": (CHANNELS[0], Channel("mail-2", NOW - 30 * DAY_US + 1))}, "channels"),
        ({"channels": (CHANNELS[0], Channel("mail-2", LONG_AGO, NOW - DAY_US))}, "channels"),
        ({"owners": ()}, "no-owner"),
    ],
)
def test_a_case_is_not_opened(change: dict[str, object], why: str) -> None:
    assert reason(step(None, msgspec.structs.replace(OPEN, **change), NOW, LIMITS)) == why


def test_the_second_of_a_burst_is_still_opened_and_thirty_days_are_enough() -> None:
    channels = (CHANNELS[0], Channel("mail-2", NOW - 30 * DAY_US))
    case = made(step(None, msgspec.structs.replace(OPEN, recent=1, channels=channels), NOW, LIMITS))
    assert case.channels == ("mail-1", "mail-2")
    assert seasoned(channels, NOW - 1, LIMITS) == ("mail-1",)


@pytest.mark.parametrize(
    ("who", "slot", "why"),
    [
        (CONTACT, "owner", "approver-role"),
        (OWNER, "contact", "approver-role"),
        (CONTACT, "administrator", "approver-role"),
        (Who("other", "", ("data-owner",), LONG_AGO), "owner", "approver-role"),
        (Who("owner", "", ("administrator",), LONG_AGO), "owner", "approver-role"),
        (Who("contact", "another supplier", ("contact",), LONG_AGO), "contact", "approver-role"),
        (Who("member", "supplier", ("member",), LONG_AGO), "contact", "approver-role"),
        (Who("contact", "supplier", ("contact",), NOW - 30 * DAY_US + 1), "contact", "approver-new"),
        (Who("person", "supplier", ("contact",), LONG_AGO), "contact", "approver-is-person"),
    ],
)
def test_who_does_not_approve(who: Who, slot: Slot, why: str) -> None:
    case = made(step(None, OPEN, NOW, LIMITS))
    assert reason(step(case, approval(who, slot, case), NOW, LIMITS)) == why


def test_nobody_approves_what_it_opened_or_twice() -> None:
    desk = Who("owner", "", ("helpdesk", "data-owner"), LONG_AGO)
    case = made(step(None, msgspec.structs.replace(OPEN, opener=desk), NOW, LIMITS))
    assert reason(step(case, approval(desk, "owner", case), NOW, LIMITS)) == "approver-opened"
    assert not approver(desk, case)
    case = made(step(case, approval(CONTACT, "contact", case), NOW, LIMITS))
    assert reason(step(case, approval(CONTACT, "contact", case), NOW, LIMITS)) == "approver-again"
    other = Who("contact-2", "supplier", ("contact",), LONG_AGO)
    assert reason(step(case, approval(other, "contact", case), NOW, LIMITS)) == "role-again"
    assert reason(step(case, Send(CHANNELS, frozen=False), NOW, LIMITS)) == "approvals"


def test_for_staff_two_people_of_two_roles() -> None:
    opened = msgspec.structs.replace(OPEN, person=Who("person", "", ("auditor",), LONG_AGO), owners=())
    case = made(step(None, opened, NOW, LIMITS))
    both = Who("both", "", ("administrator", "security-officer"), LONG_AGO)
    case = made(step(case, approval(both, "administrator", case), NOW, LIMITS))
    assert reason(step(case, approval(both, "security-officer", case), NOW, LIMITS)) == "approver-again"
    assert reason(step(case, approval(CONTACT, "contact", case), NOW, LIMITS)) == "approver-role"
    officer = Who("officer", "", ("privacy-officer",), LONG_AGO)
    assert len(made(step(case, approval(officer, "privacy-officer", case), NOW, LIMITS)).approvals) == 2


@pytest.mark.parametrize(
    "act", ["", act_digest("other", "person"), act_digest("case", "other"), act_digest("c", "aseperson")]
)
def test_a_signature_is_of_this_case(act: str) -> None:
    case = made(step(None, OPEN, NOW, LIMITS))
    assert reason(step(case, Approve(CONTACT, "contact", act, frozen=False), NOW, LIMITS)) == "act"


def test_a_signature_names_case_person_and_action_apart() -> None:
    said = {act_digest("a", "bc"), act_digest("ab", "c"), act_digest("a", "bc", "end"), act_digest("a", "b", "cend")}
    assert len(said) == 4


def test_no_code_without_every_notice() -> None:
    case = approved()
    without = msgspec.structs.replace(case, told=case.told[:1])
    assert reason(step(without, Send(CHANNELS, frozen=False), NOW + 3 * DAY_US, LIMITS)) == "notices"


@pytest.mark.parametrize(
    "channels",
    [
        CHANNELS[:1],
        (CHANNELS[0], Channel("mail-2", NOW)),
        (CHANNELS[0], Channel("mail-2", LONG_AGO, NOW + DAY_US)),
        (CHANNELS[0], Channel("mail-3", LONG_AGO)),
    ],
)
def test_no_code_over_channels_that_changed(channels: tuple[Channel, ...]) -> None:
    assert reason(step(approved(), Send(channels, frozen=False), NOW + 3 * DAY_US, LIMITS)) == "channel-changed"


def test_where_recoveries_are_frozen_nothing_goes_on() -> None:
    case = made(step(None, OPEN, NOW, LIMITS))
    assert reason(step(case, approval(CONTACT, "contact", case, frozen=True), NOW, LIMITS)) == "frozen"
    assert reason(step(approved(), Send(CHANNELS, frozen=True), NOW + 3 * DAY_US, LIMITS)) == "frozen"
    sent = made(step(approved(), Send(CHANNELS, frozen=False), NOW + 3 * DAY_US, LIMITS))
    assert reason(step(sent, Use(sent.channels, frozen=True), sent.sent_us, LIMITS)) == "frozen"


@pytest.mark.parametrize("days", [0, 3, 6])
def test_not_me_ends_it_also_afterwards(days: int) -> None:
    case = approved()
    if days:
        case = made(step(case, Send(CHANNELS, frozen=False), NOW + 3 * DAY_US, LIMITS))
    if days == 6:
        case = made(step(case, Use(case.channels, frozen=False), NOW + 3 * DAY_US, LIMITS))
    now = NOW + days * DAY_US - (1 if days == 6 else 0)
    vetoed = made(step(case, Veto("mail-2"), now, LIMITS))
    assert vetoed.state == "vetoed"
    used = Use(case.channels, frozen=False)
    for event in (Send(CHANNELS, frozen=False), used, approval(CONTACT, "contact", case), Veto("mail-1")):
        assert isinstance(step(vetoed, event, now, LIMITS), Refused)


def test_not_me_needs_a_notice_and_has_an_end() -> None:
    case = made(step(None, OPEN, NOW, LIMITS))
    assert reason(step(case, Veto("mail-1"), NOW, LIMITS)) == "not-told"
    sent = made(step(approved(), Send(CHANNELS, frozen=False), NOW + 2 * DAY_US, LIMITS))
    done = made(step(sent, Use(sent.channels, frozen=False), NOW + 2 * DAY_US, LIMITS))
    assert reason(step(done, Veto("mail-1"), done.reduced_until_us, LIMITS)) == "not-open"


def test_a_case_lapses() -> None:
    case = approved()
    assert reason(step(case, Lapse(), case.lapses_us - 1, LIMITS)) == "not-over"
    assert made(step(case, Lapse(), case.lapses_us, LIMITS)).state == "lapsed"
    assert reason(step(case, Send(CHANNELS, frozen=False), case.lapses_us, LIMITS)) == "not-open"
    sent = made(step(case, Send(CHANNELS, frozen=False), NOW + 2 * DAY_US, LIMITS))
    assert not is_over(sent, sent.sent_us + LIMITS.code_us - 1, LIMITS)
    assert made(step(sent, Lapse(), sent.sent_us + LIMITS.code_us, LIMITS)).state == "lapsed"


def test_the_longest_cool_down_counts_and_an_unknown_class_is_the_strictest() -> None:
    assert LIMITS.cooling(("internal", "secret", "public")) == 72 * HOUR_US
    assert LIMITS.cooling(("confidential", "public")) == 48 * HOUR_US
    assert LIMITS.cooling(()) == 24 * HOUR_US
    assert LIMITS.cooling(("top",)) == 72 * HOUR_US


def test_only_opening_makes_a_case() -> None:
    assert reason(step(None, Send(CHANNELS, frozen=False), NOW, LIMITS)) == "absent"
    assert reason(step(made(step(None, OPEN, NOW, LIMITS)), OPEN, NOW, LIMITS)) == "exists"


def test_no_secret_and_no_address_is_in_a_case() -> None:
    names = set(Case.__struct_fields__)
    assert not names & {"token", "code", "secret", "password", "email", "address", "sealed", "hash"}
    assert names == {
        "id", "name", "person", "supplier", "opened_by", "opened_us", "lapses_us", "cool_us", "channels", "noticed",
        "owners", "told", "told_us", "approvals", "state", "sent_us", "ended_us", "reduced_until_us",
        "passed", "told_done", "asked",
    }  # fmt: skip
