"""What operators say about people who sign in: who is there, invite, look at sessions, sign out."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection as Reading

from keten.core.db import translated
from keten.core.errors import Conflict, Invalid
from keten.identity import links, passkeys
from keten.identity.model import Person
from keten.identity.people_model import Link
from keten.identity.roles import roles_of
from keten.identity.rows import people as rows
from keten.keeper import people_protocol as said
from keten.keeper.people import People
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.writing import Writing


class PersonVerbs:
    """People, for operators; `people.invite` also for people who may."""

    def __init__(self, trusted: Trusted, people: People) -> None:
        self._trusted = trusted
        self._people = people

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "people.list": waiting_verb(said.AskPeople, self.list),
            "people.invite": waiting_verb(said.Invite, self.invite),
            "people.sessions": waiting_verb(said.OfPerson, self.sessions),
            "people.sign_out_all": waiting_verb(said.OfPerson, self.sign_out_all),
        }

    async def list(self, _connection: Connection, _body: said.AskPeople) -> said.PersonLines:
        """People of the register, with how many passkeys and sessions each has."""
        self._trusted.door.fresh()
        counts: dict[str, int] = {}
        for session in self._people.sessions.all():
            counts[session.person] = counts.get(session.person, 0) + 1
        return await asyncio.to_thread(self._lines, counts)

    def _lines(self, counts: dict[str, int]) -> said.PersonLines:
        found: list[said.PersonLine] = []
        with translated(), self._trusted.reader.connect() as reading:
            for row in list(rows.each(reading)):
                if len(found) >= said.MOST_PEOPLE:
                    return said.PersonLines(tuple(found), cut=True)
                found.append(self._line(reading, row, counts.get(row.id, 0)))
        return said.PersonLines(tuple(sorted(found, key=lambda line: (line.supplier, line.name))))

    def _line(self, reading: Reading, row: Person, sessions: int) -> said.PersonLine:
        supplier = self._trusted.register.supplier(row.supplier) if row.supplier else None
        return said.PersonLine(
            row.id,
            row.name,
            supplier.name if supplier else row.supplier,
            roles_of(row, self._trusted.clock.recording_time()),
            len(passkeys.of_person(reading, row.id)),
            sessions,
            row.ended is not None,
        )

    async def invite(self, connection: Connection, body: said.Invite) -> said.Invited:
        """A one-time link for a person without a passkey; older ones of the person lapse.

        1. The person is there, has not ended, and has a role at its face.
        2. In one transaction: it still is, it has no passkey, the link and its entry.

        Raises `Invalid` ("unknown-name", "no-role", "hours"), `Conflict` ("ended", "has-passkey").
        """
        trusted = self._trusted
        person = self._named(body.person)  # 1
        if not roles_of(person, trusted.clock.recording_time()):
            public = "This person has no role that counts; give it one in the estate file, or confirm those it has."
            raise Invalid("no-role", public)

        def run(writing: Writing) -> tuple[str, Link, int]:  # 2
            row = rows.get(writing.connection, person.id)
            if row is None or row.ended is not None:
                raise Conflict("ended", "This person has ended.")
            if passkeys.of_person(writing.connection, person.id):
                public = "This person has a passkey already, and adds others itself; without it there is recovery only."
                raise Conflict("has-passkey", public)
            return links.make(writing, person.id, "first", body.hours, connection.actor)

        (token, link, index), batch = await trusted.writer.run(run, alone=True)
        return said.Invited(person.id, token, link.expires_us, sealed_in(batch, index).id)

    async def sessions(self, _connection: Connection, body: said.OfPerson) -> said.PersonSessionList:
        """A person's passkeys and open sessions."""
        person = self._named(body.person)
        keys = self._people.reading(
            lambda reading: tuple(
                said.KeyLine(one.id, one.name, one.added_us, passkeys.uses(reading, one.id)[1], one.synced)
                for one in passkeys.of_person(reading, person.id)
            )
        )
        open_ = tuple(
            said.SessionLine(one.id, one.began_us, one.used_us, one.network, this=False)
            for one in self._people.sessions.of_person(person.id)
        )
        return said.PersonSessionList(person.id, said.Own(keys, open_))

    async def sign_out_all(self, connection: Connection, body: said.OfPerson) -> said.SignedOut:
        """End every session of a person; with none there is nothing to record."""
        person = self._named(body.person)
        open_ = self._people.sessions.of_person(person.id)
        if not open_:
            return said.SignedOut(person.id, 0, "")
        entry = await self._people.end(open_, person.id, connection.actor)
        return said.SignedOut(person.id, len(open_), entry)

    def _named(self, name: str) -> Person:
        self._trusted.door.fresh()
        person = self._trusted.register.named("person", name)
        if not isinstance(person, Person):
            raise Invalid("unknown-name", f"There is no person {name[:60]!r} in the register.")
        return person
