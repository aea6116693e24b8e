"""The keeper's verbs about people, as a face says them: each with what it takes and what it answers.

A face's way to the keeper (`visits.Keeper`) carries them; what is asked and answered is `keeper/people_protocol.py`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from keten.keeper.people_protocol import (
    AddKeyBegin,
    Authorise,
    Authorised,
    Ceremony,
    Do,
    Done,
    EndKey,
    EnrolBegin,
    Enrolment,
    Finished,
    Own,
    OwnKeys,
    SessionOpened,
    SignInBegin,
    SignOut,
    StepUpBegin,
)
from keten.keeper.provider_protocol import ProviderAnswer, ProviderBegin, ProviderBegun, ProviderOpened
from keten.keeper.recovery_protocol import RecoverBegin, StopRecovery
from keten.pages.visits import Site, Visit

T = TypeVar("T")


async def begin_sign_in(site: Site, visit: Visit) -> Ceremony:
    """A challenge for whoever it is."""
    return await site.keeper.call("people.sign_in_begin", SignInBegin(visit.address, visit.browser), Ceremony)


async def finish_sign_in(site: Site, finished: Finished) -> SessionOpened:
    """The session of whoever the passkey says it is."""
    return await site.keeper.call("people.sign_in", finished, SessionOpened)


async def begin_provider(site: Site, visit: Visit, then: str) -> ProviderBegun:
    """Where the browser is sent to sign in at the organisation's own provider."""
    return await site.keeper.call(
        "people.provider_begin", ProviderBegin(visit.address, visit.browser, then), ProviderBegun
    )


async def finish_provider(site: Site, answer: ProviderAnswer) -> ProviderOpened:
    """The browser came back from there."""
    return await site.keeper.call("people.provider_answer", answer, ProviderOpened)


async def begin_enrolment(site: Site, visit: Visit, token: str) -> Enrolment:
    """A one-time link was opened: for whom it is, and the ceremony that makes the passkey."""
    return await site.keeper.call("people.enrol_begin", EnrolBegin(token, visit.address, visit.browser), Enrolment)


async def finish_enrolment(site: Site, finished: Finished) -> SessionOpened:
    """The passkey was made: its first session."""
    return await site.keeper.call("people.enrol", finished, SessionOpened)


async def begin_recovery(site: Site, visit: Visit, parts: tuple[str, ...]) -> Enrolment:
    """The parts of a code were typed in: for whom they are, and the ceremony that makes the passkey."""
    said = RecoverBegin(parts, visit.address, visit.browser)
    return await site.keeper.call("people.recover_begin", said, Enrolment)


async def finish_recovery(site: Site, finished: Finished) -> SessionOpened:
    """The passkey was made with a code: its first session."""
    return await site.keeper.call("people.recover", finished, SessionOpened)


async def stop_recovery(site: Site, visit: Visit, token: str) -> None:
    """Somebody says "this is not me"."""
    await site.keeper.call("people.stop_recovery", StopRecovery(token, visit.address), Done)


async def authorise(site: Site, visit: Visit, act: str, *, quiet: bool = False) -> Authorised:
    """Whether whoever is signed in may do this now."""
    return await site.keeper.call("people.authorise", Authorise(visit.proof, act, quiet), Authorised)


async def sign_out(site: Site, visit: Visit, which: str = "", *, others: bool = False) -> None:
    """End a session of one's own, or every one but this."""
    await site.keeper.call("people.sign_out", SignOut(visit.proof, which, others), Done)


async def own(site: Site, visit: Visit) -> Own:
    """One's own passkeys and sessions."""
    return await site.keeper.call("people.own", OwnKeys(visit.proof), Own)


async def begin_key(site: Site, visit: Visit) -> Ceremony:
    """A ceremony for one more passkey."""
    return await site.keeper.call("people.add_key_begin", AddKeyBegin(visit.proof), Ceremony)


async def finish_key(site: Site, finished: Finished) -> None:
    """The passkey was made."""
    await site.keeper.call("people.add_key", finished, Done)


async def end_key(site: Site, visit: Visit, key: str) -> None:
    """End a passkey of one's own."""
    await site.keeper.call("people.end_key", EndKey(visit.proof, key), Done)


async def begin_step(site: Site, visit: Visit, verb: str, body: msgspec.Struct) -> Ceremony:
    """A challenge bound to this verb and this very body."""
    said = StepUpBegin(visit.proof, verb, msgspec.msgpack.encode(body))
    return await site.keeper.call("people.step_up_begin", said, Ceremony)


async def do(
    site: Site, visit: Visit, verb: str, body: msgspec.Struct, answer: type[T], finished: Finished | None = None
) -> T:
    """An operator's verb, by this person."""
    return await site.keeper.call("people.do", Do(visit.proof, verb, msgspec.msgpack.encode(body), finished), answer)


def finished(visit: Visit, form: dict[str, str]) -> Finished:
    """What the browser's authenticator said, as a form carries it."""
    return Finished(form.get("ceremony", ""), form.get("response", ""), visit.address, visit.browser)
