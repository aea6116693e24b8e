"""A person's own access log: what is recorded about its accesses, told to nobody but that person and its contact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from keten.core.db import translated
from keten.core.errors import Busy, Corrupt, Denied
from keten.exchange.opening import Stale
from keten.identity.log_entries import LOG_READ
from keten.identity.person_callers import VIA
from keten.identity.roles import may, roles_of
from keten.identity.service import Principal
from keten.keeper.listings import MAX_ATTEMPTS
from keten.keeper.portal_protocol import AskOwnLog, OwnLogLine, OwnLogPage
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.model import Draft, Entry
from keten.ledger.query import Filter, find
from keten.ledger.writing import Writing

MAX_LINES = 100


class OwnLog:
    """`portal.log`. Its caller is known already (step 1 of a request's way)."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    async def answer(
        self, body: AskOwnLog, principal: Principal, country: str, still: Callable[[], None]
    ) -> OwnLogPage:
        """One page.

        1. A person asks. A contact is told of the whole supplier, a member of itself.
        2. Read the entries about accesses, one more than fit, so that it is known whether there are others.
        3. Record that they are read; when the register changed meanwhile: whether the person may still be here, again.
        4. Tell them: names of the supplier's own clients and people, of its shares and objects, and nobody else's.

        `still` raises `Denied` when the caller may no longer be here. Raises `Denied` ("not-allowed"), `Corrupt`,
        `Busy` ("register-changing").
        """
        trusted = self._trusted
        if principal.via != VIA:  # 1
            raise Denied("not-allowed", "Only people have a log of their own here.")
        limit = body.limit if 0 < body.limit < MAX_LINES else MAX_LINES
        address = body.caller.address
        for _attempt in range(MAX_ATTEMPTS):
            epoch = trusted.door.fresh()
            whole = self._is_contact(principal)
            found = await asyncio.to_thread(self._read, self._wanted(principal, body, limit, whole=whole))  # 2
            lines = found[:limit]
            details = {"whole": whole, "lines": len(lines), "country": country, **trusted.addresses.place(address)}
            draft = Draft(
                LOG_READ, principal.client_id, (principal.client_id,), {"supplier": principal.supplier}, details
            )
            try:
                index, batch = await trusted.writer.run(trusted.door.under(epoch, _recording(draft)))
            except Stale:
                still()
                continue
            still()  # 3
            sealed = sealed_in(batch, index)
            told = tuple(self._line(entry, principal.supplier) for entry in lines)  # 4
            following = lines[-1].index if len(found) > limit else -1
            return OwnLogPage(sealed.id, sealed.index, told, following, whole)
        raise Busy("register-changing", "The register is changing; try again in a moment.")

    def _is_contact(self, principal: Principal) -> bool:
        person = self._trusted.register.person(principal.client_id)
        return person is not None and may(roles_of(person, self._trusted.clock.recording_time()), "portal-people")

    @staticmethod
    def _wanted(principal: Principal, body: AskOwnLog, limit: int, *, whole: bool) -> Filter:
        return Filter(
            principal="" if whole else principal.client_id,
            supplier=principal.supplier if whole else "",
            kind="exchange",
            after=body.before if body.before >= 0 else None,
            newest_first=True,
            limit=limit + 1,
        )

    def _read(self, wanted: Filter) -> list[Entry]:
        with translated(), self._trusted.reader.connect() as connection:
            return list(find(connection, wanted))

    def _line(self, entry: Entry, supplier: str) -> OwnLogLine:
        payload = entry.payload
        if payload is None:  # erased: of such entries no more than kind and time is known
            return OwnLogLine(entry.id, entry.index, entry.time_us, entry.kind, "", "", "", "", ())
        details, refs = payload.details, payload.refs
        sent = details.get("bytes", -1)
        return OwnLogLine(
            entry.id,
            entry.index,
            entry.time_us,
            entry.kind,
            self._who(payload.actor if payload.actor != "keeper" else next(iter(payload.subjects), ""), supplier),
            self._label(refs.get("grant", ""), supplier),
            self._name(refs.get("object", ""), refs.get("grant", ""), supplier),
            str(details.get("outcome", "")),
            _reasons(details),
            sent if isinstance(sent, int) else -1,
            str(details.get("end", "")),
        )

    def _who(self, principal_id: str, supplier: str) -> str:
        register = self._trusted.register
        try:
            found = register.client(principal_id) or register.person(principal_id)
        except Corrupt:
            return ""
        return found.name if found is not None and found.supplier == supplier else ""

    def _label(self, grant_id: str, supplier: str) -> str:
        try:
            grant = self._trusted.register.grant(grant_id)
        except Corrupt:
            return ""
        return grant.label if grant is not None and grant.supplier == supplier else ""

    def _name(self, object_id: str, grant_id: str, supplier: str) -> str:
        """An object's name, for who was allowed it; a refusal names no grant, and so no object either (law 8)."""
        try:
            grant = self._trusted.register.grant(grant_id)
            found = self._trusted.objects.get(object_id) if grant is not None and grant.supplier == supplier else None
        except Corrupt:
            return ""
        return found.name if found is not None and grant is not None and found.dataset == grant.dataset else ""


def _reasons(details: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a refusal, or why an access was cut."""
    found = tuple(str(reason) for reason in details.get("reasons", ()))
    return found or ((str(details["reason"]),) if details.get("reason") else ())


def _recording(draft: Draft) -> Callable[[Writing], int]:
    return lambda writing: writing.record(draft)
