"""Listings, a page at a time: each page is decided anew, recorded, and told."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keten.core.errors import Busy, NotFound, Unavailable
from keten.datasets.model import Dataset
from keten.exchange.cursors import Position
from keten.exchange.listing import MAX_PAGE, Page, Question, Visible, allowed, listing, page
from keten.exchange.opening import Stale
from keten.identity.service import Principal
from keten.keeper import protocol as said
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.model import Sealed
from keten.vault.model import Object

MAX_ATTEMPTS = 5
NOTHING_HOLDS_US = 5_000_000
"""How long an empty listing may be kept."""


class Listings:
    """Answers the question what a caller may see."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    async def answer(
        self, body: said.ShareQuery, principal: Principal, country: str, still: Callable[[], None]
    ) -> said.Shares:
        """One page. `still` raises `Denied` when the caller may no longer be here, after a change or an end.

        Raises `Invalid` ("cursor"), `NotFound` ("absent"), `Busy` ("register-changing"), `Unavailable`.
        """
        cursors = self._trusted.cursors
        client = principal.client_id
        question = Question(body.share, body.label, body.name, body.object, body.bare)
        about = msgspec.msgpack.encode(question)
        begins = cursors.open(body.cursor, client, about) if body.cursor else None
        limit = min(body.limit, MAX_PAGE) if body.limit > 0 else MAX_PAGE
        for attempt in range(MAX_ATTEMPTS):
            shorter = max(1, limit >> 2 * attempt)  # where the register changes all the time, little is read in time
            try:
                found, sealed = await self._page(body, principal, country, (question, begins, shorter))
            except Stale:
                still()
                continue
            if question.is_about_one and not found.shares:
                raise NotFound("absent", "There is nothing here.")
            if sealed is None:
                raise Unavailable("not-recorded", "Nothing was recorded, so nothing is given out.")
            until = found.valid_until_us
            holds_us = NOTHING_HOLDS_US if until is None else until - self._trusted.clock.recording_time()
            following = cursors.seal(found.next, client, about) if found.next else ""
            shares = tuple(_share(one, self._trusted.register.dataset(one.grant.dataset)) for one in found.shares)
            return said.Shares(sealed.id, sealed.index, shares, holds_us, following)
        raise Busy("register-changing", "The register is changing; try again in a moment.")

    async def _page(
        self,
        body: said.ShareQuery,
        principal: Principal,
        country: str,
        asked: tuple[Question, Position | None, int],
    ) -> tuple[Page, Sealed | None]:
        """A page, decided as of this moment, with its entry.

        Without an entry when what was asked for is not there, and that was only counted.
        """
        trusted = self._trusted
        now_us = trusted.clock.now()
        question, begins, limit = asked
        epoch = trusted.door.fresh()
        client = principal.client_id
        shares = allowed(trusted.decisions, client, country, now_us)
        found = await page(shares, trusted.objects, question, begins, limit, now_us)
        run = listing(
            client,
            found,
            goes_on=begins is not None,
            country=country,
            channel=principal.via,
            address=body.caller.address,
            addresses=trusted.addresses,
            holds=lambda: trusted.epoch == epoch,
            refusals=trusted.sign_ins.refusals if question.is_about_one and not found.shares else None,
        )
        index, batch = await trusted.writer.run(run)
        return found, None if index is None else sealed_in(batch, index)


def info_of(found: Object) -> said.ObjectInfo:
    """An object as gateways are told of it."""
    return said.ObjectInfo(
        found.id, found.name, found.size, found.digest, found.media_type, found.put_us, found.expires_us
    )


def _share(one: Visible, dataset: Dataset | None) -> said.Share:
    grant = one.grant
    objects = tuple(info_of(found) for found in one.objects)
    key = ""
    columns: tuple[str, ...] = ()
    if grant.form == "lookup" and dataset is not None:
        key = dataset.key
        columns = tuple(each.name for each in dataset.columns if not grant.columns or each.name in grant.columns)
    return said.Share(grant.id, grant.form, one.label, grant.purpose, one.valid_until_us, objects, key, columns)
