"""Requests that wait for a second person, holds whose time is over, and whether one person may erase alone."""

from __future__ import annotations

from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.core.clock import moment
from keten.core.db import translated
from keten.identity import passkeys
from keten.ledger.reading import last_time
from keten.subjects import holds, requests, signing

SOON_US = 7 * 86_400 * 1_000_000


def approvers(case: Case) -> Iterator[Finding]:
    """Law 14: two people for what cannot be undone."""
    with translated(), case.engine.connect() as connection:
        people = passkeys.is_kept(connection) and signing.people_sign(connection)
    if case.settings.erasure.approvers == 1 and not people:
        yield weak(
            "one-approver",
            "One person erases and destroys alone here ([erasure] approvers = 1); every entry of it says so.",
            "Name a second operator in [keeper] operator_users, and set approvers to 2.",
        )


def waiting(case: Case) -> Iterator[Finding]:
    """A person has a right to an answer within a month (GDPR Art. 12(3)); a request lapses after 30 days."""
    with translated(), case.engine.connect() as connection:
        now = last_time(connection)
        asked = requests.in_state(connection, "waiting")
        begun = requests.in_state(connection, "approved")
    for one in asked:
        if one.lapses_us > now:
            what = f"A request ({one.what}) of {one.asked_by} waits for a second person until {moment(one.lapses_us)}."
            todo = f"at the console /en/proposals/{one.id}, or: keten subject approve {one.id}, or refuse"
            yield (weak if one.lapses_us - now < SOON_US else note)("request-waits", what, todo)
    for one in begun:
        what = f"A request ({one.what}) was approved at {moment(one.decided_us)} and is not carried out whole."
        with translated(), case.engine.connect() as connection:
            held = holds.on_subject(connection, one.target, now)
        if held:
            what += f" A legal hold was set after it: {holds.told(held[0])}."
            yield note("request-held", what, f"It goes on by itself when that is over: keten hold release {held[0].id}")
        else:
            todo = "The keeper tries every half minute while it runs; 'keten subject requests' says what keeps it."
            yield wrong("request-begun", what, todo)


def over(case: Case) -> Iterator[Finding]:
    """A hold that has ended holds nothing any more: what it kept may be due."""
    with translated(), case.engine.connect() as connection:
        now = last_time(connection)
        ended = [one for one in holds.standing(connection) if not one.holds_at(now)]
    for one in ended:
        what = f"The legal hold {one.id} on a {one.kind} ended at {moment(one.until_us)}; what it kept is not held."
        yield note("hold-over", what, f"keten hold release {one.id}, or set a new one")
