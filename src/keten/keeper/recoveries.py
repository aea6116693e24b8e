"""What the keeper does by itself about recoveries and own accounts: letters, codes once due, what took too long.

Everything that must not be forgotten is in the register. What is in memory alone is secrets that are on their way: a
keeper that dies before a letter was taken makes another, and the former is of no use any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
from sqlalchemy import Connection as Reading

from keten.core.clock import SECOND
from keten.core.db import translated
from keten.core.errors import Corrupt, NotFound, Unavailable
from keten.core.ids import new_id
from keten.core.recovering import Recovery
from keten.core.settings import duration
from keten.identity import to_tell
from keten.identity.model import Addresses, Person
from keten.identity.recovery import channels, rules, service
from keten.identity.recovery.model import APPROVERS, Case, Limits, Refused, Who
from keten.identity.recovery.rows import ChannelRow
from keten.identity.roles import face_of, roles_of
from keten.identity.rows import people as rows
from keten.keeper.letter_protocol import MAX_FRAME, Handed, Letter, What
from keten.keeper.people import People
from keten.keeper.process_link import ProcessLink
from keten.keeper.server import user_ids
from keten.keeper.trusted import Trusted
from keten.ledger.writing import Writing
from keten.vault.personal import Seals

log = logging.getLogger(__name__)
T = TypeVar("T")
LETTER_SECONDS = 90.0
REST_SECONDS = 15.0
LATE_US = 7 * 86_400 * SECOND
"""After so long what happened to an account is not told any more."""
_KEEPER = "keeper"
_REFUSED, _DEFERRED = "export-refused", "export-deferred"
_PUBLIC = "Letters to people cannot be sent now."


def limits_of(settings: Recovery) -> Limits:
    """The limits of recoveries, as the settings have them."""
    usual = Limits()
    cool = dict(usual.cool_us) | {name: _us(text) for name, text in settings.cool_down.items()}
    return Limits(
        seasoned_us=_us(settings.seasoned),
        cool_us=tuple(cool.items()),
        code_us=_us(settings.code),
        lapse_us=_us(settings.lapse),
        reduced_us=_us(settings.reduced),
    )


def _us(text: str) -> int:
    return duration(text) * SECOND


class Recoveries:
    """Goes on with the cases that there are. Used in the event loop."""

    def __init__(self, trusted: Trusted, people: People) -> None:
        self._trusted = trusted
        self._people = people
        self.limits = limits_of(trusted.settings.recovery)
        users = user_ids(trusted.settings.keeper.operator_users)
        self._link = ProcessLink(
            trusted.settings.paths.mail_socket, "the worker", users, MAX_FRAME, "no-letters", _PUBLIC
        )
        self._on_their_way: dict[tuple[str, str, What], tuple[str, str]] = {}
        self._asked: set[str] = set()
        self._told_of: set[tuple[str, int]] = set()
        self._unnoted: set[tuple[str, str]] = set()  # handed over, and not noted yet: a full disk sends nothing twice
        self._waiting: set[str] = set()
        self._rest_until = 0.0
        self._said = ""
        self._looked = -1

    @property
    def has_mail(self) -> bool:
        """Whether there is a server for letters: without one nobody is told, and so nobody recovers."""
        return bool(self._trusted.settings.mail.url)

    async def close(self) -> None:
        """Let go of the worker."""
        await self._link.close()

    async def go_on(self) -> None:
        """Once around.

        1. What took too long is over.
        2. A notice over each channel of each pending case.
        3. The code of each case that may have it: made, and each part over its channel.
        4. That it was done, over each channel.
        5. Who may approve, each by a letter to the first address. One that is refused holds up nothing.
        6. That addresses were changed, over those that were there before.
        7. What happened to somebody's passkeys, and what is unusual, over each address.

        While the mail server takes nothing, it rests. Raises `KetenError`: the next round tries again.
        """
        self._trusted.clock.now()  # raises once it has jumped: no time is over then
        await self._lapse()  # 1
        if not self.has_mail:
            await self._nobody_is_told()
            return
        if asyncio.get_running_loop().time() < self._rest_until:
            return
        unfinished = self._reading(_unfinished)
        live = {case.id for case in unfinished}
        self._on_their_way = {key: value for key, value in self._on_their_way.items() if key[0] in live}
        self._asked &= live
        try:
            for case in unfinished:
                await self._one(case)
            for case in unfinished:
                await self._ask(case)  # 5
            await self._changes()  # 6
            await self._accounts()  # 7
        except Unavailable as error:
            self._rest_until = asyncio.get_running_loop().time() + REST_SECONDS
            if str(error) != self._said:
                log.warning("letters wait: %s", error)
            self._said = str(error)
        else:
            self._said = ""

    async def _one(self, case: Case) -> None:
        """Steps 2 to 4. A mailbox that is refused holds up its own case, and no other."""
        try:
            await self._case(case)
        except Unavailable as error:
            self._only_this(error, f"case {case.id}")

    def _only_this(self, error: Unavailable, what: str) -> None:
        """Go on with others when the mail server refuses one mailbox alone, and rest afterwards. Raises anything else.

        what: that waits for it, said once.
        """
        if error.code not in (_REFUSED, _DEFERRED):
            raise error
        self._rest_until = asyncio.get_running_loop().time() + REST_SECONDS
        if what not in self._waiting:
            log.warning("%s waits: %s", what, error.public)
            self._waiting.add(what)

    async def _lapse(self) -> None:
        now = self._trusted.clock.recording_time()
        pending = self._reading(_pending)
        if any(rules.is_over(case, now, self.limits) for case in pending):
            await self._write(lambda writing: service.lapse(writing, self.limits))

    async def _case(self, case: Case) -> None:
        for channel in case.noticed if case.pending else ():  # 2
            if channel not in case.told:
                due = self._trusted.clock.recording_time() + case.cool_us
                await self._letter(case, channel, "opened", due)
                await self._write(partial(_told, case=case, channel=channel, limits=self.limits))
        if case.state == "open":  # 3
            case = await self._send(case)
        for channel in case.channels if case.state == "sent" else ():
            if channel not in case.passed:
                await self._letter(case, channel, "code", case.sent_us + self.limits.code_us)
                await self._write(partial(_passed, case=case, channel=channel))
        for channel in case.noticed if case.state == "done" else ():  # 4
            if channel not in case.told_done:
                await self._letter(case, channel, "done", case.reduced_until_us)
                await self._write(partial(_told_done, case=case, channel=channel))

    async def _ask(self, case: Case) -> None:
        if case.state != "open" or case.id in self._asked:
            return
        now = self._trusted.clock.recording_time()
        every = [who for who in self._reading(partial(_approvers, case=case, now_us=now)) if who.id not in case.asked]
        waits = False
        for who in every:
            origin = self._people.origins.get(face_of(who.supplier))
            if origin is None:
                return  # that face has not said yet what browsers call it
            key = (case.id, who.id)
            first = partial(self._first_address, who)
            if key in self._unnoted or await self._told_apart("asked", first, case.person, origin):
                await self._note(key, partial(_marked_asked, case=case, person=who.id))
            else:
                waits = True
        if not waits:
            self._asked.add(case.id)

    async def _told_apart(
        self,
        what: What,
        address: Callable[[], str],
        person: str,
        link: str = "",
        *,
        uid: str = "",
        moment_us: int = 0,
        why: str = "",
    ) -> bool:
        """A letter that nothing waits for; whether it is done with: handed over, or never to be taken."""
        try:
            to = address()
            if to:
                await self._hand(uid or new_id(), what, to, person, link=link, moment_us=moment_us, why=why)
        except NotFound:
            return True  # erased
        except Unavailable as error:
            self._only_this(error, f"a letter about person {person}")
            return error.code == _REFUSED
        return True

    async def _note(self, key: tuple[str, str], job: Callable[[Writing], None]) -> None:
        """Write that a letter is done with; as long as that can't be written, it is remembered here."""
        self._unnoted.add(key)
        await self._write(job)
        self._unnoted.discard(key)

    def _first_address(self, who: Person) -> str:
        return self._addresses(who).email

    def _addresses(self, who: Person) -> Addresses:
        opened = self._reading(lambda reading: Seals(self._trusted.keys, reading).open_for(who.id, who.sealed))
        return msgspec.json.decode(opened, type=Addresses)

    async def _send(self, case: Case) -> Case:
        """The case with its code made, when it may be; a refusal is no entry, for it is asked each round."""
        now = self._trusted.clock.recording_time()
        if len(case.approvals) < APPROVERS or now < case.told_us + case.cool_us:
            return case
        sent = await self._write(lambda writing: service.send(writing, case.id, _KEEPER, self.limits))
        if isinstance(sent, Refused):
            return case
        for channel, token in sent.parts.items():
            self._on_their_way[case.id, channel, "code"] = (token, new_id())
        return sent.case

    async def _letter(self, case: Case, channel: str, what: What, moment_us: int) -> None:
        """Hand a letter over. Its secret is made once, also when the mail server takes several tries."""
        face = face_of(case.supplier)
        origin = self._people.origins.get(face)
        if origin is None:
            raise Unavailable("no-letters", _PUBLIC, f"the {face} has not said what browsers call it")
        row = self._reading(lambda reading: _channel(reading, case.person, channel))
        address = self._address(row) if row is not None else ""
        if not address:
            return  # erased: nobody is there to be told
        key = (case.id, channel, what)
        if key not in self._on_their_way:
            make = service.part if what == "code" else service.notice
            token = await self._write(lambda writing: make(writing, case, channel, self.limits))
            self._on_their_way[key] = (token, new_id())
        token, uid = self._on_their_way[key]
        link, part = (f"{origin}/recover", token) if what == "code" else (f"{origin}/stop/{token}", "")
        await self._hand(uid, what, address, case.person, link=link, part=part, moment_us=moment_us)
        del self._on_their_way[key]

    async def _changes(self) -> None:
        """Looked at when the register changed; also those that it could not be told before."""
        trusted = self._trusted
        epoch = trusted.epoch
        if epoch == self._looked:
            return
        found = await asyncio.to_thread(self._reading, channels.all_to_be_told)
        waits = False
        for row in found:
            key = (row.person, row.id)
            if key in self._unnoted or await self._told_apart("changed", partial(self._address, row), row.person):
                await self._note(key, partial(service.told_of_change, channel=row, actor=_KEEPER))
            else:
                waits = True
        if not waits:
            self._looked = epoch

    async def _accounts(self) -> None:
        """Step 7. What can't be told to one holds up nobody else; a keeper that dies between says some of it twice."""
        for row in self._reading(to_tell.rows):
            try:
                done = await self._account(row)
            except Corrupt as error:  # a row that does not hold: this person is told nothing, and it is said once
                done = False
                if row.person not in self._waiting:
                    log.critical("person %s is not told what happened to its account: %s", row.person, error)
                    self._waiting.add(row.person)
            if done:
                await self._write(partial(_no_more_to_tell, ids=(row.id,)))
                self._told_of = {key for key in self._told_of if key[0] != row.id}

    async def _account(self, row: to_tell.Row) -> bool:
        """Tell a person of one thing; whether that is done with: told, or too late, or nobody is there any more."""
        if self._trusted.clock.recording_time() - row.moment_us > LATE_US:
            log.warning("person %s was not told of what happened to its account: nobody took the letter", row.person)
            return True
        person = self._reading(lambda reading: rows.get(reading, row.person))
        if person is None or person.ended is not None or not person.sealed:
            return True
        origin = self._people.origins.get(face_of(person.supplier))
        if origin is None:
            return False  # that face has not said yet what browsers call it
        try:
            addresses = self._addresses(person).all
        except NotFound:
            return True  # erased
        for number, address in enumerate(addresses):
            if (row.id, number) in self._told_of:
                continue
            given = partial(str, address)
            uid = f"{row.id}.{number}"
            done = await self._told_apart(
                row.what, given, row.person, origin, uid=uid, moment_us=row.moment_us, why=row.why
            )
            if done:
                self._told_of.add((row.id, number))
        return all((row.id, number) in self._told_of for number in range(len(addresses)))

    async def _nobody_is_told(self) -> None:
        """Without a mail server nothing is kept for the day on which there is one."""
        found = self._reading(to_tell.rows)
        if found:
            await self._write(partial(_no_more_to_tell, ids=tuple(row.id for row in found)))

    async def _hand(
        self,
        uid: str,
        what: What,
        to: str,
        person: str,
        *,
        link: str = "",
        part: str = "",
        moment_us: int = 0,
        why: str = "",
    ) -> None:
        trusted = self._trusted
        row = trusted.register.person(person)
        organisation = trusted.register.organisation()
        letter = Letter(
            uid=uid,
            what=what,
            to=to,
            organisation=self._people.organisation(),
            person=row.name if isinstance(row, Person) else "",
            zone=organisation.timezone if organisation is not None else "UTC",
            link=link,
            part=part,
            moment_us=moment_us,
            why=why,
        )
        await self._link.ask("mail.letter", letter, Handed, LETTER_SECONDS)

    def _address(self, row: ChannelRow) -> str:
        """Where a channel leads; "" once it was erased."""
        try:
            return self._reading(lambda reading: channels.address_of(row, Seals(self._trusted.keys, reading)))
        except NotFound:
            return ""

    def _reading(self, read: Callable[[Reading], T]) -> T:
        with translated(), self._trusted.reader.connect() as reading:
            return read(reading)

    async def _write(self, job: Callable[[Writing], T]) -> T:
        value, _batch = await self._trusted.writer.run(job, alone=True)
        return value


