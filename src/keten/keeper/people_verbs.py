"""What faces may say about people: the verbs of the console's socket, and of the gateway's for people of suppliers."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from keten.core.clock import SECOND
from keten.core.errors import Conflict, Denied, Invalid, KetenError, NotFound
from keten.identity import links, passkeys, people_entries
from keten.identity.ceremonies import Ceremony, Of, act_of
from keten.identity.errors import Refused
from keten.identity.passkeys import Relying
from keten.identity.people_model import PersonSession, Signed
from keten.identity.person_sessions import PersonSessions
from keten.identity.roles import Face, only_outside, only_own
from keten.keeper import people_protocol as said
from keten.keeper.acting import CONSOLE, PORTAL, Act
from keten.keeper.evenly import evenly
from keten.keeper.owned import Owned
from keten.keeper.people import People, SignedIn, network_at
from keten.keeper.server import Connection, Reply, Verb, internal, waiting_verb
from keten.keeper.trusted import Trusted
from keten.ledger.writing import Writing

log = logging.getLogger(__name__)
RECENT_US = 15 * 60 * SECOND
"""So long after an assertion passkeys may be added; after it, or a sign-in, passkeys and other sessions ended."""
_MALFORMED = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)


class Acting:
    """A connection as the handlers of operators' verbs see it, on which a person acts."""

    tells_reasons = False

    def __init__(self, connection: Connection, signed_in: SignedIn, signed: Signed | None = None) -> None:
        self._connection = connection
        self.actor = f"person:{signed_in.person.id}"
        self.outside_only = only_outside(signed_in.roles)
        self.person = signed_in.person.id
        self.signed = signed
        self.tasks = connection.tasks
        self.loop = connection.loop
        self.number = connection.number

    @property
    def alive(self) -> bool:
        """Whether the face is still there."""
        return self._connection.alive


