"""The engine fails closed: whatever is missing, wrong or broken, the answer is no (law 4)."""

import json
from collections.abc import Callable
from typing import Any

import cedarpy
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keten.policy.engine import Engine, next_change_us
from keten.policy.model import Allow, Attributes, Deny
from keten.policy.policyset import PolicySet, Source, shipped
from keten.policy.sets import replay
from tests.unit.policy.reference import refused
from tests.unit.policy.test_differential import slices
from tests.unit.policy.test_policies import FLIPS, rule, with_policy
from tests.unit.policy.worlds import ALLOWED, CONFIRMED, END, NOW, changed

NAMES = list(Attributes.__struct_fields__)
ZEROS = {field.name: field.default for field in msgspec.structs.fields(Attributes)}
DENIED = [changed(**fields) for fields, _, _ in FLIPS]


def recorded(attributes: Attributes) -> dict[str, Any]:
    """As an entry has it."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(attributes))
    return found


# ---- Cedar's trap ----------------------------------------------------------------------------------------------------


def test_cedar_itself_skips_a_forbid_that_errs() -> None:
    """What this room has to guard against: without a schema, a missing attribute turns a refusal into access."""
    context = recorded(changed(principal_standing="ended"))
    asked = {
        "principal": 'Keten::Principal::"a"',
        "action": 'Keten::Action::"open"',
        "resource": 'Keten::Dataset::"d"',
    }
    policies = "\n".join(shipped().policies.values())
    assert not cedarpy.is_authorized(asked | {"context": context}, policies, []).allowed
    del context["principal_standing"]
    answer = cedarpy.is_authorized(asked | {"context": context}, policies, [])
    assert answer.allowed
    assert answer.diagnostics.errors != []


@pytest.mark.parametrize("missing", NAMES)
def test_an_attribute_that_is_missing_is_a_refusal(engine: Engine, missing: str) -> None:
    for attributes in (ALLOWED, *DENIED):
        fields = recorded(attributes)
        del fields[missing]
        decision = engine.decide_recorded(fields)
        assert isinstance(decision, Deny)
        assert decision.reasons == ("policy-error",)
        assert missing in decision.error or "attributes" in decision.error


@pytest.mark.parametrize("name", NAMES)
def test_a_value_of_another_type_is_a_refusal(engine: Engine, name: str) -> None:
    values: list[object] = [None, "x", 1, 1.5, True, ["x"], [1], {}, {"__entity": {"type": "A", "id": "x"}}, 2**63]
    kind = list if ZEROS[name] == () else type(ZEROS[name])
    for value in values:
        fits = type(value) is kind and value not in ([1], 2**63)
        for attributes in (ALLOWED, DENIED[3]):
            decision = engine.decide_recorded(recorded(attributes) | {name: value})
            if not fits:
                assert isinstance(decision, Deny), value
                assert decision.reasons == ("policy-error",), value


def test_an_attribute_too_many_is_a_refusal(engine: Engine) -> None:
    decision = engine.decide_recorded(recorded(ALLOWED) | {"principal_blocked": False})
    assert isinstance(decision, Deny)
    assert decision.reasons == ("policy-error",)
    assert "principal_blocked" in decision.error


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_value_never_turns_a_refusal_into_access(engine: Engine, name: str) -> None:
    zeroed = [changed(attributes, **{name: ZEROS[name]}) for attributes in DENIED]
    assert all(isinstance(decision, Deny) for decision in engine.decide_many(zeroed))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"mismatch", "supplier", "dataset", "grant", "contract"}))
def test_a_zero_value_of_what_is_looked_at_is_a_refusal(engine: Engine, name: str) -> None:
    """In a slice in which each limit is in use; the ids left out are recorded, and nothing is decided by them."""
    unlimited = {"content_unlimited", "grant_to_all", "contract_any_country", "grant_lasting"}
    base = ALLOWED
    if name in unlimited:
        base = changed(**{name: True}, grant_to=(), contract_countries=(), content_expires_us=0)
        base = changed(base, content_unlimited=True, grant_to_all=True, contract_any_country=True)
        base = changed(base, grant_lasting=True, grant_confirmed_until_us=0)
    assert isinstance(engine.decide(base), Allow)
    assert isinstance(engine.decide(changed(base, **{name: ZEROS[name]})), Deny)


@settings(max_examples=300)
@given(attributes=slices(), names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_losing_attributes_never_turns_a_refusal_into_access(
    engine: Engine, attributes: Attributes, names: set[str]
) -> None:
    if refused(attributes) is None:
        return
    assert isinstance(engine.decide(changed(attributes, **{name: ZEROS[name] for name in names})), Deny)
    fields = {name: value for name, value in recorded(attributes).items() if name not in names}
    assert isinstance(engine.decide_recorded(fields), Deny)


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_a_policy_that_errs_while_it_runs_is_a_refusal() -> None:
    """Valid against the schema, and still it can fail: sums overflow."""
    overflowing = rule("extra", body="context.time_us + context.content_expires_us < 0")
    engine = Engine(PolicySet(with_policy("extra", overflowing)))
    assert isinstance(engine.decide(ALLOWED), Allow)
    for expires_us in (2**63 - 1, 2**63 - NOW):
        decision = engine.decide(changed(content_expires_us=expires_us))
        assert isinstance(decision, Deny)
        assert decision.reasons == ("policy-error",)
        assert "overflow" in decision.error
    # Also when another policy forbids it anyway: an answer with an error in it is not an answer.
    decision = engine.decide(changed(content_expires_us=2**63 - 1, country=""))
    assert decision == Deny(("policy-error",), (), decision.error)  # type: ignore[union-attr]  # a Deny has it


@pytest.mark.parametrize(
    "fields",
    [
        {"country": "\ud800"},
        {"principal": "\udfff"},
        {"time_us": 2**63},
        {"time_us": 2**70},
        {"time_us": -1},
        {"time_us": 0},
        {"contract_ends_us": 2**64},
        {"action": ""},
        {"action": "delete"},
        {"action": 'open", "list'},
        {"principal": 5},
        {"grant_to": None},
    ],
    ids=str,
)
def test_hostile_values_are_a_refusal_for_that_slice_alone(engine: Engine, fields: dict[str, Any]) -> None:
    decision = engine.decide(changed(**fields))
    assert isinstance(decision, Deny)
    assert decision.reasons == ("policy-error",)
    assert len(decision.error) <= 300
    if "principal" not in fields or isinstance(fields["principal"], str):
        assert [type(one) for one in engine.decide_many([ALLOWED, changed(**fields), ALLOWED])] == [Allow, Deny, Allow]


@pytest.mark.parametrize("text", ['"', "\\", "\0", "a\nb", "}", "é" * 1000, "\u202e", "😀", "x" * 100_000])
def test_odd_text_is_compared_as_it_is(engine: Engine, text: str) -> None:
    odd = changed(purpose=text, grant_purpose=text, contract_purposes=(text,), principal=text, grant_to=(text,))
    assert isinstance(engine.decide(odd), Allow)
    assert engine.decide(changed(odd, purpose=text + " ")) == Deny(("purpose-not-covered",), ("purpose-not-covered",))


def raising(error: BaseException) -> Callable[..., list[cedarpy.AuthzResult]]:
    """In place of Cedar: it breaks."""

    def broken(*_args: object) -> list[cedarpy.AuthzResult]:
        raise error

    return broken


PanicException = type("PanicException", (BaseException,), {})


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), RuntimeError("x"), PanicException("x")], ids=repr)
def test_a_broken_evaluator_is_a_refusal(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(cedarpy, "is_authorized_batch", raising(error))
    for decision in engine.decide_many([ALLOWED, ALLOWED]):
        assert isinstance(decision, Deny)
        assert decision.reasons == ("policy-error",)


def test_an_interrupt_is_not_swallowed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cedarpy, "is_authorized_batch", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        engine.decide(ALLOWED)


@pytest.mark.parametrize(
    "answer",
    [
        {"decision": "Allow", "diagnostics": {}},
        {"decision": "Allow", "diagnostics": {"reason": ["policy9"], "id_annotations_by_reason": {}}},
        {"decision": "Allow", "diagnostics": {"reason": ["p"], "id_annotations_by_reason": {"p": "unheard-of"}}},
        {"decision": "Allow", "diagnostics": {"reason": ["p"], "id_annotations_by_reason": {"p": "absent"}}},
        {"decision": "Deny", "diagnostics": {"reason": ["p"], "id_annotations_by_reason": {"p": "file-grant"}}},
        {"decision": "NoDecision", "diagnostics": {}},
    ],
    ids=json.dumps,
)
def test_an_answer_that_is_not_understood_is_a_refusal(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda *_: [cedarpy.AuthzResult(answer)])
    decision = engine.decide(ALLOWED)
    assert isinstance(decision, Deny)
    assert decision.reasons == ("policy-error",)


def test_an_allow_that_is_over_already_is_a_refusal() -> None:
    """Policies without an end would allow for ever; nothing may hold without an end (law 5)."""
    endless = Engine(PolicySet(with_policy("contract-ended", None)))
    assert isinstance(endless.decide(ALLOWED), Allow)
    decision = endless.decide(changed(contract_ends_us=NOW - 1, content_unlimited=True, grant_lasting=True))
    assert isinstance(decision, Deny)
    assert decision.reasons == ("policy-error",)


def test_no_slices_no_decisions(engine: Engine) -> None:
    assert engine.decide_many([]) == []


# ---- time, and replay ------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(attributes=slices(), data=st.data())
def test_an_answer_holds_until_the_next_change(engine: Engine, attributes: Attributes, data: st.DataObject) -> None:
    """What may be remembered: within [now, next change) the same slice gets the same answer."""
    assume(attributes.time_us > 0)
    until = next_change_us(attributes) or attributes.time_us + 1_000_000
    later = data.draw(st.one_of(st.just(until - 1), st.integers(attributes.time_us, until - 1)))
    assert engine.decide(changed(attributes, time_us=later)) == engine.decide(attributes)


@settings(max_examples=200)
@given(attributes=slices())
def test_a_decision_is_the_same_when_it_is_replayed(engine: Engine, attributes: Attributes) -> None:
    decision = engine.decide(attributes)
    assert engine.decide_recorded(recorded(attributes)) == decision
    assert replay(attributes, engine.text) == decision
    assert replay(recorded(attributes), engine.text) == decision


def test_replay_is_by_the_policies_of_the_day(engine: Engine) -> None:
    """A later version of the policies, with an attribute more and a rule less, does not change the past."""
    source = shipped()
    policies = {name: text for name, text in source.policies.items() if name != "country-unknown"}
    old = PolicySet(Source(source.schema.replace("        checked: Bool,\n", ""), without_checked(policies)))
    fields = recorded(changed(country=""))
    del fields["checked"]
    assert isinstance(replay(fields, old.text), Allow)
    assert replay(recorded(changed(country="")), engine.text) == Deny(("country-unknown",), ("country-unknown",))


def without_checked(policies: dict[str, str]) -> dict[str, str]:
    """Policies as they may have been before there was an attribute `checked`."""
    older = {name: text for name, text in policies.items() if name != "register-mismatch"}
    return older | {"absent": older["absent"].replace("context.checked && ", "")}


@pytest.mark.parametrize("fields", [{}, {"principal": "x"}, recorded(ALLOWED) | {"time_us": "1"}], ids=len)
def test_recorded_attributes_that_are_damaged_are_a_refusal(engine: Engine, fields: dict[str, Any]) -> None:
    decision = engine.decide_recorded(fields)
    assert isinstance(decision, Deny)
    assert decision.reasons == ("policy-error",)


def test_an_end_is_exclusive_also_for_what_is_remembered() -> None:
    assert next_change_us(ALLOWED) == ALLOWED.content_expires_us
    assert next_change_us(changed(time_us=ALLOWED.content_expires_us)) == END
    assert next_change_us(changed(time_us=END)) == CONFIRMED
    assert next_change_us(changed(time_us=END, grant_lasting=True)) == 0
    assert next_change_us(changed(time_us=CONFIRMED)) == 0
    assert next_change_us(changed(time_us=1)) == ALLOWED.contract_starts_us
