"""The one door: from a request to a recorded access. Whatever the protocol, an object is opened here or not at all.

Steps 3 to 5 of a request's way (docs/architecture.md); the keeper does 1 (proof) before and 6 (key) after:

3. Decide, on checked rows of the register (`evaluate`, in the keeper's loop).
4. Charge the budget (`committing`, in the writer's transaction).
5. Record what was decided, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from keten.budgets.model import Scope, Spent, Taken
from keten.budgets.service import Budgets
from keten.core.clock import rfc3339
from keten.core.errors import Conflict, Corrupt
from keten.datasets.model import Dataset
from keten.exchange import entries
from keten.exchange.addresses import Addresses
from keten.exchange.objects import Objects
from keten.identity.networks import Place
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy.model import Allow, Attributes
from keten.policy.service import Decisions, Outcome
from keten.suppliers.model import Grant, Supplier
from keten.suppliers.register import Register
from keten.vault.model import Object

T = TypeVar("T")


class Stale(Conflict):
    """The register changed, or a moment passed, between deciding and recording: decide again."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One access asked for. `start` < 0: the last -start bytes. `length` -1: to the end. `describe`: metadata only.

    key, began_us: fingerprint of the key that the client signed in with, and when; of a person, its session's public
    id. until_us: when that session is over at the latest; 0: nothing bounds it.
    """

    client: str
    object: str
    country: str
    channel: str
    address: str
    start: int = 0
    length: int = -1
    describe: bool = False
    key: str = ""
    began_us: int = 0
    until_us: int = 0


class Evaluated(msgspec.Struct, frozen=True, gc=False):
    """A request with its decision. `satisfiable` is false when the object has no such bytes."""

    request: Request
    found: Object | None
    outcome: Outcome
    epoch: int
    start: int
    length: int
    satisfiable: bool

    def holds_until(self, decision: Allow) -> int:
        """Until when the access holds: as long as it was decided, and no longer than the session it is asked in."""
        bound = self.request.until_us
        return min(decision.valid_until_us, bound) if bound else decision.valid_until_us


class Committed(msgspec.Struct, frozen=True, gc=False):
    """What was recorded: the entry's index and refs and, for a refusal, why. `opened`: a key may be handed out.

    spent: the budget that refused it, which its client is told (law 8); the index is then -1 when that was counted.
    """

    index: int
    reasons: tuple[str, ...]
    opened: bool
    refs: dict[str, str] = {}
    spent: Spent | None = None


class Refusals(Protocol):
    """Counts refusals that repeat, so that nobody fills the disk with them (law 4)."""

    def admit(self, client: str, reasons: tuple[str, ...], now_us: int) -> bool:
        """Whether this refusal gets an entry of its own."""


class Door:
    """Evaluates and records accesses. `epoch`: the writer's count of register changes."""

    def __init__(
        self,
        register: Register,
        objects: Objects,
        decisions: Decisions,
        budgets: Budgets,
        addresses: Addresses,
        epoch: Callable[[], int],
    ) -> None:
        self._register = register
        self._objects = objects
        self._decisions = decisions
        self._budgets = budgets
        self._addresses = addresses
        self._epoch = epoch
        self._seen = -1

    def fresh(self) -> int:
        """Drop cached rows when the register changed; returns the epoch that what is read from now on belongs to."""
        epoch = self._epoch()
        if epoch != self._seen:
            self._register.invalidate()
            self._objects.invalidate()
            self._seen = epoch
        return epoch

    def under(self, epoch: int, run: Callable[[Writing], T]) -> Callable[[Writing], T]:
        """A job for the writer that raises `Stale`, and does nothing, when the register has changed since `epoch`."""

        def unless_changed(writing: Writing) -> T:
            if epoch != self._epoch():
                raise Stale("stale", "Decide again.")
            return run(writing)

        return unless_changed

    def evaluate(self, request: Request, now_us: int) -> Evaluated:
        """Step 3. An absent object is decided upon like a forbidden one, with the same work (law 8)."""
        epoch = self.fresh()
        try:
            found = self._objects.get(request.object)
            outcome = self._decisions.access(
                request.client,
                found.dataset if found else "",
                "open",
                request.country,
                now_us,
                object_expires_us=found.expires_us if found else 0,
            )
        except Corrupt as error:
            if error.code != "register-mismatch":
                raise
            found = None
            outcome = self._decisions.mismatch(request.client, "open", request.country, now_us, error.reason)
        start, length, satisfiable = _span(request, found.size if found else 0)
        return Evaluated(request, found, outcome, epoch, start, length, satisfiable)

    def committing(self, evaluated: Evaluated, refusals: Refusals) -> Callable[[Writing], Committed | None]:
        """Steps 4 and 5, to be run by the writer; None when a refusal was only counted."""

        def run(writing: Writing) -> Committed | None:
            decision = evaluated.outcome.decision
            if not isinstance(decision, Allow):
                return self._refuse(writing, evaluated, tuple(decision.reasons), refusals)
            if evaluated.epoch != self._epoch() or writing.time_us >= evaluated.holds_until(decision):
                raise Stale("stale", "Decide again.")
            if evaluated.request.describe or not evaluated.satisfiable:
                draft = self._draft(writing, entries.OBJECT_DESCRIBED, evaluated, {"outcome": "allow"})
                return Committed(writing.record(draft), (), opened=False)
            return self._open(writing, evaluated, decision, refusals)

        return run

    def _open(self, writing: Writing, evaluated: Evaluated, decision: Allow, refusals: Refusals) -> Committed | None:
        grant, found = evaluated.outcome.grant, evaluated.found
        if grant is None or found is None:
            raise Corrupt("decision", "An access was allowed without a grant.", evaluated.request.object)
        details: dict[str, Any] = {
            "outcome": "allow",
            "start": evaluated.start,
            "length": evaluated.length,
            "valid_until": rfc3339(decision.valid_until_us),
        }
        if evaluated.request.until_us:
            details["session_until"] = rfc3339(evaluated.request.until_us)
        # Before the charge: sealing may fail, and a charge must never stand without the entry that follows it.
        draft = self._draft(writing, entries.OBJECT_OPENED, evaluated, details)
        charge = self._charge(writing, grant, found, evaluated.request)
        if isinstance(charge, Spent):
            refused = self._refuse(writing, evaluated, (charge.code,), refusals)
            refused = refused or Committed(-1, (charge.code,), opened=False)
            return msgspec.structs.replace(refused, spent=charge)
        details.update(charge)
        index = writing.record(draft)
        writing.open(index)
        return Committed(index, (), opened=True, refs=draft.refs)

    def _charge(self, writing: Writing, grant: Grant, found: Object, request: Request) -> dict[str, Any] | Spent:
        """Step 4. Records of an object that this client already received in the window cost nothing again."""
        client, began_us = request.client, request.began_us
        supplier, dataset = self._register.supplier(grant.supplier), self._register.dataset(grant.dataset)
        scopes = scopes_of(grant, client, supplier, dataset)
        if not scopes:
            return {"charged": found.records}
        organisation = self._register.organisation()
        zone = organisation.timezone if organisation else "UTC"
        if len(scopes) == 1 and len(grant.limits) == 1:
            charge = self._budgets.charge(
                writing, grant, client, found.id, found.records, writing.time_us, zone, began_us
            )
            if isinstance(charge, Spent):
                return charge
            return {"charged": charge.new, "window_us": charge.window_start_us, **self.used(scopes)}
        taken = self.charge_all(writing, scopes, ((found.id, found.records),), zone, began_us)
        if isinstance(taken, Spent):
            return taken
        new = sum(one.records for one in taken if one.word == "grant")
        charged = new if grant.limits else found.records
        return {"charged": charged, "charges": charges_of(taken), **self.used(scopes)}

    def charge_all(
        self,
        writing: Writing,
        scopes: Sequence[Scope],
        items: Sequence[tuple[str, int]],
        zone: str,
        signed_in_us: int,
        room: int = 0,
    ) -> list[Taken] | Spent:
        """Step 4, for the budgets of an access that may give several records (`Budgets.charge_all`)."""
        return self._budgets.charge_all(writing, scopes, items, writing.time_us, zone, signed_in_us, room)

    def used(self, scopes: Sequence[Scope]) -> dict[str, list[list[str | int]]]:
        """How full the client's own budget is after step 4, as its entry says it; nothing where it has none."""
        own = next((scope for scope in scopes if scope.word == "grant"), None)
        found = () if own is None else self._budgets.used(own)
        return {"used": [[one.per, one.spent, one.records] for one in found]} if found else {}

    def unknown(self, writing: Writing, scope: Scope, items: Sequence[str], zone: str) -> int:
        """How many of these a client did not receive yet (`Budgets.unknown`)."""
        return self._budgets.unknown(writing.connection, scope, items, writing.time_us, zone)

    def holds(self, epoch: int) -> bool:
        """Whether the register is as it was in this epoch."""
        return epoch == self._epoch()

    def place(self, address: str) -> Place:
        """For the details of an entry: a pseudonym of where its client came from, and whether that is listed."""
        return self._addresses.place(address)

    def sealed_address(self, writing: Writing, client: str, address: str) -> dict[str, str]:
        """The personal part of an entry: where its client came from."""
        return self._addresses.seal(writing, client, address)

    def _refuse(
        self, writing: Writing, evaluated: Evaluated, reasons: tuple[str, ...], refusals: Refusals
    ) -> Committed | None:
        if not refusals.admit(evaluated.request.client, reasons, writing.time_us):
            return None
        details = {"outcome": "deny", "reasons": list(reasons)}
        draft = self._draft(writing, entries.OBJECT_REFUSED, evaluated, details)
        return Committed(writing.record(draft), reasons, opened=False)

    def _draft(self, writing: Writing, kind: Kind, evaluated: Evaluated, details: dict[str, Any]) -> Draft:
        request, outcome = evaluated.request, evaluated.outcome
        details |= {  # in place: the caller may add to it until it is recorded
            "channel": request.channel,
            "policies": list(outcome.decision.policies),
            "policy_hash": outcome.policy_hash,
            "attributes": outcome.attributes,
            **self._addresses.place(request.address),
        }
        return Draft(
            kind,
            request.client,
            (request.client,),
            refs_of(outcome, evaluated.found, request.object),
            details,
            self._addresses.seal(writing, request.client, request.address),
        )


