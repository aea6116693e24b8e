"""Keeping the sets of policies that decisions were made by, and making an old decision again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt, Invalid, NotFound
from keten.ledger.model import Draft
from keten.ledger.reading import read_indexes
from keten.ledger.writing import Writing
from keten.policy.engine import Engine
from keten.policy.entries import POLICY_SET_LOADED
from keten.policy.model import Allow, Attributes, Decision, Deny
from keten.policy.reasons import REASONS
from keten.policy.tables import policy_sets


def remember(writing: Writing, engine: Engine) -> bool:
    """Keep the set that `engine` decides by, with its entry, when it is used for the first time; whether it was.

    To be called before the first decision, in a transaction that commits before that decision is recorded.
    Raises `Corrupt` ("policy-set-damaged") when another text is kept under its hash.
    """
    kept = writing.connection.execute(
        select(policy_sets.c.text).where(policy_sets.c.hash == engine.hash)
    ).scalar()
    if kept is not None:
        if kept != engine.text:
            raise _damaged(engine.hash)
        return False
    writing.connection.execute(insert(policy_sets), [{"hash": engine.hash, "text": engine.text}])
    details = {"hash": engine.hash, "text": engine.text, "policies": sorted(engine.policies)}
    writing.record(Draft(POLICY_SET_LOADED, "keeper", details=details))
    return True


def kept_text(connection: Connection, policy_hash: str) -> str:
    """The text of a set that was used. Raises `NotFound` ("policy-set-unknown"), `Corrupt` ("policy-set-damaged")."""
    text = connection.execute(select(policy_sets.c.text).where(policy_sets.c.hash == policy_hash)).scalar()
    if text is None:
        raise NotFound("policy-set-unknown", "No such set of policies was ever used.", policy_hash[:64])
    if hashlib.sha256(str(text).encode()).hexdigest() != policy_hash:
        raise _damaged(policy_hash)
    return str(text)


def replay(attributes: Attributes | Mapping[str, Any], policy_text: str) -> Decision:
    """Decide again on recorded attributes, by the policies of that day. Raises `Invalid` ("policy-set")."""
    recorded = msgspec.to_builtins(attributes) if isinstance(attributes, Attributes) else attributes
    return _engine(policy_text).decide_recorded(recorded)


class Replayed(msgspec.Struct, frozen=True):
    """A recorded decision, made again. `same`: the answer is what its entry says."""

    decision: Decision
    attributes: dict[str, Any]
    policy_hash: str
    sentences: dict[str, dict[str, str]]
    same: bool


class _Recorded(msgspec.Struct, frozen=True):
    """What the entry of a decision says of it (the kinds of `keten.exchange.entries`)."""

    outcome: str
    policy_hash: str
    attributes: dict[str, Any]
    policies: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    valid_until: str = ""


def replay_entry(connection: Connection, index: int) -> Replayed:
    """Make the decision again that the entry at `index` recorded.

    1. Read the entry, checked against its leaf; an erased one can't be replayed.
    2. Read the policies of that day by the hash that it names, checked against that hash.
    3. Decide on the recorded attributes.
    4. Policies that allowed may have been refused by what came after them (a budget): such reasons are no policy's,
       and the answer is theirs, under the same policies.
    5. Compare outcome, reasons, policies and, where it was recorded, until when it held.

    Raises `NotFound` ("entry-erased", "policy-set-unknown"), `Invalid` ("not-a-decision"), `Corrupt`.
    """
    (entry,) = read_indexes(connection, (index,))  # 1
    if entry.payload is None:
        raise NotFound("entry-erased", "What this entry recorded has been erased.", f"index {index}")
    try:
        recorded = msgspec.convert(entry.payload.details, _Recorded)
    except msgspec.ValidationError as error:
        raise Invalid("not-a-decision", f"An entry of kind {entry.kind} is not a decision.", str(error)) from error
    engine = _engine(kept_text(connection, recorded.policy_hash))  # 2
    decision = engine.decide_recorded(recorded.attributes)  # 3
    later = tuple(code for code in recorded.reasons if code not in REASONS)
    if isinstance(decision, Allow) and recorded.outcome == "deny" and later == recorded.reasons != ():  # 4
        decision = Deny(later, decision.policies)
    sentences = engine.explain(decision.policies)
    return Replayed(decision, recorded.attributes, engine.hash, sentences, _same(decision, recorded))


def _same(decision: Decision, recorded: _Recorded) -> bool:  # 5
    if decision.policies != recorded.policies:
        return False
    if isinstance(decision, Deny):
        return recorded.outcome == "deny" and decision.reasons == recorded.reasons
    until = recorded.valid_until
    return recorded.outcome == "allow" and until in ("", rfc3339(decision.valid_until_us))


@lru_cache(maxsize=8)
def _engine(policy_text: str) -> Engine:
    return Engine.from_text(policy_text)


def _damaged(policy_hash: str) -> Corrupt:
    return Corrupt("policy-set-damaged", "A kept set of policies is not what its hash says.", policy_hash)
