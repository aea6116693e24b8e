"""The decision: one slice of attributes in, `Allow` or `Deny` out. Reads no clock, no register and no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cedarpy
import msgspec

from keten.policy.model import Allow, Attributes, Decision, Deny
from keten.policy.policyset import Policy, PolicySet, parse, shipped
from keten.policy.reasons import REASONS, in_order

NO_ENTITIES = cedarpy.Entities.from_json_str("[]")
MAX_ERROR = 300
_UNSAYABLE = (UnicodeError, ValueError, TypeError, OverflowError)  # what encoding hostile values as JSON can raise
_encode = msgspec.json.Encoder().encode
_place = {code: place for place, code in enumerate(REASONS)}


class _Recorded(msgspec.Struct, frozen=True):
    """The part of recorded attributes that is looked at here."""

    principal: str
    action: str
    dataset: str
    time_us: int
    content_unlimited: bool
    content_expires_us: int
    contract_starts_us: int
    contract_ends_us: int
    grant_lasting: bool = True  # no grant of before there were confirmations had to be confirmed
    grant_confirmed_until_us: int = 0


class Engine:
    """Decides by one set of policies (the shipped ones, or any that was kept). Safe to share between threads.

    Raises `Invalid` ("policy-set") when the set does not pass its checks.
    """

    def __init__(self, policies: PolicySet | None = None) -> None:
        self._set = policies or PolicySet(shipped())
        self._permits = tuple(one.id for one in self._set.policies.values() if one.effect == "permit")

    @classmethod
    def from_text(cls, text: str) -> Engine:
        """The engine of a set that was kept (`Engine.text`), to decide as on the day of an old decision."""
        return cls(PolicySet(parse(text)))

    @property
    def hash(self) -> str:
        """SHA-256 (hex) over the texts of schema and policies in their fixed order."""
        return self._set.hash

    @property
    def text(self) -> str:
        """The set as text, to be kept under its hash."""
        return self._set.text

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Every policy by id."""
        return self._set.policies

    @property
    def sentences(self) -> dict[str, dict[str, str]]:
        """Policy id → {"en", "nl"}: the human sentence of each policy."""
        return self.explain(tuple(self._set.policies))

    def explain(self, policies: tuple[str, ...]) -> dict[str, dict[str, str]]:
        """The sentences of these policies, in their order; a policy of another set has none here."""
        known = [self._set.policies[name] for name in policies if name in self._set.policies]
        return {policy.id: {"en": policy.en, "nl": policy.nl} for policy in known}

    def decide(self, attributes: Attributes) -> Decision:
        """Decide on one slice.

        1. The request names a time, and its context is the slice itself, every attribute of it.
        2. Cedar evaluates it against the schema: an attribute that is missing, unknown or of another type ends in 5.
        3. A forbid that holds: `Deny` with the reasons of all that hold. Neither forbid nor permit: `no-grant`.
        4. A permit alone: `Allow` until the nearest moment at which the slice would be judged otherwise.
        5. Anything else – a policy that erred (Cedar skips it), an answer that is not understood, an `Allow` that is
           over already – is `Deny(("policy-error",))` (law 4).
        """
        return self.decide_many((attributes,))[0]

    def decide_many(self, slices: Sequence[Attributes]) -> list[Decision]:
        """Decide on several slices at once; cheaper per slice than one at a time."""
        try:
            requests = [
                _request(one.principal, one.action, one.dataset, _encode(one).decode()) for one in slices
            ]
        except _UNSAYABLE as error:
            # That slice is denied, not the others.
            return [self.decide(one) for one in slices] if len(slices) > 1 else [_error(f"attributes: {error}")]
        answers = self._ask(requests)
        if isinstance(answers, str):
            return [_error(answers) for _ in slices]
        return [self._decision(answer, one) for answer, one in zip(answers, slices, strict=True)]

    def decide_recorded(self, recorded: Mapping[str, Any]) -> Decision:
        """Decide on attributes as an entry recorded them, whatever this version of `Attributes` knows."""
        try:
            asked = msgspec.convert(recorded, _Recorded)
            context = _encode(recorded).decode()
        except (msgspec.ValidationError, *_UNSAYABLE) as error:
            return _error(f"recorded attributes: {error}")
        answers = self._ask([_request(asked.principal, asked.action, asked.dataset, context)])
        return _error(answers) if isinstance(answers, str) else self._decision(answers[0], asked)

    def _ask(self, requests: list[dict[str, Any]]) -> list[cedarpy.AuthzResult] | str:
        """What Cedar answers, or why it could not."""
        try:
            return cedarpy.is_authorized_batch(
                requests, self._set.parsed_policies, NO_ENTITIES, self._set.parsed_schema
            )
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in there, the answer is no (law 4)
            return repr(error)
        except BaseException as error:
            # A panic in native code arrives as a BaseException of its own; everything else of that kind goes on.
            if type(error).__name__ != "PanicException":
                raise
            return repr(error)

    def _decision(self, answer: cedarpy.AuthzResult, asked: Attributes | _Recorded) -> Decision:
        diagnostics = answer.diagnostics
        if diagnostics.errors:  # 2, 5
            return _error("; ".join(diagnostics.errors))
        names = diagnostics.id_annotations_by_reason
        held = [self._set.policies.get(names.get(number, "")) for number in diagnostics.reasons]
        policies = [policy for policy in held if policy is not None]
        effect = "permit" if answer.decision is cedarpy.Decision.Allow else "forbid"
        if asked.time_us <= 0 or len(policies) != len(held) or any(one.effect != effect for one in policies):
            return _error("the answer names no time, or policies that are not of this set")
        if answer.decision is cedarpy.Decision.Deny:  # 3
            if not policies:
                return Deny(self._set.without_permit, self._permits)
            reasons = in_order(code for policy in policies for code in policy.reasons)
            return Deny(reasons, _ids(policies))
        until = next_change_us(asked)
        if answer.decision is not cedarpy.Decision.Allow or not policies or until <= asked.time_us:
            return _error("an allow that nothing permits or that is over already")
        return Allow(until, _ids(policies))  # 4


def next_change_us(asked: Attributes | _Recorded) -> int:
    """The nearest moment after the slice's own time at which it would be judged otherwise; 0 when there is none."""
    moments = [asked.contract_starts_us, asked.contract_ends_us]
    if not asked.content_unlimited:
        moments.append(asked.content_expires_us)
    if not asked.grant_lasting:
        moments.append(asked.grant_confirmed_until_us)
    return min((moment for moment in moments if moment > asked.time_us), default=0)


def _request(principal: str, action: str, dataset: str, context: str) -> dict[str, Any]:
    return {
        "principal": {"type": "Keten::Principal", "id": principal},
        "action": {"type": "Keten::Action", "id": action},
        "resource": {"type": "Keten::Dataset", "id": dataset},
        "context": context,
    }


def _ids(policies: list[Policy]) -> tuple[str, ...]:
    """Ids of policies, those with the most telling reason first."""
    return tuple(one.id for one in sorted(policies, key=lambda one: (_place[one.reasons[-1]], one.id)))


def _error(what: str) -> Deny:
    return Deny(("policy-error",), (), what[:MAX_ERROR])