def refs_of(outcome: Outcome, found: Object | None, asked: str = "") -> dict[str, str]:
    """What an access concerns: object, dataset, grant, contract, supplier – whichever are known."""
    attributes: Attributes = outcome.attributes
    refs = {
        "object": found.id if found else asked,
        "dataset": found.dataset if found else "",
        "grant": attributes.grant,
        "contract": attributes.contract,
        "supplier": attributes.supplier,
    }
    return {word: value for word, value in refs.items() if value}


def scopes_of(grant: Grant, client: str, supplier: Supplier | None, dataset: Dataset | None) -> tuple[Scope, ...]:
    """Whose budgets an access is charged to: client × grant, supplier × dataset, and the dataset's breaker."""
    scopes = [Scope("grant", grant.id, client, grant.limits)] if grant.limits else []
    if supplier is not None and supplier.budget is not None:
        scopes.append(Scope("supplier", supplier.id, grant.dataset, (supplier.budget,)))
    if dataset is not None and dataset.breaker is not None:
        scopes.append(Scope("dataset", dataset.id, "", (dataset.breaker,)))
    return tuple(scopes)


def charges_of(taken: Sequence[Taken]) -> list[list[str | int]]:
    """Charges as an entry says them."""
    return [[one.owner, one.of, one.object, one.window_start_us, one.records] for one in taken]


def _span(request: Request, size: int) -> tuple[int, int, bool]:
    """The bytes asked for, clamped to the object: start, length, whether there are such bytes (RFC 9110 §14)."""
    if request.start < 0:
        start = max(0, size + request.start)
        return start, size - start, True  # also of an empty object: then the whole of it (§14.1.2)
    if request.start >= size and request.start > 0:
        return 0, 0, False
    length = size - request.start if request.length < 0 else min(request.length, size - request.start)
    return request.start, length, length > 0 or (request.start == 0 and size == 0) or request.length == 0
