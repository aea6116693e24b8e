"""Getting back in, as faces say it for whoever it is: the code's parts, the passkey made with them, and "not me"."""

from __future__ import annotations

from keten.identity import passkeys
from keten.identity.ceremonies import Of
from keten.identity.errors import Refused
from keten.identity.recovery import model, service
from keten.identity.recovery.model import PARTS
from keten.identity.roles import Face
from keten.keeper import people_protocol as said
from keten.keeper import recovery_protocol as recovery
from keten.keeper.evenly import evenly
from keten.keeper.people import People, network_at
from keten.keeper.people_verbs import PeopleVerbs
from keten.keeper.recoveries import Recoveries
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.ledger.writing import Writing


def face_verbs(
    trusted: Trusted, face: Face, people: People, verbs: PeopleVerbs, recoveries: Recoveries
) -> dict[str, Verb]:
    """Everything that a face may say about people. verbs: those about people who have their passkeys, of that face."""
    return verbs.verbs() | Recovering(trusted, face, people, verbs, recoveries).verbs()


class Recovering:
    """The verbs of `RECOVERY_FACE_VERBS` at one face. Whatever is wrong, the answer is "link-invalid"."""

    def __init__(
        self, trusted: Trusted, face: Face, people: People, verbs: PeopleVerbs, recoveries: Recoveries
    ) -> None:
        self._trusted = trusted
        self._face: Face = face
        self._people = people
        self._verbs = verbs
        self._limits = recoveries.limits

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "people.recover_begin": waiting_verb(recovery.RecoverBegin, evenly(self.begin)),
            "people.recover": waiting_verb(said.Finished, evenly(self.recover)),
            "people.stop_recovery": waiting_verb(recovery.StopRecovery, evenly(self.stop)),
        }

    async def begin(self, connection: Connection, body: recovery.RecoverBegin) -> said.Enrolment:
        """The parts of a code: for whom they are. It uses nothing up. Raises `Refused` ("link-invalid")."""
        relying, people, network = self._verbs.relying_of(connection), self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "link"):
            now = self._trusted.clock.now()
            if len(body.parts) != PARTS or len(set(body.parts)) != PARTS:
                raise Refused("link-invalid", "it has not so many parts")
            case = people.reading(lambda reading: service.shown(reading, body.parts, now, self._limits))
            if case is None:
                raise Refused("link-invalid", "the parts are no code that can be used")
            person = people.standing(case.person, self._face, now)
            of = Of(person=person.id, parts=body.parts)
            begun = people.begin("recover", self._face, relying, body.browser, network, of)
            held = people.reading(lambda reading: passkeys.of_person(reading, person.id))
        options = passkeys.creation_options(relying, person.id, person.name, begun.challenge, held)
        return said.Enrolment(person.name, people.organisation(), self._verbs.ceremony_said(begun, options))

    async def recover(self, _connection: Connection, body: said.Finished) -> said.SessionOpened:
        """The passkey that the code makes, and with it a session that may do less for a while.

        1. The ceremony is used up, and the new passkey holds.
        2. In one transaction: the rules, the parts used up, the passkey, the session (`People.open`).

        Raises `Refused` ("link-invalid"), whatever is wrong.
        """
        people, network = self._people, network_at(body.address)
        with people.answering_alike(network, body.address, "link"):
            ceremony = people.take(body, self._face, "recover")  # 1
            made = passkeys.check_creation(body.response, ceremony.relying, ceremony.challenge)
            person, rp = ceremony.of.person, ceremony.relying.id
            before = people.reduced.get(person, 0)

            def run(writing: Writing) -> str:  # 2
                done = service.use(writing, ceremony.of.parts, made, rp, self._limits)
                if isinstance(done, model.Refused):
                    raise Refused("link-invalid", done.reason, client_id=person)
                people.reduced[person] = done.case.reduced_until_us
                return done.passkey

            try:
                return await people.open(person, self._face, ceremony, body.address, run)
            except BaseException:
                self._settle(person, before)
                raise

    async def stop(self, _connection: Connection, body: recovery.StopRecovery) -> said.Done:
        """Whoever says "this is not me": the case is over for good, and what its code gave is taken back.

        Also on a disk that is nearly full, and from a network that is blocked: whoever guesses codes beside the person
        keeps nobody from stopping them, and a token of 128 bits is not guessed. Raises `Refused` ("link-invalid") when
        it is of nothing that could be stopped.
        """
        people = self._people
        now = self._trusted.clock.now()
        after: model.Case | model.Refused = model.Refused("absent")
        if people.reading(lambda reading: service.stoppable(reading, body.token, now)):
            after, _batch = await self._trusted.writer.run(
                lambda writing: service.veto(writing, body.token, self._limits), alone=True, essential=True
            )
        if isinstance(after, model.Refused):
            error = Refused("link-invalid", after.reason)
            people.refused(error, body.address, "link")
            raise error
        if after.reduced_until_us:  # its code was used: whatever the person has open is over
            people.close(people.sessions.of_person(after.person))
        return said.Done()

    def _settle(self, person: str, before: int) -> None:
        """What came of a transaction that failed, or whose answer never came: as the register has it."""
        people = self._people
        done = people.reading(lambda reading: service.cases_of(reading, person=person))
        people.reduced[person] = max([before, *(case.reduced_until_us for case in done if case.state == "done")])