class PeopleVerbs:
    """The verbs of one face. operators: the operators' verbs by name, of which a person may say those in its table."""

    def __init__(self, trusted: Trusted, face: Face, people: People, operators: Mapping[str, Verb]) -> None:
        self._trusted = trusted
        self._face: Face = face
        self._people = people
        self._operators = operators
        self._owned = Owned(trusted)
        self._relying: WeakKeyDictionary[Connection, Relying] = WeakKeyDictionary()

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "people.origin": waiting_verb(said.Origin, self.origin),
            "people.sign_in_begin": waiting_verb(said.SignInBegin, self.sign_in_begin),
            "people.sign_in": waiting_verb(said.Finished, evenly(self.sign_in)),
            "people.enrol_begin": waiting_verb(said.EnrolBegin, evenly(self.enrol_begin)),
            "people.enrol": waiting_verb(said.Finished, evenly(self.enrol)),
            "people.authorise": waiting_verb(said.Authorise, self.authorise),
            "people.sign_out": waiting_verb(said.SignOut, self.sign_out),
            "people.own": waiting_verb(said.OwnKeys, self.own),
            "people.add_key_begin": waiting_verb(said.AddKeyBegin, self.add_key_begin),
            "people.add_key": waiting_verb(said.Finished, self.add_key),
            "people.end_key": waiting_verb(said.EndKey, self.end_key),
            "people.step_up_begin": waiting_verb(said.StepUpBegin, self.step_up_begin),
            "people.do": Verb(msgspec.msgpack.Decoder(said.Do).decode, self.do),
        }

    # ---- the face ------------------------------------------------------------------------------------------------

    async def origin(self, connection: Connection, body: said.Origin) -> said.Done:
        """What browsers call the face: as its settings say, else `http://localhost[:port]`. Raises `Invalid`."""
        settings = self._trusted.settings
        public = (settings.console if self._face == "console" else settings.portal).public_url
        origin = origin_of(body.url)
        if public and origin != origin_of(public):
            raise Invalid("origin", f"The settings say [{self._face}] public_url is {public}.", origin[:200])
        if not public and urlsplit(origin).hostname != "localhost":
            what = f"Passkeys need a host name: set [{self._face}] public_url to the https:// address browsers use."
            raise Invalid("origin", what, origin[:200])
        host = urlsplit(origin).hostname or ""
        self._people.origins[self._face] = origin
        self._relying[connection] = Relying(host, origin, self._people.organisation())
        return said.Done()

    def relying_of(self, connection: Connection) -> Relying:
        """Whom passkeys are for at this face. Raises `Denied` ("no-origin")."""
        found = self._relying.get(connection)
        if found is None:
            raise Denied("no-origin", "Say people.origin first.")
        return found

    def origins(self) -> tuple[str, ...]:
        """What browsers call the face, as those who are connected said."""
        return tuple(sorted({relying.origin for relying in self._relying.values()}))

    # ---- signing in ------------------------------------------------------------------------------------------------

    async def sign_in_begin(self, connection: Connection, body: said.SignInBegin) -> said.Ceremony:
        """Somebody wants to sign in. Raises `Blocked`, `Busy`, `Refused` ("not-allowed": by the provider only)."""
        relying = self.relying_of(connection)
        if self._face == "console" and self._trusted.settings.oidc.only:
            raise Refused("not-allowed", "the settings say that staff sign in through the provider only")
        self._trusted.clock.now()
        begun = self._people.begin("sign-in", self._face, relying, body.browser, network_at(body.address))
        return self.ceremony_said(begun, passkeys.request_options(relying, begun.challenge))

    async def sign_in(self, _connection: Connection, body: said.Finished) -> said.SessionOpened:
        """A person signs in.

        1. The ceremony is used up: of this face, browser and purpose, and not over.
        2. The passkey's assertion holds.
        3. The session (`People.open`).

        Raises `Refused` ("sign-in-failed"), whatever is wrong; `Busy`, `Unavailable`.
        """
        people, network = self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "passkey"):
            ceremony = people.take(body, self._face, "sign-in")  # 1
            shown = people.shown(body.response, ceremony)  # 2

            def used(writing: Writing) -> str:
                passkeys.use(writing, shown)
                return shown.passkey.id

            return await people.open(shown.passkey.person, self._face, ceremony, body.address, used)  # 3

    # ---- the first passkey -----------------------------------------------------------------------------------------

    async def enrol_begin(self, connection: Connection, body: said.EnrolBegin) -> said.Enrolment:
        """A link was opened: for whom it is. Opening it does not use it up. Raises `Refused` ("link-invalid")."""
        relying, people, network = self.relying_of(connection), self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "link"):
            link = people.link(body.token)
            now = self._trusted.clock.now()
            person = people.standing(link.person, self._face, now)
            begun = people.begin(
                "enrol", self._face, relying, body.browser, network, Of(link=link.id, person=person.id)
            )
            held = people.reading(lambda reading: passkeys.of_person(reading, person.id))
        options = passkeys.creation_options(relying, person.id, person.name, begun.challenge, held)
        return said.Enrolment(person.name, people.organisation(), self.ceremony_said(begun, options))

    async def enrol(self, _connection: Connection, body: said.Finished) -> said.SessionOpened:
        """The passkey that a link makes, and with it a session.

        1. The ceremony is used up.
        2. The new passkey holds.
        3. In one transaction: the link is used up, the passkey added, the session opened (`People.open`).

        Raises `Refused` ("link-invalid"), whatever is wrong.
        """
        people, network = self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "link"):
            ceremony = people.take(body, self._face, "enrol")  # 1
            made = passkeys.check_creation(body.response, ceremony.relying, ceremony.challenge)  # 2
            actor = f"person:{ceremony.of.person}"

            def add(writing: Writing) -> str:  # 3
                link = links.use(writing, ceremony.of.link, actor)
                if link.purpose == "first" and passkeys.of_person(writing.connection, link.person):
                    raise Refused("link-invalid", "there is a passkey already", client_id=link.person)
                return passkeys.add(writing, link.person, made, ceremony.relying.id, actor)[0].id

            return await people.open(ceremony.of.person, self._face, ceremony, body.address, add)

    # ---- afterwards ------------------------------------------------------------------------------------------------

    async def authorise(self, _connection: Connection, body: said.Authorise) -> said.Authorised:
        """Whether a person may do this now. Raises `Refused` ("session-ended", "not-allowed")."""
        signed_in = self._people.require(self._face, body.proof, body.act, quiet=body.quiet)
        session = signed_in.session
        ends = min(session.used_us + session.idle_us, session.expires_us)
        return said.Authorised(self._people.view(signed_in.person), ends, session.expires_us)

    async def sign_out(self, _connection: Connection, body: said.SignOut) -> said.Done:
        """End one's own session, this one or others.

        1. This one at any time; others when one proved lately who one is, by whichever way one signs in.
        2. Those that there are. With no others there is nothing to record.

        Raises `NotFound` ("absent"), `Refused` ("step-up").
        """
        signed_in = self._people.require(self._face, body.proof, "")
        person, this = signed_in.person.id, signed_in.session
        own = self._people.sessions.of_person(person)
        if body.others:
            chosen = tuple(session for session in own if session.id != this.id)
        else:
            chosen = tuple(session for session in own if session.id == (body.which or this.id))
            if not chosen:
                raise NotFound("absent", "There is no such session of yours.")
        if chosen != (this,):  # 1
            self._require_recent(this, max(this.began_us, this.asserted_us))
        if chosen:  # 2
            await self._people.end(chosen, person, f"person:{person}")
        return said.Done()

    def _require_recent(self, session: PersonSession, shown_us: int) -> None:
        """Who it is was shown lately: a session that was stolen, or left open, is not enough. Raises `Refused`."""
        if self._trusted.clock.now() - shown_us <= RECENT_US:
            return
        error = Refused("step-up", "what was shown is too old", client_id=session.person, proven=True)
        self._people.refused(error, "", "person-session")
        raise error

    async def own(self, _connection: Connection, body: said.OwnKeys) -> said.Own:
        """A person's own passkeys and sessions."""
        signed_in = self._people.require(self._face, body.proof, "")
        person, people = signed_in.person.id, self._people
        keys = people.reading(
            lambda reading: tuple(
                said.KeyLine(one.id, one.name, one.added_us, passkeys.uses(reading, one.id)[1], one.synced)
                for one in passkeys.of_person(reading, person)
            )
        )
        sessions = tuple(
            said.SessionLine(one.id, one.began_us, one.used_us, one.network, one.id == signed_in.session.id)
            for one in people.sessions.of_person(person)
        )
        return said.Own(keys, sessions)

    async def add_key_begin(self, connection: Connection, body: said.AddKeyBegin) -> said.Ceremony:
        """One more passkey. Raises `Refused` ("step-up") when the last assertion was too long ago."""
        relying = self.relying_of(connection)
        signed_in = self._people.require(self._face, body.proof, "")
        session, person = signed_in.session, signed_in.person
        self._people.require_whole(person.id)
        self._require_recent(session, session.asserted_us)
        begun = self._people.begin(
            "add-key", self._face, relying, session.browser, session.network, Of(session=session.hash, person=person.id)
        )
        held = self._people.reading(lambda reading: passkeys.of_person(reading, person.id))
        options = passkeys.creation_options(relying, person.id, person.name, begun.challenge, held)
        return self.ceremony_said(begun, options)

    async def add_key(self, _connection: Connection, body: said.Finished) -> said.Done:
        """One more passkey was made.

        1. The ceremony is used up, and the new passkey holds.
        2. The session that asked for it is open, and its person stands.
        3. In one transaction: they still do (what ends meanwhile ends this too), and the passkey is added.

        Raises `Refused`.
        """
        try:
            ceremony = self._people.take(body, self._face, "add-key")  # 1
            made = passkeys.check_creation(body.response, ceremony.relying, ceremony.challenge)
            session = self._still_open(ceremony)  # 2
            person, rp = ceremony.of.person, ceremony.relying.id

            def add(writing: Writing) -> int:  # 3
                self._people.require_open(writing, session)
                return passkeys.add(writing, person, made, rp, f"person:{person}")[1]

            await self._trusted.writer.run(add, alone=True)
        except Refused as error:
            self._people.refused(error, body.address, "passkey")
            raise
        return said.Done()

    def _still_open(self, ceremony: Ceremony) -> PersonSession:
        of, people = ceremony.of, self._people
        session = next((one for one in people.sessions.of_person(of.person) if one.hash == of.session), None)
        if session is None or session.over_at(self._trusted.clock.now()):
            raise Refused("session-ended", "it ended meanwhile", client_id=of.person, proven=True)
        people.standing(of.person, self._face, session.began_us)
        return session

    async def end_key(self, _connection: Connection, body: said.EndKey) -> said.Done:
        """End one of one's own passkeys, and what was signed in with it, when one proved lately who one is.

        Raises `NotFound`, `Conflict` ("last-key"), `Refused` ("step-up").
        """
        signed_in = self._people.require(self._face, body.proof, "")
        person = signed_in.person.id
        self._people.require_whole(person)
        self._require_recent(signed_in.session, max(signed_in.session.began_us, signed_in.session.asserted_us))
        actor = f"person:{person}"

        def run(writing: Writing) -> int:
            self._people.require_open(writing, signed_in.session)
            held = passkeys.of_person(writing.connection, person)
            chosen = [one for one in held if one.id == body.key]
            if not chosen:
                raise NotFound("absent", "There is no such passkey of yours.")
            if len(held) == 1:
                raise Conflict("last-key", "This is your only passkey; add another first.")
            over = PersonSessions.remove_of_passkey(writing, body.key)
            if over:
                writing.record(people_entries.person_signed_out(person, list(over), actor))
            return passkeys.end(writing, chosen[0], "ended by its person", actor)

        await self._trusted.writer.run(run, alone=True, essential=True)
        # Also what was opened while this waited for its turn: a sign-in after it is refused by the passkey's row.
        own = self._people.sessions.of_person(person)
        self._people.close(tuple(session for session in own if session.passkey == body.key))
        return said.Done()

    # ---- acts ------------------------------------------------------------------------------------------------------

    async def step_up_begin(self, connection: Connection, body: said.StepUpBegin) -> said.Ceremony:
        """A ceremony for one act: the challenge is of its verb and body. Raises `Refused` ("no-passkey"), `Invalid`."""
        relying = self.relying_of(connection)
        signed_in, _act, _value = self._allowed(body.proof, body.verb, body.body)
        session, person = signed_in.session, signed_in.person
        held = self._people.reading(lambda reading: passkeys.of_person(reading, person.id))
        if not held:  # the provider vouched for it: that confirms nothing
            error = Refused("no-passkey", "there is none", client_id=person.id, proven=True)
            self._people.refused(error, "", "person-session")
            raise error
        begun = self._people.begin(
            "step-up",
            self._face,
            relying,
            session.browser,
            session.network,
            Of(session=session.hash, person=person.id, act=act_of(body.verb, body.body)),
        )
        held = self._people.reading(lambda reading: passkeys.of_person(reading, person.id))
        return self.ceremony_said(begun, passkeys.request_options(relying, begun.challenge, held))

    def do(self, connection: Connection, body: said.Do, reply: Reply) -> None:
        """A person says an operator's verb.

        1. The session holds; the verb is in the face's table, and a role holds its act.
        2. Where it takes one: a fresh assertion by a passkey of this person, for this very act; recorded.
        3. The person still may.
        4. The verb, with the person as its actor.

        Raises `Refused` ("session-ended", "not-allowed", "step-up", "ceremony-over", "passkey-invalid").
        """
        task = connection.loop.create_task(self._do(connection, body, reply))
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)

    async def _do(self, connection: Connection, body: said.Do, reply: Reply) -> None:
        try:
            signed_in, act, value = self._allowed(body.proof, body.verb, body.body)  # 1
            signed = None
            if act.fresh:
                signed = await self._confirm(signed_in, body)  # 2
                signed_in, act, value = self._allowed(body.proof, body.verb, body.body)  # 3
            acting = cast("Connection", Acting(connection, signed_in, signed))  # what handlers use of one
            self._operators[body.verb].handle(acting, value, reply)  # 4
        except KetenError as error:
            reply.error(error)
        except Exception:
            log.exception("an act failed")
            reply.error(internal())

    def _allowed(self, proof: said.PersonProof, verb: str, body: bytes) -> tuple[SignedIn, Act, msgspec.Struct]:
        """Who it is, what it takes, and the verb's body. Raises `Refused`, `Invalid` ("malformed")."""
        known = self._operators.get(verb) if verb in (CONSOLE if self._face == "console" else PORTAL) else None
        if known is None:
            self._people.require(self._face, proof, "no-such-act")  # refused, and recorded
            raise Refused("not-allowed", "not in the table")
        person = self._people.require(self._face, proof, "").person
        try:
            value: msgspec.Struct = known.decode(body)
        except _MALFORMED as error:
            raise Invalid("malformed", "The request is malformed.", str(error)) from error
        self._trusted.door.fresh()
        register = self._trusted.register
        if self._face == "console":
            act = CONSOLE[verb](register, value)
        else:
            self._people.require(self._face, proof, "portal-people")  # before anything is said of who is there
            act = PORTAL[verb](register, person, value)
        signed_in = self._people.require(self._face, proof, act.act)
        if only_own(signed_in.roles, act.act):
            self._require_own(signed_in, value)
        return signed_in, act, value

    def _require_own(self, signed_in: SignedIn, value: msgspec.Struct) -> None:
        """A data owner's own alone. What is another's is refused, and recorded, though it looks absent."""
        person = signed_in.person.id
        try:
            self._owned.require(person, value)
        except NotFound as error:
            refused = Refused("not-allowed", f"not of its own datasets: {error.reason}", client_id=person, proven=True)
            self._people.refused(refused, "", "person-session")
            raise

    async def _confirm(self, signed_in: SignedIn, body: said.Do) -> Signed:
        """Step 2 of `do`: recorded before the act is done, with the passkey and the act's hash; what was signed."""
        people, session = self._people, signed_in.session
        act = act_of(body.verb, body.body)
        if body.finished is None:
            raise Refused("step-up", "without an assertion", client_id=session.person, proven=True)
        try:
            shown = self._shown(session, act, body.finished)

            def run(writing: Writing) -> int:
                people.require_open(writing, session)
                passkeys.use(writing, shown)
                return writing.record(people_entries.person_acted(session, body.verb, act.hex(), shown.passkey.id))

            await self._trusted.writer.run(run, alone=True, essential=True)
        except Refused as error:
            people.refused(error, body.finished.address, "passkey")
            raise
        people.sessions.touch(session, self._trusted.clock.now(), asserted=True)
        return Signed(session.person, shown.passkey.id, act.hex())

    def _shown(self, session: PersonSession, act: bytes, finished: said.Finished) -> passkeys.Shown:
        ceremony = self._people.take(finished, self._face, "step-up")
        if ceremony.of.session != session.hash or ceremony.of.act != act:
            raise Refused("ceremony-over", "it is of another session or act", client_id=session.person)
        shown = self._people.shown(finished.response, ceremony)
        if shown.passkey.person != session.person:
            raise Refused("passkey-invalid", "it is of another person", client_id=session.person)
        return shown

    @staticmethod
    def ceremony_said(begun: Ceremony, options: str) -> said.Ceremony:
        """A ceremony as faces have it."""
        return said.Ceremony(begun.id, options, begun.expires_us)


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of an address, as browsers write an origin. Raises `Invalid` ("origin")."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid("origin", "This is not the address of a face.", url[:200]) from error
    if not host or not url.isascii() or "@" in parts.netloc or parts.scheme not in ("https", "http"):
        raise Invalid("origin", "This is not the address of a face.", url[:200])
    if _is_address(host):
        raise Invalid("origin", "Passkeys can't work at an IP address: give the face a host name.", host)
    if parts.scheme == "http" and host != "localhost":
        raise Invalid("origin", "Passkeys need https://, except at localhost.", url[:200])
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
