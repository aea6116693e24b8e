"""Decisions on the register's rows: found, decided by Cedar, and remembered for as long as they hold."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from keten.core.clock import SECOND
from keten.core.errors import Corrupt
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.policy.engine import Engine, next_change_us
from keten.policy.model import Allow, Attributes, Decision
from keten.policy.reasons import REASONS
from keten.policy.sets import Replayed, kept_text, remember, replay, replay_entry
from keten.policy.slices import (
    Asked,
    Candidate,
    Principal,
    attributes_of,
    by_contract,
    candidate,
    check_belongs,
    mismatch,
    most_promising,
    unknown,
)
from keten.suppliers.cache import LeastRecent
from keten.suppliers.model import Contract, Grant, Supplier

__all__ = ["Decisions", "Outcome", "Replayed", "Rows", "kept_text", "remember", "replay", "replay_entry"]

MAX_CONTRACTS = 256  # contracts read for one decision
MAX_CANDIDATES = 4  # grants decided upon for one decision: with the best first, the others are no better
DENY_HOLDS_US = SECOND


class Rows(Protocol):
    """What decisions need of the register: rows that were checked against the ledger, or `Corrupt`.

    `epoch` changes before any row that differs from an earlier answer is returned.
    """

    @property
    def epoch(self) -> int:
        """A number that changes with the register."""

    def moment(self) -> AbstractContextManager[None]:
        """What is read inside is of one moment of the database, as far as it was not remembered."""

    def client(self, id: str, /) -> Client | None:
        """A supplier's system."""

    def person(self, id: str, /) -> Person | None:
        """A human."""

    def supplier(self, id: str, /) -> Supplier | None:
        """A third party."""

    def dataset(self, id: str, /) -> Dataset | None:
        """A dataset."""

    def contract(self, id: str, /) -> Contract | None:
        """A contract."""

    def grants(self, dataset: str, supplier: str, /) -> tuple[Grant, ...]:
        """Every grant of a dataset to a supplier, ended ones too."""

    def grants_of(self, supplier: str, /) -> tuple[Grant, ...]:
        """Every grant to a supplier, ended ones too."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A decision with what it was made on: the grant (None where none was found), the slice, the set of policies."""

    decision: Decision
    grant: Grant | None
    attributes: Attributes
    policy_hash: str


class _Held(msgspec.Struct, frozen=True, gc=False):
    """Outcomes that hold from `from_us` up to, not at, `until_us`."""

    outcomes: tuple[Outcome, ...]
    from_us: int
    until_us: int


