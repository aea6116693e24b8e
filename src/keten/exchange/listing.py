"""Which shares and objects a client may see. A listing is data that leaves, so it is decided and recorded too."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

import msgspec

from keten.core.errors import Corrupt
from keten.exchange import entries
from keten.exchange.addresses import Addresses
from keten.exchange.cursors import Position
from keten.exchange.objects import Objects
from keten.exchange.opening import Refusals, Stale
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy.model import Allow
from keten.policy.service import Decisions
from keten.suppliers.model import Grant
from keten.vault.model import Object

log = logging.getLogger(__name__)

MAX_PAGE = 1000
"""Objects, and shares, in one page."""
MAX_PAGE_BYTES = 1024 * 1024
"""Of one page, as it is said to a gateway or a client, or a little less: names can be long."""
CHUNK = 100
"""Objects read between two turns of the keeper's loop, which has others to serve."""
_FIELDS_BYTES = 400  # of a share or an object, without its names


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What is listed: everything; or one share, by its id or label; or one object, by its name or id.

    bare: shares alone, without what is in them.
    """

    share: str = ""
    label: str = ""
    name: str = ""
    object: str = ""
    bare: bool = False

    @property
    def is_about_one(self) -> bool:
        """Whether something is asked for by name or id, so that there may be nothing of the kind."""
        return bool(self.share or self.label or self.name or self.object)

    @property
    def is_about_object(self) -> bool:
        """Whether one object is asked for: shares without it are left out."""
        return bool(self.name or self.object)


class Visible(msgspec.Struct, frozen=True):
    """One grant that its recipient may see now, with what is in it, or some of that."""

    grant: Grant
    label: str
    valid_until_us: int
    objects: tuple[Object, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """Some of what a client may see. next: where the rest begins; None: there is none. refs: for the entry.

    left_out: objects whose rows do not match the ledger.
    """

    shares: tuple[Visible, ...]
    refs: dict[str, str]
    next: Position | None = None
    left_out: int = 0

    @property
    def valid_until_us(self) -> int | None:
        """When the first of its decisions ends; None: no share is in it."""
        return min((one.valid_until_us for one in self.shares), default=None)


def allowed(decisions: Decisions, client: str, country: str, now_us: int) -> list[Visible]:
    """The grants that a client may see now, without what is in them, ordered by id: what has an order that stays."""
    found = [
        (one.grant, one.decision.valid_until_us)
        for one in decisions.shares(client, country, now_us)
        if one.grant is not None and isinstance(one.decision, Allow)
    ]
    labels = Counter(grant.label for grant, _until in found)
    shares = [
        Visible(grant, grant.label if labels[grant.label] == 1 else f"{grant.label}-{grant.id[:6]}", until)
        for grant, until in found
    ]
    return sorted(shares, key=lambda one: one.grant.id)


async def page(
    shares: list[Visible], objects: Objects, question: Question, begins: Position | None, limit: int, now_us: int
) -> Page:
    """The page of a listing that begins at a position: at most `limit` objects, in at most `limit` shares.

    A page may be shorter, and have no object at all, though others follow. A share that goes on is in the next page
    again. A damaged row hides its object; the rest stays visible.

    shares: of `allowed`.
    """
    filling = _Filling(limit, {"supplier": shares[0].grant.supplier} if shares else {})
    about = _checked(objects.get, question.object) if question.object else None
    for share in shares:
        grant = share.grant
        if not _is_asked(share, question) or (begins is not None and _is_behind(grant.id, begins)):
            continue
        after = begins.after or "" if begins is not None and begins.grant == grant.id else ""
        if filling.full():
            return filling.done(filling.last)
        if question.is_about_object:
            if grant.form != "file":
                continue  # what is looked up is no object to anybody
            found = _checked(objects.named, grant.dataset, question.name) if question.name else about
            if found is not None and found.dataset == grant.dataset and not _is_over(found, now_us):
                filling.begin(share)
                filling.take(found)
            continue
        filling.begin(share)
        more = not question.bare and grant.form == "file"
        while more:
            some = objects.after(grant.dataset, after, min(CHUNK, limit - filling.read))
            for found in some.objects:
                if not filling.has_room(found):
                    return filling.done(Position(grant.id, after))
                after = found.name
                if not _is_over(found, now_us):
                    filling.take(found)
            after, more = some.last, some.more
            filling.read += some.read
            filling.left_out += len(some.damaged)
            if more and filling.full():
                return filling.done(Position(grant.id, after))
            await asyncio.sleep(0)
    return filling.done(None)


class _Filling:
    """A page being filled. read: rows of objects that were looked at, whether or not they are in it."""

    def __init__(self, limit: int, refs: dict[str, str]) -> None:
        self._limit = limit
        self._refs = refs
        self._shares: list[tuple[Visible, list[Object]]] = []
        self._bytes = 0
        self._taken = 0
        self.read = 0
        self.left_out = 0

    def full(self) -> bool:
        """Whether nothing more belongs into it."""
        return max(len(self._shares), self.read, self._taken) >= self._limit or self._bytes >= MAX_PAGE_BYTES

    @property
    def last(self) -> Position:
        """After all of the share that was begun last."""
        return Position(self._shares[-1][0].grant.id, None)

    def has_room(self, found: Object) -> bool:
        """Whether an object fits; the first one always does."""
        return not self._taken or self._bytes + _bytes_of(found) <= MAX_PAGE_BYTES

    def begin(self, share: Visible) -> None:
        """What is taken from now on is in this share."""
        self._shares.append((share, []))
        self._bytes += _FIELDS_BYTES + len(share.label.encode()) + len(share.grant.purpose.encode())

    def take(self, found: Object) -> None:
        """An object of the share that was begun last."""
        self._shares[-1][1].append(found)
        self._taken += 1
        self._bytes += _bytes_of(found)

    def done(self, following: Position | None) -> Page:
        """The page, and where the next one begins."""
        shares = tuple(msgspec.structs.replace(share, objects=tuple(taken)) for share, taken in self._shares)
        return Page(shares, self._refs, following, self.left_out)


def _bytes_of(found: Object) -> int:
    return _FIELDS_BYTES + len(found.name.encode()) + len(found.media_type)


def _is_asked(share: Visible, question: Question) -> bool:
    return question.share in ("", share.grant.id) and question.label in ("", share.label)


def _is_behind(grant: str, begins: Position) -> bool:
    return grant < begins.grant or (grant == begins.grant and begins.after is None)


def _is_over(found: Object, now_us: int) -> bool:
    return 0 < found.expires_us <= now_us


def _checked(find: Callable[..., Object | None], *what: str) -> Object | None:
    """An object; None when there is none, or when its row does not match the ledger."""
    try:
        return find(*what)
    except Corrupt as error:
        if error.code != "register-mismatch":
            raise
        log.critical("an object whose row does not match the ledger is left out")
        return None


def listing(  # noqa: PLR0913  # what is recorded, each by its name
    client: str,
    page: Page,
    *,
    goes_on: bool,
    country: str,
    channel: str,
    address: str,
    addresses: Addresses,
    holds: Callable[[], bool],
    refusals: Refusals | None = None,
) -> Callable[[Writing], int | None]:
    """Record a page of a listing; raises `Stale` when a decision in it has ended meanwhile.

    holds: whether the register is still as it was when the page was made, else `Stale` as well.
    goes_on: whether the page goes on from an earlier one.
    refusals: given when what was asked for is not there: recorded as a refusal, or only counted (then None).
    """
    details: dict[str, object] = {
        "outcome": "allow",
        "shares": len(page.shares),
        "objects": sum(len(share.objects) for share in page.shares),
        "left_out": page.left_out,
        "goes_on": goes_on,
        "country": country,
        "channel": channel,
        **addresses.place(address),
    }

    until = page.valid_until_us

    def run(writing: Writing) -> int | None:
        if not holds() or (until is not None and writing.time_us >= until):
            raise Stale("stale", "List again.")
        if refusals is not None:
            if not refusals.admit(client, ("absent",), writing.time_us):
                return None
            details.update({"outcome": "deny", "reasons": ["absent"]})
        personal = addresses.seal(writing, client, address)
        return writing.record(Draft(entries.SHARES_LISTED, client, (client,), page.refs, details, personal))

    return run
