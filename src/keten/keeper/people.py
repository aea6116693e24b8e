"""People at the faces: who is signed in and may do what, and how a person signs in. What faces say is `people_verbs`.

Every answer to somebody who is not signed in is the same, whatever is wrong: `sign-in-failed`. The entry says what it
was. Ten failures in a row block a network for a while (`identity/failures.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from sqlalchemy import Connection as Reading

from keten.core.db import translated
from keten.core.errors import Busy, Corrupt, KetenError, Unavailable
from keten.core.ids import is_id
from keten.identity import links, passkeys, people_entries, to_tell
from keten.identity.ceremonies import NOTHING, Ceremonies, Ceremony, Of, What
from keten.identity.errors import Refused
from keten.identity.failures import Failures
from keten.identity.model import Person
from keten.identity.passkeys import Relying, Shown
from keten.identity.people_model import Link, PersonSession
from keten.identity.person_sessions import MAX_OF_PERSON, PersonSessions, limits_of
from keten.identity.recovery import service as recovery
from keten.identity.roles import REDUCED, Face, acts_of, face_of, may, roles_of
from keten.identity.rows import people as rows
from keten.identity.signin_entries import Method
from keten.identity.strangers import network_of
from keten.keeper import people_protocol as said
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.model import Draft
from keten.ledger.writing import Writing

log = logging.getLogger(__name__)
T = TypeVar("T")
_BROWSER = 64


class SignedIn(msgspec.Struct, frozen=True):
    """A person whose session holds, with the roles that count at its face."""

    person: Person
    roles: tuple[str, ...]
    session: PersonSession


class People:
    """One for both faces. Used in the event loop."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self.sessions = PersonSessions(trusted.sessions_key)
        self.ceremonies = Ceremonies()
        self._failures = Failures()
        self._letters = to_tell.OnceADay()
        self.on_over: Callable[[frozenset[str]], object] = lambda _sessions: None
        """Told of sessions that are over, by their public ids: what was begun in them is cut."""
        self.origins: dict[Face, str] = {}
        """What browsers call each face, as it said last: letters lead there."""
        self.reduced: dict[str, int] = {}
        """Who came back by a recovery (random id), and until when it may do less."""
        self.in_use: Callable[[], frozenset[str]] = frozenset
        """The sessions, by their public ids, in which something is under way: they do not lie still."""
        with translated(), trusted.reader.connect() as reading:
            self.sessions.load(reading, trusted.clock.recording_time())
            for case in recovery.cases_of(reading, state="done"):
                self.reduced[case.person] = max(case.reduced_until_us, self.reduced.get(case.person, 0))

    # ---- who is there --------------------------------------------------------------------------------------------

    def require(self, face: Face, proof: said.PersonProof, act: str, *, quiet: bool = False) -> SignedIn:
        """The person whose session this is, who may do this; `act` "": whoever is signed in.

        1. Serving at all: the clock has not jumped.
        2. The session is there, of this face and browser, and not over, also not by the limits of today's roles.
        3. The person still stands. (A passkey that ends takes its sessions along.)
        4. A role of it holds the act; and of whoever came back by a recovery lately, it is one of `REDUCED`.
        5. The session was used now, unless a page asks that refreshes itself (`quiet`).

        Raises `Refused` ("session-ended", "not-allowed", "recovered-lately"), recorded; `Unavailable`.
        """
        now = self._trusted.clock.now()  # 1
        try:
            signed_in = self._holds(face, proof, act, now)  # 2, 3, 4
        except Refused as error:
            self.refused(error, "", "person-session")
            raise
        session = signed_in.session
        if not quiet:  # 5
            self._touch(session, now)
        return msgspec.structs.replace(signed_in, session=self.sessions.now(session) or session)

    def _holds(self, face: Face, proof: said.PersonProof, act: str, now: int) -> SignedIn:
        session = self.sessions.get(proof.session, face, proof.browser, now)  # 2
        if not self._still_vouched(session):
            raise _gone("session-ended", session.person)
        person = self.standing(session.person, face, session.began_us)  # 3
        roles = roles_of(person, now)
        idle, most = limits_of(roles)
        if now >= session.used_us + idle or now >= session.began_us + most:  # 2
            raise Refused("session-ended", "it is over", client_id=person.id, proven=True)
        if act and not may(roles, act):  # 4
            raise Refused("not-allowed", f"no role of it holds {act[:60]}", client_id=person.id, proven=True)
        if act and act not in REDUCED:
            self._require_whole(person.id, now)
        return SignedIn(person, roles, session)

    def _require_whole(self, person: str, now: int) -> None:
        if now < self.reduced.get(person, 0):
            raise Refused("recovered-lately", "it came back by a recovery", client_id=person, proven=True)

    def require_whole(self, person: str) -> None:
        """Whoever came back by a recovery lately changes nothing. Raises `Refused` ("recovered-lately"), recorded."""
        try:
            self._require_whole(person, self._trusted.clock.now())
        except Refused as error:
            self.refused(error, "", "person-session")
            raise

    def _touch(self, session: PersonSession, now: int) -> None:
        if self.sessions.touch(session, now):
            used = self.sessions.now(session)
            if used is not None:
                self._trusted.writer.submit(
                    lambda writing: self.sessions.note(writing, used), lambda job, _batch: _lost(job.error)
                )

    def standing(self, person_id: str, face: Face, began_us: int) -> Person:
        """The person of the register, who may be signed in at this face. began_us: since when.

        1. There, and not ended; it matches the ledger.
        2. Of this face, with a role there that was confirmed where it has to be.
        3. Not suspended, nor to sign in anew.
        4. Its supplier has not ended, and is not frozen.

        Raises `Refused` ("session-ended") with the reason as its cause.
        """
        trusted = self._trusted
        trusted.door.fresh()
        now = trusted.clock.recording_time()
        try:
            person = trusted.register.person(person_id)  # 1
            supplier = trusted.register.supplier(person.supplier) if person and person.supplier else None
        except Corrupt as error:
            log.critical("people: %s", error)
            raise _gone("register-mismatch", person_id) from error
        if person is None or person.ended is not None:
            raise _gone("person-ended", person_id)
        if face_of(person.supplier) != face or not roles_of(person, now):  # 2
            raise _gone("not-confirmed" if person.lapsed_at(now) else "no-role", person_id)
        if person.suspended_at(now):  # 3
            raise _gone("suspended", person_id)
        if person.anew_us and began_us <= person.anew_us:
            raise _gone("sign-in-again", person_id)
        if person.supplier:  # 4
            if supplier is None or supplier.ended is not None:
                raise _gone("supplier-ended", person_id)
            if supplier.frozen_at(now):
                raise _gone("supplier-frozen", person_id)
        return person

    def view(self, person: Person) -> said.PersonView:
        """A person as faces show it."""
        register = self._trusted.register
        supplier = register.supplier(person.supplier) if person.supplier else None
        now = self._trusted.clock.recording_time()
        roles = roles_of(person, now)
        acts = acts_of(roles)
        if now < self.reduced.get(person.id, 0):
            acts = tuple(act for act in acts if act in REDUCED)
        return said.PersonView(
            person.id,
            person.name,
            person.supplier,
            supplier.title if supplier else "",
            self.organisation(),
            roles,
            acts,
        )

    def roles(self, person: Person) -> tuple[str, ...]:
        """The roles of a person that count now."""
        return roles_of(person, self._trusted.clock.recording_time())

    def organisation(self) -> str:
        """What the organisation is called."""
        found = self._trusted.register.organisation()
        return found.name if found else "Keten"

    # ---- ceremonies ----------------------------------------------------------------------------------------------

    def begin(
        self,
        what: What,
        face: Face,
        relying: Relying,
        browser: str,
        network: str,
        of: Of = NOTHING,
    ) -> Ceremony:
        """Begin a ceremony, now. Raises `Blocked`, `Busy`, `Refused` ("ceremony-over") for a malformed browser."""
        now = self._trusted.clock.outside()
        self._failures.require_free(network, now)
        if len(browser) != _BROWSER or not browser.isascii() or not browser.isalnum():
            raise Refused("ceremony-over", "the face said no browser")
        return self.ceremonies.begin(what, face, relying, browser, network, now, of)

    def take(self, finished: said.Finished, face: Face, *what: What) -> Ceremony:
        """The ceremony that is finished, used up. Raises as `Ceremonies.take`."""
        return self.ceremonies.take(finished.ceremony, what, face, finished.browser, self._trusted.clock.outside())

    def shown(self, response: str, ceremony: Ceremony) -> Shown:
        """The passkey that a browser showed.

        1. Which it is: known, of this relying party, not ended.
        2. The assertion holds (`passkeys.check_assertion`).

        Raises `Refused` ("passkey-invalid").
        """
        hashed = passkeys.credential_of(response)
        try:
            with translated(), self._trusted.reader.connect() as reading:
                passkey = passkeys.find(reading, hashed)  # 1
                counter = passkeys.uses(reading, passkey.id)[0] if passkey else 0
        except Corrupt as error:
            log.critical("people: %s", error)
            raise Refused("passkey-invalid", "its row", cause="register-mismatch") from error
        if passkey is None:
            raise Refused("passkey-invalid", "there is no such passkey", cause="passkey-unknown")
        if passkey.ended is not None:
            raise Refused("passkey-invalid", "it was ended", cause="passkey-ended", client_id=passkey.person)
        if passkey.rp != ceremony.relying.id:
            raise Refused("passkey-invalid", "it is of another address", client_id=passkey.person)
        return passkeys.check_assertion(response, ceremony.relying, ceremony.challenge, passkey, counter)  # 2

    # ---- opening and ending sessions ---------------------------------------------------------------------------------

    async def open(
        self, person_id: str, face: Face, ceremony: Ceremony, address: str, passkey: Callable[[Writing], str]
    ) -> said.SessionOpened:
        """A session.

        1. The person stands.
        2. In one transaction: it still does, the passkey (made, or its counter), the session, the entry. What was open
           in this browser ends, whoever's it was, and the oldest session of too many. From a network that is on a list
           of bad ones: the person is to be told.
        3. It stands still; the session is open.

        passkey: writes what belongs to it, and says which it is; "": the provider vouched. Raises `Refused`.
        """
        trusted = self._trusted
        now = trusted.clock.now()
        person = self.standing(person_id, face, now)  # 1
        roles = roles_of(person, now)
        place = trusted.networks.place(address)
        strange = bool(place.get("listed")) and self._letters.is_first(person_id, "network-listed", now)
        here = self.sessions.of_browser(face, ceremony.browser)
        former = tuple(one for one in self.sessions.of_person(person_id) if one not in here)
        over = here + former[: max(0, len(former) - MAX_OF_PERSON + 1)]

        def run(writing: Writing) -> tuple[str, PersonSession]:  # 2
            row = rows.get(writing.connection, person_id)
            if row is None or row.ended is not None:
                raise _gone("person-ended", person_id)
            secret, session = PersonSessions.make(
                person_id, passkey(writing), face, ceremony.browser, ceremony.network, roles, now
            )
            self.sessions.insert(writing, session)
            PersonSessions.remove(writing, over)
            writing.record(people_entries.person_signed_in(session, person.supplier, place, over))
            if strange:
                to_tell.owe(writing, person_id, "unusual", "network-listed")
            return secret, session

        (secret, session), _batch = await trusted.writer.run(run, alone=True)
        self.close(over)
        self.standing(person_id, face, now)  # 3
        self.sessions.open(session)
        self._failures.succeeded(ceremony.network)
        return said.SessionOpened(secret, session.expires_us, self.view(person))

    async def end(self, sessions: tuple[PersonSession, ...], person: str, actor: str) -> str:
        """End sessions of a person on demand: at once here, then in the database with the entry, whose id it returns.

        Also on a disk that is nearly full: nothing keeps somebody signed in who is to be signed out.
        """
        self.close(sessions)
        names = [session.id for session in sessions]

        def run(writing: Writing) -> int:
            PersonSessions.remove(writing, sessions)
            return writing.record(people_entries.person_signed_out(person, names, actor))

        index, batch = await self._trusted.writer.run(run, alone=True, essential=True)
        return sealed_in(batch, index).id

    def close(self, sessions: tuple[PersonSession, ...]) -> None:
        """These do not count any more, and what was begun in them is cut."""
        for session in sessions:
            self.sessions.close(session)
        portal = frozenset(session.id for session in sessions if session.face == "portal")
        if portal:
            self.on_over(portal)

    def require_open(self, writing: Writing, session: PersonSession) -> None:
        """In the writer's transaction, where what was asked for before may have changed.

        1. The session is there: neither signed out nor gone with its passkey.
        2. The person has not ended.

        Raises `Refused` ("session-ended").
        """
        if not PersonSessions.there(writing, session):  # 1
            raise _gone("session-ended", session.person)
        row = rows.get(writing.connection, session.person)  # 2
        if row is None or row.ended is not None:
            raise _gone("person-ended", session.person)

    async def sweep(self) -> tuple[PersonSession, ...]:
        """End what may not go on: of people, suppliers and passkeys that ended, and what is over by itself."""
        now = self._trusted.clock.recording_time()
        in_use = self.in_use()
        for session in self.sessions.all():
            if session.id in in_use and not session.over_at(now):
                self._touch(session, now)
        gone = tuple(one for one in self.sessions.all() if one.over_at(now) or not self._stands(one))
        if gone:
            self.close(gone)
            await self._trusted.writer.run(
                lambda writing: PersonSessions.remove(writing, gone), alone=True, essential=True
            )
        return gone

    def _still_vouched(self, session: PersonSession) -> bool:
        """Whether what it was opened by is a way in: a provider is one for staff alone, while it is in the settings."""
        return bool(session.passkey) or (session.face == "console" and bool(self._trusted.settings.oidc.issuer))

    def _stands(self, session: PersonSession) -> bool:
        if not self._still_vouched(session):
            return False
        try:
            self.standing(session.person, session.face, session.began_us)
        except Refused as error:
            return error.cause in ("suspended", "supplier-frozen")  # for a while: refused meanwhile, and then again
        return True

    # ---- refusals ------------------------------------------------------------------------------------------------

    @contextmanager
    def answering_alike(self, network: str, address: str, method: Method) -> Iterator[None]:
        """Whatever fails in the block: counted, recorded, and answered alike. Raises `Blocked` before it is begun."""
        self._failures.require_free(network, self._trusted.clock.outside())
        try:
            yield
        except (Busy, Unavailable):
            raise
        except KetenError as error:
            self._failures.failed(network, self._trusted.clock.outside())
            self.refused(error, address, method)
            code = "link-invalid" if method == "link" else "sign-in-failed"
            raise Refused(code, error.code, cause=getattr(error, "cause", error.code)) from error

    def refused(self, error: KetenError, address: str, method: Method) -> None:
        """Record or count a refusal; it is not waited for. Of what somebody else may be behind, its person hears."""
        trusted = self._trusted
        now = trusted.clock.outside()
        person = error.client_id if isinstance(error, Refused) else ""
        if isinstance(error, Refused) and error.cause == "passkey-copied":
            log.warning("there may be a copy of a passkey of person %s: its counter went back", person)
        draft: Draft | None
        if person:
            proven = isinstance(error, Refused) and error.proven
            cause = error.cause if isinstance(error, Refused) else error.code
            place = trusted.networks.place(address) if address else {}
            draft = trusted.person_refusals.refused(person, method, cause, now, proven=proven, place=place)
            if cause in to_tell.UNUSUAL and self._letters.is_first(person, cause, now):
                trusted.writer.submit(
                    lambda writing: to_tell.owe(writing, person, "unusual", cause), lambda job, _batch: _lost(job.error)
                )
        else:
            draft = trusted.sign_in.refused(error, address, method, now)
        if draft is not None:
            found = draft
            trusted.writer.submit(lambda writing: writing.record(found), lambda job, _batch: _lost(job.error))

    # ---- reading -------------------------------------------------------------------------------------------------

    def reading(self, read: Callable[[Reading], T]) -> T:
        """Read what belongs to people."""
        with translated(), self._trusted.reader.connect() as reading:
            return read(reading)

    def link(self, token: str) -> Link:
        """The link with this secret part that may be used now. Raises `Refused` ("link-invalid")."""
        now = self._trusted.clock.now()
        if not is_id(token):
            raise Refused("link-invalid", "it has not the shape of a link")
        return self.reading(lambda reading: links.find(reading, token, now))


def network_at(address: str) -> str:
    """What failures and ceremonies are counted by."""
    return network_of(address)


def _gone(cause: str, person: str) -> Refused:
    return Refused("session-ended", cause, cause=cause, client_id=person, proven=True)


def _lost(error: KetenError | None) -> None:
    if error is not None:
        log.error("not recorded: %s", error)