class Decisions:
    """Decides accesses. For one thread at a time; the register's epoch may be raised by another.

    `allows`, `denies`: how many outcomes are remembered at most. They are kept apart, so that whoever guesses at
    ids can't push out what others use. An `Allow` is remembered until it ends, a `Deny` for a second at most, both
    only within one epoch of the register and never for a moment before the one they were decided for.
    """

    def __init__(
        self, register: Rows, engine: Engine, *, allows: int = 32_768, denies: int = 8_192, listings: int = 512
    ) -> None:
        self._register = register
        self._engine = engine
        self._allows = _Memory(allows)
        self._denies = _Memory(denies)
        self._listings = _Memory(listings)
        self._epoch = register.epoch

    def access(
        self,
        client_id: str,
        dataset_id: str,
        action: str,
        country: str,
        at_us: int,
        purpose: str = "",
        object_expires_us: int = 0,
        grant: str = "",
    ) -> Outcome:
        """Decide one access to a dataset, or to content of it.

        1. What is remembered and still holds is the answer, with this moment as its time.
        2. Load principal, dataset, supplier and the grants between them, each checked against its last entry.
        3. Something is absent: decide on a slice without it, so that the same work is done (law 8).
        4. Decide on the grants that come closest, until one allows: the one that holds longest first.
        5. None allows: the refusal is that of the grant that comes closest, or `no-grant`.
        6. A row does not hold, or contradicts another: `register-mismatch`.

        client_id: a client or a person. dataset_id: "" when the content asked for is absent. action: open, list,
        lookup. country: "" when unknown. purpose: "" for the grant's own. object_expires_us: 0 when nothing expires.
        grant: the only one that may allow it; "" for any.
        Raises `KetenError` when the register could not be read at all; the caller denies.
        """
        key = (client_id, dataset_id, action, country, purpose, object_expires_us, grant)
        self._forget_the_past()
        held = self._allows.get(key, at_us) or self._denies.get(key, at_us)
        if held is not None:  # 1
            return _at(held.outcomes[0], at_us)
        asked = Asked(client_id, dataset_id, action, country, at_us, purpose, object_expires_us, grant)
        epoch = self._epoch
        try:
            with self._register.moment():
                outcome, until_us = self._decide(asked)
        except Corrupt as error:
            outcome, until_us = self._mismatch(asked, error), at_us + DENY_HOLDS_US  # 6
        if self._register.epoch == epoch:
            memory = self._allows if isinstance(outcome.decision, Allow) else self._denies
            memory.put(key, _Held((outcome,), at_us, until_us))
        return outcome

    def shares(self, client_id: str, country: str, at_us: int) -> tuple[Outcome, ...]:
        """What a client may list: the outcome of action `list` for each of its supplier's grants.

        Left out are grants that ended or are addressed to others: nobody may list these. A grant whose rows do not
        hold gives a `register-mismatch` of its own; the others stay.
        """
        key = (client_id, country)
        self._forget_the_past()
        held = self._listings.get(key, at_us)
        if held is not None:
            return tuple(_at(outcome, at_us) for outcome in held.outcomes)
        epoch = self._epoch
        asked = Asked(client_id, "", "list", country, at_us)
        try:
            with self._register.moment():
                outcomes = self._list(asked)
        except Corrupt as error:
            outcomes = (self._mismatch(asked, error),)
        if self._register.epoch == epoch:
            until_us = min((_until(outcome) for outcome in outcomes), default=at_us + DENY_HOLDS_US)
            self._listings.put(key, _Held(outcomes, at_us, until_us))
        return outcomes

    def mismatch(self, client_id: str, action: str, country: str, at_us: int, reason: str) -> Outcome:
        """The refusal of an access for which a row outside this room (an object's, say) does not hold."""
        attributes = unknown(Asked(client_id, "", action, country, at_us), mismatch=reason or "unknown")
        return self._outcome(attributes, None)

    def explain(self, outcome: Outcome) -> dict[str, dict[str, str]]:
        """Why: policy id → {"en", "nl"}; by reason code where no policy stands for it (`policy-error`)."""
        decision = outcome.decision
        found = self._engine.explain(decision.policies)
        if not found and not isinstance(decision, Allow):
            found = {code: {"en": REASONS[code].en, "nl": REASONS[code].nl} for code in decision.reasons}
        return found

    def _forget_the_past(self) -> None:
        epoch = self._register.epoch
        if epoch != self._epoch:
            self._allows.clear()
            self._denies.clear()
            self._listings.clear()
            self._epoch = epoch

    def _decide(self, asked: Asked) -> tuple[Outcome, int]:
        """An outcome, and until when it may be remembered."""
        register = self._register
        principal = self._principal(asked.principal)  # 2
        dataset = register.dataset(asked.dataset)
        supplier_id = principal.supplier if principal else ""
        supplier = register.supplier(supplier_id)
        grants = register.grants(asked.dataset, supplier_id)
        if principal is None or dataset is None:  # 3
            outcome = self._outcome(unknown(asked, supplier_id), None)
            return outcome, _until(outcome)
        check_belongs(principal, supplier, dataset, grants)
        best: Outcome | None = None
        until_us = asked.at_us + DENY_HOLDS_US
        for found in self._candidates(asked, grants) or [None]:  # 4
            outcome = self._outcome(
                attributes_of(asked, principal, supplier, dataset, found), found.grant if found else None
            )
            if isinstance(outcome.decision, Allow):
                return outcome, outcome.decision.valid_until_us
            best = best or outcome  # 5
            until_us = min(until_us, _until(outcome))
        if best is None:
            raise mismatch("nothing to decide upon")
        return best, until_us

    def _candidates(self, asked: Asked, grants: tuple[Grant, ...]) -> list[Candidate | None]:
        closest = most_promising(asked, grants)[-MAX_CONTRACTS:]
        found = [candidate(grant, self._register.contract(grant.contract)) for grant in closest]
        return list(by_contract(asked, found)[:MAX_CANDIDATES])

    def _list(self, asked: Asked) -> tuple[Outcome, ...]:
        register = self._register
        principal = self._principal(asked.principal)
        supplier = register.supplier(principal.supplier if principal else "")
        if principal is None:
            return (self._outcome(unknown(asked), None),)
        slices: list[Attributes] = []
        named: list[Grant] = []
        for grant in register.grants_of(principal.supplier) if supplier else ():
            if grant.ended is not None or (grant.to and principal.id not in grant.to):
                continue
            about = msgspec.structs.replace(asked, dataset=grant.dataset)
            try:
                dataset = register.dataset(grant.dataset)
                if dataset is None:
                    raise mismatch(f"the dataset of grant {grant.id} is not there")
                check_belongs(principal, supplier, dataset, (grant,))
                found = candidate(grant, register.contract(grant.contract))
                slices.append(attributes_of(about, principal, supplier, dataset, found))
            except Corrupt as error:
                slices.append(unknown(about, principal.supplier, error.reason or error.code))
            named.append(grant)
        decisions = self._engine.decide_many(slices)
        return tuple(
            Outcome(decision, grant, attributes, self._engine.hash)
            for decision, grant, attributes in zip(decisions, named, slices, strict=True)
        )

    def _principal(self, principal_id: str) -> Principal | None:
        return self._register.client(principal_id) or self._register.person(principal_id)

    def _outcome(self, attributes: Attributes, grant: Grant | None) -> Outcome:
        return Outcome(self._engine.decide(attributes), grant, attributes, self._engine.hash)

    def _mismatch(self, asked: Asked, error: Corrupt) -> Outcome:
        if error.code != "register-mismatch":
            raise error
        return self._outcome(unknown(asked, mismatch=error.reason or error.code), None)


def _at(outcome: Outcome, at_us: int) -> Outcome:
    """The same outcome at another moment at which it holds, so that its entry says when it was given."""
    if outcome.attributes.time_us == at_us:
        return outcome
    attributes = msgspec.structs.replace(outcome.attributes, time_us=at_us)
    return Outcome(outcome.decision, outcome.grant, attributes, outcome.policy_hash)


def _until(outcome: Outcome) -> int:
    """Until when an outcome may be remembered: an `Allow` as long as it holds, a `Deny` for a second at most."""
    if isinstance(outcome.decision, Allow):
        return outcome.decision.valid_until_us
    at_us = outcome.attributes.time_us
    return min(at_us + DENY_HOLDS_US, next_change_us(outcome.attributes) or at_us + DENY_HOLDS_US)


class _Memory:
    """At most `most` held outcomes; the one unused for longest goes first."""

    def __init__(self, most: int) -> None:
        self._held: LeastRecent[Hashable, _Held] = LeastRecent(most)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable, at_us: int) -> _Held | None:
        """What is held and holds at this moment."""
        held = self._held.get(key)
        return held if held is not None and held.from_us <= at_us < held.until_us else None

    def put(self, key: Hashable, held: _Held) -> None:
        """Hold, in place of what was held for this question."""
        self._held.put(key, held)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
