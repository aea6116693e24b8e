"""What two people signed for takes long: whoever signed last is answered, and it is carried out all the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import pytest

from keten.core.errors import Unavailable
from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from keten.keeper import subject_verbs
from keten.keeper.subject_protocol import Approve, Erase, Everything, RequestInfo
from tests.authenticator import Authenticator
from tests.fault.keeper_inside import Inside, Peer, run
from tests.fault.test_people_races import ADDRESS, ORIGIN, finished
from tests.town import Town

PATIENCE = 0.3
_PEOPLE = "\nsuppliers:"
WITH_ADMIN = (_PEOPLE, f"\n  - {{id: admin, email: a@example.org, roles: [administrator]}}{_PEOPLE}")
SUBJECT = "drukwerk-ops"


class Person:
    """Somebody at the console with a passkey."""

    def __init__(self, console: Peer) -> None:
        self._console = console
        self._key = Authenticator(ORIGIN)
        self._browser = token_hex(32)
        self._proof = people.PersonProof("", self._browser)

    async def enrol(self, inside: Inside, name: str) -> None:
        invited = await inside.operator.ask("people.invite", people.Invite(name))
        begun = await self._console.ask("people.enrol_begin", people.EnrolBegin(invited.token, ADDRESS, self._browser))
        made = finished(begun.ceremony, self._key.create(begun.ceremony.options), self._browser)
        opened = await self._console.ask("people.enrol", made)
        self._proof = people.PersonProof(opened.session, self._browser)

    async def signs(self, verb: str, body: msgspec.Struct) -> None:
        """Say a verb with the passkey, and hear an answer."""
        packed = msgspec.msgpack.encode(body)
        begun = await self._console.ask("people.step_up_begin", people.StepUpBegin(self._proof, verb, packed))
        shown = finished(begun, self._key.get(begun.options), self._browser)
        await self._console.ask("people.do", people.Do(self._proof, verb, packed, shown))


async def asked(inside: Inside) -> tuple[Person, RequestInfo]:
    """Two people with passkeys, of whom one asked for an erasure; the other one, and the request."""
    applied: said.Applied = await inside.apply(instead=WITH_ADMIN)
    console = await inside.console()
    await console.ask("people.origin", people.Origin(ORIGIN))
    dpo, admin = Person(console), Person(console)
    await dpo.enrol(inside, "dpo")
    await admin.enrol(inside, "admin")
    await dpo.signs("subjects.erase", Erase(applied.ids["person"][SUBJECT], "a letter"))
    return admin, await only(inside)


async def only(inside: Inside) -> RequestInfo:
    """The one request that there is."""
    (found,) = (await inside.operator.ask("subjects.requests", Everything(all=True))).requests
    one: RequestInfo = found
    return one


def approval(request: RequestInfo) -> Approve:
    return Approve(request.id, what=request.what, act=request.act)


def test_whoever_signed_last_is_answered_before_it_is_done(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject_verbs, "PATIENCE_SECONDS", PATIENCE)

    async def testing(inside: Inside) -> None:
        admin, request = await asked(inside)
        erasing, go = inside.operators.subjects.erasing, asyncio.Event()
        erase = erasing.erase

        async def slowly(*given: Any, **named: Any) -> Any:
            await go.wait()
            return await erase(*given, **named)

        erasing.erase = slowly  # type: ignore[method-assign]  # as a large file takes
        began = time.monotonic()
        await admin.signs("subjects.approve", approval(request))
        assert time.monotonic() - began < 20 * PATIENCE
        assert (await only(inside)).state == "approved"
        assert inside.entries("subjects.subject.erased") == []
        go.set()
        async with asyncio.timeout(30):
            while not inside.entries("subjects.subject.erased"):  # noqa: ASYNC110 - nobody tells it
                await asyncio.sleep(0.02)
        assert len(inside.entries("subjects.subject.erased")) == 1

    run(stopped, tmp_path, testing)


def test_what_fails_after_the_answer_is_tried_again(
    stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subject_verbs, "PATIENCE_SECONDS", 0.0)

    async def testing(inside: Inside) -> None:
        admin, request = await asked(inside)
        erasing = inside.operators.subjects.erasing
        erase, tried = erasing.erase, asyncio.Event()

        async def in_vain(*_given: Any, **_named: Any) -> Any:
            await asyncio.sleep(0.2)
            tried.set()
            raise Unavailable("disk", "The disk does not answer.")

        erasing.erase = in_vain  # type: ignore[method-assign]  # as a disk does that is away
        await admin.signs("subjects.approve", approval(request))
        assert (await only(inside)).state == "approved"
        await asyncio.wait_for(tried.wait(), 30)
        erasing.erase = erase  # type: ignore[method-assign]  # it is back
        async with asyncio.timeout(30):
            while not inside.entries("subjects.subject.erased"):
                await inside.operators.subjects.go_on()
        assert len(inside.entries("subjects.subject.erased")) == 1

    run(stopped, tmp_path, testing)
    assert "The disk does not answer" in caplog.text
