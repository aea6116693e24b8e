"""Looking up one record at a time, as a person at the portal; and asking for more where a budget runs out.

What a person looks up is decided, charged and recorded as for a system: the keeper does not tell the two apart.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keten.core.clock import from_rfc3339
from keten.core.errors import Busy, Conflict, Denied, Invalid, KetenError, NotFound, Unavailable
from keten.keeper.budget_protocol import MoreState
from keten.keeper.people_protocol import Authorised
from keten.keeper.protocol import LookedUp, MoreTold, Share
from keten.pages.forms import form_of
from keten.pages.problems import SIGNED_OUT, said
from keten.pages.rendering import render
from keten.pages.signing import frame
from keten.pages.visits import Site, Visit, answered, moved
from keten.pages.words import N_, Words
from keten.portal import asking, wording
from keten.portal.site import ROOM, Door, caller

MOST = 200  # characters of a key, a case
MOST_WHY = 500
_FORM = "lookup"
STATES = {
    "open": (N_("not answered yet"), "warn"),
    "allowed": (N_("allowed"), "open"),
    "refused": (N_("refused"), "grave"),
    "withdrawn": (N_("ended again"), "calm"),
    "lapsed": (N_("over"), "calm"),
}
NEXT = {
    "budget-spent": N_("Ask for more, or wait until it is renewed."),
    "budget-slow": N_("Wait a moment, then look it up again."),
    "budget-step-up": N_("Sign out, sign in again with your passkey, and look it up then."),
    "guessing": N_("Ask the organisation whose data it is; nothing is lost."),
}
"""What to do about a refusal that somebody is told of."""


class Called(msgspec.Struct, frozen=True):
    """A share, as its page called it. key: the column by which records are found."""

    id: str
    label: str
    key: str


class Answer(msgspec.Struct, frozen=True):
    """What came of a lookup. record: column → value; None: there is none. entry: its id in the ledger."""

    record: dict[str, str | int | float | bool | None] | None
    entry: str


class Refusal(msgspec.Struct, frozen=True):
    """Why nothing was told, what to do, and whether more can be asked for."""

    text: str
    then: str
    more: bool


class LookupPages:
    """A lookup, and the page of its budget."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def look(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """One record by its key, for a case. What there is not, and what is refused, is said on the same page.

        The key is in the form's content: no address, history or log of a server has it. What the share is called
        comes back with the form, or each lookup would be two entries.
        """
        form = await form_of(site, visit, request)
        share = Called(str(request.path_params["share"]), form.get("label", "")[:MOST], form.get("column", "")[:MOST])
        key, case = form.get("key", "").strip(), form.get("case", "").strip()
        refused: Refusal | None = None
        answer: Answer | None = None
        status = 200
        if not key or not case or len(key) > MOST or len(case) > MOST:
            text = visit.words.gettext("Say which record, and for which case: one line each.")
            refused, status = Refusal(text, "", more=False), 400
        else:
            who = caller(self._door, visit, request)
            try:
                answer = _answered(await asking.look_up(self._door, who, share.id, key, case))
            except (Busy, Denied, Invalid, Unavailable) as error:
                if error.code in SIGNED_OUT:
                    raise
                refused, status = _refusal(visit.words, error), 429 if isinstance(error, Busy) else 400
        values = {"share": share, "key": key, "case": case, "answer": answer, "refused": refused}
        around = frame(site, visit, found)
        return answered(site, visit, render("lookup.html", visit.words, around, ROOM, **values), status)

    async def budget(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """What is left, and what became of what was asked for last."""
        share = await self._share(visit, request)
        told = await asking.more(self._door, caller(self._door, visit, request), share.id)
        return self._budget(site, visit, found, share, told, "", {})

    async def ask(self, site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        """Ask the owner for more. What is wrong with it is said on the same page."""
        form = await form_of(site, visit, request)
        share = await self._share(visit, request)
        who = caller(self._door, visit, request)
        number = form.get("records", "").strip()
        wrong = ""
        if not (number.isascii() and number.isdigit() and 0 < len(number) < 10 and int(number)):
            wrong = visit.words.gettext("Say how many records more: a whole number.")
        else:
            try:
                await asking.more(
                    self._door, who, share.id, int(number), form.get("why", "").strip(), form.get("case", "").strip()
                )
            except (Invalid, Conflict, Busy) as error:
                wrong = said(visit.words, error)
        if not wrong:
            return moved(site, visit, f"/shares/{share.id}/more")
        told = await asking.more(self._door, who, share.id)
        return self._budget(site, visit, found, share, told, wrong, form)

    def _budget(
        self,
        site: Site,
        visit: Visit,
        found: Authorised,
        share: Share,
        told: MoreTold,
        wrong: str,
        form: dict[str, str],
    ) -> Response:
        values = {
            "share": share,
            "budgets": [wording.budget(visit.words, one) for one in told.budget],
            "asked": _asked(told.request),
            "states": STATES,
            "wrong": wrong,
            "form": form,
            "most": MOST_WHY,
        }
        body = render("more.html", visit.words, frame(site, visit, found), ROOM, **values)
        return answered(site, visit, body, 400 if wrong else 200)

    async def _share(self, visit: Visit, request: Request) -> Share:
        """The share, open to this person, of which records are looked up. Raises `NotFound` for all others alike."""
        share_id = str(request.path_params["share"])
        page = await asking.share(self._door, caller(self._door, visit, request, quiet=True), share_id, "", 1)
        (share,) = page.shares
        if share.form != _FORM:
            raise NotFound("not-found", "There is no such page.")
        return share


class Asked(msgspec.Struct, frozen=True):
    """The newest request, with its moments in microseconds UTC; until_us 0: nothing was allowed."""

    state: MoreState
    asked_us: int
    until_us: int


def _asked(state: MoreState | None) -> Asked | None:
    return Asked(state, _moment(state.asked), _moment(state.until)) if state is not None else None


def _moment(text: str) -> int:
    return from_rfc3339(text) if text else 0


def _answered(found: LookedUp) -> Answer:
    return Answer(found.records[0], found.entry)


def _refusal(words: Words, error: KetenError) -> Refusal:
    then = words.gettext(NEXT[error.code]) if error.code in NEXT else ""
    return Refusal(said(words, error), then, more=error.code.startswith("budget-"))