def _pending(reading: Reading) -> list[Case]:
    return [*service.cases_of(reading, state="open"), *service.cases_of(reading, state="sent")]


def _unfinished(reading: Reading) -> list[Case]:
    """Cases about which something is left to be said."""
    done = [case for case in service.cases_of(reading, state="done") if set(case.told_done) < set(case.noticed)]
    return [*_pending(reading), *done]


def _channel(reading: Reading, person: str, channel: str) -> ChannelRow | None:
    return next((row for row in service.channel_rows(reading, person) if row.id == channel and row.sealed), None)


def _approvers(reading: Reading, case: Case, now_us: int) -> list[Person]:
    """Who may be asked to approve, by who it is alone."""
    found = {row.id: row for row in rows.find(reading, supplier=case.supplier)}
    for owner in case.owners:
        row = rows.get(reading, owner)
        if row is not None:
            found[row.id] = row
    return [
        row
        for row in found.values()
        if row.ended is None
        and rules.approver(Who(row.id, row.supplier, roles_of(row, now_us), 0), case)
    ]


def _marked_asked(writing: Writing, case: Case, person: str) -> None:
    service.asked(writing, case.id, person, _KEEPER)


def _no_more_to_tell(writing: Writing, ids: tuple[str, ...]) -> None:
    to_tell.told(writing, *ids)


def _told(writing: Writing, case: Case, channel: str, limits: Limits) -> None:
    service.told(writing, case.id, channel, _KEEPER, limits)


def _passed(writing: Writing, case: Case, channel: str) -> None:
    service.passed(writing, case.id, channel, _KEEPER)


def _told_done(writing: Writing, case: Case, channel: str) -> None:
    service.told_done(writing, case.id, channel, _KEEPER)
