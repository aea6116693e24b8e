"""The budgets' verbs for operators: what clients may still receive, why they ask for more, and the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from sqlalchemy import Connection as Reading

from keten.budgets import asking, entries
from keten.budgets.row import LAPSES_US, More
from keten.budgets.service import left
from keten.core.clock import rfc3339
from keten.core.db import translated
from keten.core.errors import Conflict, Corrupt, Invalid, NotFound
from keten.exchange.asking import Words
from keten.identity.model import EndableRow
from keten.identity.rows import clients, people
from keten.keeper.budget_protocol import (
    MOST_LINES,
    MOST_REQUESTS,
    AnswerRequest,
    AskBudgets,
    AskRequests,
    Budgets,
    ClientBudget,
    RequestAnswered,
    RequestInfo,
    Requests,
)
from keten.keeper.more import line_of
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.suppliers.model import Grant
from keten.suppliers.rows import grants
from keten.vault import personal


class BudgetVerbs:
    """Budgets, and requests for more."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "budgets.requests": waiting_verb(AskRequests, self.requests),
            "budgets.show": waiting_verb(AskBudgets, self.show),
            "budgets.answer": waiting_verb(AnswerRequest, self.answer),
        }

    # ---- requests --------------------------------------------------------------------------------------------

    async def requests(self, connection: Connection, body: AskRequests) -> Requests:
        """Requests for more, with why they were made: that is the clients' own, so reading it is recorded (law 7).

        Raises `NotFound` ("absent"), `Corrupt`.
        """
        found = await asyncio.to_thread(self._found, body)
        if not found:
            return Requests(())
        entry = await self._read(found, connection.actor)
        return Requests(await asyncio.to_thread(self._shown, found), entry)

    def _found(self, body: AskRequests) -> list[More]:
        most = min(body.limit, MOST_REQUESTS) if body.limit > 0 else MOST_REQUESTS
        with translated(), self._trusted.reader.connect() as reading:
            if body.request:
                return [asking.get(reading, body.request)]
            since_us = 0 if body.states else self._trusted.clock.recording_time() - LAPSES_US
            return asking.listed(reading, body.states or ("open",), since_us, most)

    async def _read(self, found: Iterable[More], actor: str) -> str:
        details = {"requests": [one.id for one in found]}
        subjects = tuple(dict.fromkeys(one.client for one in found))
        draft = Draft(entries.MORE_READ, actor, subjects, {}, details)
        index, batch = await self._trusted.writer.run(lambda writing: writing.record(draft))
        return sealed_in(batch, index).id

    async def answer(self, connection: Connection, body: AnswerRequest) -> RequestAnswered:
        """Allow, refuse or withdraw; from the next access on it counts.

        Raises `NotFound` ("absent"), `Conflict` ("request-closed", "budget-changed", "ended"), `Invalid` ("action",
        "more-records", "more-why", "past-ceiling", "until"), `Corrupt`.
        """
        trusted, actor = self._trusted, connection.actor
        answering = self._answering(body, actor)

        def run(writing: Writing) -> tuple[More, int]:
            request = asking.get(writing.connection, body.request)
            after, index = answering(writing, request)
            trusted.budgets.forget(request.grant, request.client)
            return after, index

        (after, index), batch = await trusted.writer.run(run, alone=True)
        entry = sealed_in(batch, index).id
        (shown,) = await asyncio.to_thread(self._shown, [after], opened=False)
        return RequestAnswered(shown, entry)

    def _answering(self, body: AnswerRequest, actor: str) -> Callable[[Writing, More], tuple[More, int]]:
        if body.action == "allow":
            return lambda writing, request: self._allow(writing, request, body, actor)
        if body.action == "refuse":
            return lambda writing, request: asking.refuse(writing, request, body.why, actor)
        if body.action == "withdraw":
            return lambda writing, request: asking.withdraw(writing, request, actor)
        raise Invalid("action", "What can be done: allow, refuse, withdraw.", body.action[:40])

    def _allow(self, writing: Writing, request: More, body: AnswerRequest, actor: str) -> tuple[More, int]:
        """To who has ended nothing is given any more (law 6)."""
        grant = grants.current(writing, request.grant)
        client = clients.current(writing, request.client) or people.current(writing, request.client)
        if grant is None or client is None or grant.ended is not None or client.ended is not None:
            raise Conflict("ended", "This access has ended; nothing can be allowed under it.", request.id)
        zone = self._timezone()
        return asking.allow(writing, request, grant, body.records, body.until_us, zone, actor)

    def _timezone(self) -> str:
        self._trusted.door.fresh()
        organisation = self._trusted.register.organisation()
        return organisation.timezone if organisation else "UTC"

    # ---- budgets ---------------------------------------------------------------------------------------------

    async def show(self, _connection: Connection, body: AskBudgets) -> Budgets:
        """What clients may still receive, by window. Raises `Invalid` ("unknown-name"), `Corrupt`."""
        zone = self._timezone()
        chosen: Grant | None = None
        if body.grant:
            named = self._trusted.register.named("grant", body.grant)
            if not isinstance(named, Grant):
                raise Invalid("unknown-name", f"There is no grant {body.grant[:60]!r} in the register.")
            chosen = named
        return await asyncio.to_thread(self._lines, chosen, zone, body.owner)

    def _lines(self, chosen: Grant | None, zone: str, owner: str) -> Budgets:
        now_us = self._trusted.clock.recording_time()
        found: list[ClientBudget] = []
        with translated(), self._trusted.reader.connect() as reading:
            for grant in [chosen] if chosen is not None else list(grants.each(reading)):
                if grant.ended is not None or not grant.limits or (owner and not self._owns(owner, grant)):
                    continue
                of_it = {"supplier": grant.supplier}
                for client in (*clients.find(reading, **of_it), *people.find(reading, **of_it)):
                    if client.ended is not None or (grant.to and client.id not in grant.to):
                        continue
                    if len(found) >= MOST_LINES:
                        return Budgets(tuple(found), cut=True)
                    windows = left(reading, grant, client.id, now_us, zone)
                    found.append(ClientBudget(grant.name, client.name, tuple(line_of(one) for one in windows)))
        return Budgets(tuple(found))

    def _owns(self, person: str, grant: Grant) -> bool:
        dataset = self._trusted.register.dataset(grant.dataset)
        return dataset is not None and dataset.owner == person

    # ---- as it is shown --------------------------------------------------------------------------------------

    def _shown(self, found: Iterable[More], *, opened: bool = True) -> tuple[RequestInfo, ...]:
        now_us = self._trusted.clock.recording_time()
        with translated(), self._trusted.reader.connect() as reading:
            return tuple(self._info(reading, one, now_us, opened=opened) for one in found)

    def _info(self, reading: Reading, one: More, now_us: int, *, opened: bool) -> RequestInfo:
        words = self._words(reading, one) if opened else Words("")
        names, owner = self._names(one)
        return RequestInfo(
            id=one.id,
            state=one.state_at(now_us),
            grant=names.get(one.grant, one.grant),
            client=names.get(one.client, one.client),
            supplier=names.get(one.supplier, one.supplier),
            dataset=names.get(one.dataset, one.dataset),
            owner=owner,
            records=one.records,
            per=one.per,
            asked=rfc3339(one.asked_us),
            why=words.why,
            case=words.case,
            extra=one.extra,
            until=rfc3339(one.until_us) if one.until_us else "",
            answer=one.why,
            by=one.by,
        )

    def _words(self, reading: Reading, one: More) -> Words:
        """Why it was made; nothing once the client was erased."""
        try:
            plain = personal.open_for(reading, self._trusted.keys, one.client, one.sealed)
            return msgspec.json.decode(plain, type=Words)
        except NotFound:
            return Words("")
        except msgspec.MsgspecError as error:
            raise Corrupt("personal-damaged", "Stored personal data is damaged.", f"request {one.id}") from error

    def _names(self, one: More) -> tuple[dict[str, str], str]:
        """What the organisation calls the rows of a request, and the dataset's owner; nothing of what does not hold."""
        register = self._trusted.register
        names: dict[str, str] = {}
        owner = ""
        for look, row_id in (
            (register.grant, one.grant),
            (register.client, one.client),
            (register.person, one.client),
            (register.supplier, one.supplier),
            (register.dataset, one.dataset),
        ):
            try:
                row: EndableRow | None = look(row_id)
                if row is not None:
                    names[row_id] = row.name
                person = register.person(getattr(row, "owner", "")) if row is not None else None
                owner = owner or (person.name if person is not None else "")
            except Corrupt:
                continue
        return names, owner
