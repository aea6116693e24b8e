"""Sets of policies are kept with an entry, and recorded decisions are made again by the set of their day."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt, Invalid, NotFound
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.reading import read_range, size
from keten.ledger.tables import entries
from keten.ledger.writing import Writing
from keten.policy.engine import Engine
from keten.policy.entries import POLICY_SET_LOADED
from keten.policy.model import Allow, Attributes, Deny
from keten.policy.policyset import PolicySet
from keten.policy.sets import kept_text, remember, replay_entry
from keten.policy.tables import policy_sets
from tests.unit.policy.test_policies import rule, with_policy
from tests.unit.policy.worlds import ALLOWED, NOW, changed
from tests.unit.suppliers.instances import Instance

# A kind as other rooms have them; made here without registering it.
DECIDED = Kind("exchange.object.tested", "A test decided something.", {})


@pytest.fixture
def reading(instance: Instance) -> Iterator[Connection]:
    with instance.reader.connect() as connection:
        yield connection


def details_of(engine: Engine, attributes: Attributes, **more: Any) -> dict[str, Any]:
    """What an access records of its decision."""
    decision = engine.decide(attributes)
    details: dict[str, Any] = {
        "policies": list(decision.policies),
        "policy_hash": engine.hash,
        "attributes": attributes,
    }
    if isinstance(decision, Allow):
        details |= {"outcome": "allow", "valid_until": rfc3339(decision.valid_until_us)}
    else:
        details |= {"outcome": "deny", "reasons": list(decision.reasons)}
    return details | more


def record(instance: Instance, details: dict[str, Any]) -> int:
    """Record a decision; the index of its entry."""
    index: int = instance.write(lambda writing: writing.record(Draft(DECIDED, "keeper", details=details)))
    return index


def keep(instance: Instance, engine: Engine) -> bool:
    """Keep the set of an engine in a transaction of its own."""
    kept: bool = instance.write(lambda writing: remember(writing, engine))
    return kept


def test_a_set_is_kept_once_with_its_entry(instance: Instance, engine: Engine) -> None:
    assert keep(instance, engine) is True
    assert keep(instance, engine) is False
    with instance.reader.connect() as reading:
        assert size(reading) == 1
        (entry,) = read_range(reading, 0, 1)
        assert kept_text(reading, engine.hash) == engine.text
    assert entry.payload is not None
    assert entry.kind == POLICY_SET_LOADED.name
    assert set(entry.payload.details) == set(POLICY_SET_LOADED.details)
    assert entry.payload.details == {
        "hash": engine.hash,
        "text": engine.text,
        "policies": sorted(engine.policies),
    }


def test_a_set_is_not_kept_when_its_transaction_fails(instance: Instance, engine: Engine) -> None:
    def failing(writing: Writing) -> None:
        assert remember(writing, engine)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        instance.write(failing)
    with instance.reader.connect() as reading, pytest.raises(NotFound):
        kept_text(reading, engine.hash)
    assert keep(instance, engine) is True


def test_another_set_is_kept_beside_it(instance: Instance, engine: Engine) -> None:
    other = Engine(PolicySet(with_policy("extra", rule("extra"))))
    for each in (engine, other):
        keep(instance, each)
    with instance.reader.connect() as reading:
        assert Engine.from_text(kept_text(reading, other.hash)).policies == other.policies
        assert kept_text(reading, engine.hash) == engine.text


def test_a_kept_set_that_was_changed_is_noticed(instance: Instance, engine: Engine) -> None:
    keep(instance, engine)
    weaker = PolicySet(with_policy("country-unknown", None)).text
    with instance.engine.begin() as connection:
        connection.execute(update(policy_sets).values(text=weaker))
    with instance.reader.connect() as reading, pytest.raises(Corrupt) as caught:
        kept_text(reading, engine.hash)
    assert caught.value.code == "policy-set-damaged"
    with pytest.raises(Corrupt):
        keep(instance, engine)
    index = record(instance, details_of(engine, ALLOWED))
    with instance.reader.connect() as reading, pytest.raises(Corrupt):
        replay_entry(reading, index)


@pytest.mark.parametrize("policy_hash", ["", "0" * 64, "' OR 1=1 --", "x" * 10_000])
def test_an_unknown_set_is_not_there(reading: Connection, policy_hash: str) -> None:
    with pytest.raises(NotFound):
        kept_text(reading, policy_hash)


@pytest.mark.parametrize(
    "attributes",
    [
        ALLOWED,
        changed(country="US"),
        changed(action="delete"),
        changed(has_grant=False),
        changed(known=False),
        Attributes(),
    ],
)
def test_a_recorded_decision_is_the_same_again(instance: Instance, engine: Engine, attributes: Attributes) -> None:
    keep(instance, engine)
    index = record(instance, details_of(engine, attributes))
    with instance.reader.connect() as reading:
        replayed = replay_entry(reading, index)
    assert replayed.same
    assert replayed.decision == engine.decide(attributes)
    assert replayed.policy_hash == engine.hash
    assert replayed.sentences == engine.explain(replayed.decision.policies)
    assert replayed.attributes["time_us"] == attributes.time_us


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "deny", "reasons": ["revoked"]},
        {"outcome": "deny"},
        {"policies": []},
        {"policies": ["absent"]},
        {"valid_until": rfc3339(NOW)},
        {"attributes": changed(country="US")},
    ],
    ids=str,
)
def test_a_record_that_says_otherwise_is_not_the_same(
    instance: Instance, engine: Engine, wrong: dict[str, Any]
) -> None:
    keep(instance, engine)
    index = record(instance, details_of(engine, ALLOWED) | wrong)
    with instance.reader.connect() as reading:
        assert not replay_entry(reading, index).same


@pytest.mark.parametrize(
    "wrong", [{"reasons": ["revoked"]}, {"reasons": []}, {"outcome": "allow"}, {"policies": ["absent"]}], ids=str
)
def test_a_record_of_another_refusal_is_not_the_same(
    instance: Instance, engine: Engine, wrong: dict[str, Any]
) -> None:
    keep(instance, engine)
    index = record(instance, details_of(engine, changed(country="US")) | wrong)
    with instance.reader.connect() as reading:
        assert not replay_entry(reading, index).same


def test_what_came_after_the_policies_keeps_its_answer(instance: Instance, engine: Engine) -> None:
    keep(instance, engine)
    spent = details_of(engine, ALLOWED) | {"outcome": "deny", "reasons": ["budget-spent"]}
    del spent["valid_until"]
    index = record(instance, spent)
    with instance.reader.connect() as reading:
        replayed = replay_entry(reading, index)
    assert replayed.decision == Deny(("budget-spent",), ("file-grant",))
    assert replayed.same


def test_an_old_decision_is_made_by_its_old_policies(instance: Instance, engine: Engine) -> None:
    old = Engine(PolicySet(with_policy("country-not-allowed", None)))
    abroad = changed(country="US")
    for each in (old, engine):
        keep(instance, each)
    indexes = [record(instance, details_of(each, abroad)) for each in (old, engine)]
    with instance.reader.connect() as reading:
        outcomes = [replay_entry(reading, index) for index in indexes]
    assert [type(one.decision) for one in outcomes] == [Allow, Deny]
    assert all(one.same for one in outcomes)


def test_what_is_no_decision_can_not_be_replayed(instance: Instance, engine: Engine) -> None:
    keep(instance, engine)
    with instance.reader.connect() as reading, pytest.raises(Invalid) as caught:
        replay_entry(reading, 0)
    assert caught.value.code == "not-a-decision"
    unknown = record(instance, details_of(engine, ALLOWED, policy_hash="0" * 64))
    gone = record(instance, details_of(engine, ALLOWED))
    changed_payload = record(instance, details_of(engine, changed(country="US")))
    with instance.engine.begin() as connection:
        erased = update(entries).where(entries.c.idx == gone).values(payload=None, salt=None)
        connection.execute(erased)
        payload = connection.execute(select(entries.c.payload).where(entries.c.idx == changed_payload)).scalar_one()
        forged = payload.replace(b'"US"', b'"NL"')
        connection.execute(update(entries).where(entries.c.idx == changed_payload).values(payload=forged))
    with instance.reader.connect() as reading:
        with pytest.raises(NotFound, match="policies"):
            replay_entry(reading, unknown)
        with pytest.raises(NotFound, match="erased"):
            replay_entry(reading, gone)
        with pytest.raises(Corrupt):
            replay_entry(reading, changed_payload)
        with pytest.raises(Corrupt):
            replay_entry(reading, 999)


def test_a_kept_text_that_is_no_set_is_refused(instance: Instance, engine: Engine) -> None:
    """Its hash is right and it still is no set of policies: nothing is decided by it."""
    text = "{}"
    hashed = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with instance.engine.begin() as connection:
        connection.execute(delete(policy_sets))
        connection.execute(insert(policy_sets), [{"hash": hashed, "text": text}])
    index = record(instance, details_of(engine, ALLOWED, policy_hash=hashed))
    with instance.reader.connect() as reading, pytest.raises(Invalid):
        replay_entry(reading, index)
