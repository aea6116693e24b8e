"""Decisions on the register's rows: found and decided."""

import random
from typing import Any

import pytest

from keten.core.clock import SECOND
from keten.core.errors import Corrupt, Unavailable
from keten.datasets.model import Dataset
from keten.identity.model import Client
from keten.policy import service as service_module
from keten.policy.engine import Engine
from keten.policy.model import Allow, Deny
from keten.policy.service import Decisions, replay
from keten.policy.slices import MAX_MISMATCH, attributes_of, candidate
from keten.policy.slices import Asked as Question
from keten.suppliers.model import Supplier
from tests.unit.policy.asking import Counting, ask, reasons
from tests.unit.policy.worlds import (
    ALLOWED,
    CLIENT,
    CONTRACT,
    DATASET,
    DAY,
    END,
    ENDED,
    GRANT,
    NOW,
    OTHER,
    PERSON,
    START,
    SUPPLIER,
    World,
    made_id,
)

# ---- what is asked of the register -----------------------------------------------------------------------------------


def test_an_allowed_access_names_everything_it_rests_on(decisions: Decisions, world: World, engine: Engine) -> None:
    outcome = ask(decisions, object_expires_us=NOW + DAY)
    assert outcome.attributes == ALLOWED
    assert outcome.decision == Allow(NOW + DAY, ("file-grant",))
    assert outcome.grant == world.rows[GRANT]
    assert outcome.policy_hash == engine.hash


CHANGES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (CLIENT, {"ended": ENDED}, ("revoked", "client-ended")),
    (SUPPLIER, {"ended": ENDED}, ("revoked", "supplier-ended")),
    (DATASET, {"ended": ENDED}, ("revoked", "dataset-ended")),
    (DATASET, {"classification": "secret"}, ("classification-not-allowed",)),
    (DATASET, {"classification": "new"}, ("classification-not-allowed",)),
    (CONTRACT, {"ended": ENDED}, ("revoked",)),
    (CONTRACT, {"ends_us": NOW}, ("contract-ended",)),
    (CONTRACT, {"starts_us": NOW + 1}, ("contract-not-started",)),
    (CONTRACT, {"purposes": ("care",)}, ("purpose-not-covered",)),
    (CONTRACT, {"countries": ("BE",)}, ("country-not-allowed",)),
    (GRANT, {"ended": ENDED}, ("revoked",)),
    (GRANT, {"form": "lookup"}, ("form-not-file",)),
    (GRANT, {"to": (OTHER,)}, ("not-addressed",)),
    (GRANT, {"purpose": "care"}, ("purpose-not-covered",)),
    (CONTRACT, {"supplier": made_id(99)}, ("register-mismatch",)),
    (GRANT, {"contract": made_id(99)}, ("register-mismatch",)),
    (CLIENT, {"supplier": made_id(99)}, ("register-mismatch",)),
    (DATASET, {"id": made_id(99)}, ("register-mismatch",)),
]


@pytest.mark.parametrize(("row", "fields", "expected"), CHANGES)
def test_a_change_in_the_register_is_seen_at_once(
    decisions: Decisions, world: World, row: str, fields: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert isinstance(ask(decisions).decision, Allow)
    before = world.rows[row]
    world.change(row, **fields)
    if "id" in fields:  # the row that is found under an id is another
        world.rows[row] = world.rows.pop(fields["id"])
    assert reasons(ask(decisions)) == expected
    world.put(before)
    assert isinstance(ask(decisions).decision, Allow)


def test_everyone_of_the_supplier(decisions: Decisions, world: World) -> None:
    assert reasons(ask(decisions, client_id=OTHER)) == ("not-addressed",)
    world.change(GRANT, to=())
    for someone in (CLIENT, OTHER, PERSON):
        assert isinstance(ask(decisions, client_id=someone).decision, Allow)
    stranger = made_id(50)
    world.put(Supplier(id=made_id(51), name="care", title="Care", country="NL", tier="low"))
    world.put(Client(id=stranger, name="care-batch", supplier=made_id(51), keys=()))
    assert reasons(ask(decisions, client_id=stranger)) == ("no-grant",)


def test_the_organisations_own_people_have_no_grant(decisions: Decisions, world: World) -> None:
    world.change(PERSON, supplier="")
    outcome = ask(decisions, client_id=PERSON)
    assert reasons(outcome) == ("no-grant",)
    assert outcome.attributes.supplier_active
    world.change(PERSON, ended=ENDED)
    assert reasons(ask(decisions, client_id=PERSON)) == ("revoked", "client-ended")
    world.change(GRANT, supplier="", to=())
    assert reasons(ask(decisions, client_id=PERSON)) == ("register-mismatch",)


@pytest.mark.parametrize("purpose", ["care", "election-cards ", "Election-cards", "\0"])
def test_a_purpose_that_no_grant_is_for(decisions: Decisions, purpose: str) -> None:
    outcome = ask(decisions, purpose=purpose)
    assert reasons(outcome) == ("purpose-not-covered",)
    assert outcome.attributes.purpose == purpose


def test_the_purpose_of_the_grant_is_recorded(decisions: Decisions) -> None:
    assert ask(decisions).attributes.purpose == "election-cards"
    assert isinstance(ask(decisions, purpose="election-cards").decision, Allow)


@pytest.mark.parametrize("action", ["", "delete", "OPEN", "list\0"])
def test_an_unknown_action_is_refused(decisions: Decisions, action: str) -> None:
    assert reasons(ask(decisions, action=action)) == ("policy-error",)


def test_a_contract_that_starts_at_the_epoch_has_started(decisions: Decisions, world: World) -> None:
    """0 means "not known" in a slice, so the row's 0 is said as the first microsecond."""
    world.change(CONTRACT, starts_us=0)
    assert isinstance(ask(decisions).decision, Allow)


# ---- several grants --------------------------------------------------------------------------------------------------


def test_the_grant_that_holds_longest_is_used(decisions: Decisions, world: World) -> None:
    world.put(world.contract_row(made_id(60), ends_us=END + DAY))
    world.put(world.grant_row(made_id(61), contract=made_id(60)))
    world.put(world.contract_row(made_id(62), ends_us=NOW + 1))
    world.put(world.grant_row(made_id(63), contract=made_id(62)))
    outcome = ask(decisions)
    assert outcome.grant == world.rows[made_id(61)]
    assert outcome.decision == Allow(END + DAY, ("file-grant",))


def test_one_good_grant_is_found_among_a_thousand_bad_ones(decisions: Decisions, world: World) -> None:
    bad: list[dict[str, Any]] = [
        {"ended": ENDED},
        {"form": "release"},
        {"to": (OTHER,)},
        {"purpose": "care"},
    ]
    for number in range(1000):
        world.put(world.grant_row(made_id(1000 + number), **bad[number % 4]))
    assert ask(decisions).grant == world.rows[GRANT]
    assert len(decisions.shares(CLIENT, "NL", NOW)) == 501  # not those that ended or are addressed to others
    world.change(GRANT, ended=ENDED)
    assert isinstance(ask(decisions).decision, Deny)


def test_the_refusal_is_that_of_the_grant_that_comes_closest(decisions: Decisions, world: World) -> None:
    world.put(world.grant_row(made_id(70), ended=ENDED))
    world.put(world.grant_row(made_id(71), to=(OTHER,)))
    outcome = ask(decisions, country="US")
    assert reasons(outcome) == ("country-not-allowed",)
    assert outcome.grant == world.rows[GRANT]


@pytest.mark.parametrize("most", [1, 4])
def test_any_grant_that_allows_is_found(
    world: World, counting: Counting, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """On random registers: allowed if and only if some grant by itself is, and then as long as the longest.

    Also when only the first candidate is decided upon: the order alone finds it.
    """
    monkeypatch.setattr(service_module, "MAX_CANDIDATES", most)
    chance = random.Random(7)
    allowed = 0
    for round_ in range(150):
        world.rows = World().rows
        world.remove(GRANT)
        for number in range(chance.randint(1, 6)):
            world.put(
                world.contract_row(
                    made_id(100 + number),
                    starts_us=chance.choice([START, NOW, NOW + 1]),
                    ends_us=chance.choice([NOW, NOW + 1, END, END + 1]),
                    purposes=chance.choice([("care",), ("care", "election-cards"), ("care", "election-cards")]),
                    countries=chance.choice([(), ("NL",), ("BE", "NL"), ("BE",)]),
                    ended=chance.choice([None, None, None, None, ENDED]),
                )
            )
            world.put(
                world.grant_row(
                    made_id(200 + number),
                    contract=made_id(100 + number),
                    purpose=chance.choice(["care", "election-cards"]),
                    form=chance.choice(["file", "file", "file", "lookup"]),
                    to=chance.choice([(), (CLIENT,), (OTHER,)]),
                    ended=chance.choice([None, None, None, None, ENDED]),
                )
            )
        purpose = chance.choice(["", "care", "election-cards"])
        question = Question(CLIENT, DATASET, "open", "NL", NOW, purpose)
        each = [
            counting.decide(
                attributes_of(
                    question,
                    world.rows[CLIENT],
                    world.rows[SUPPLIER],
                    world.rows[DATASET],
                    candidate(grant, world.contract(grant.contract)),
                )
            )
            for grant in world.grants(DATASET, SUPPLIER)
        ]
        longest = max((one.valid_until_us for one in each if isinstance(one, Allow)), default=None)
        outcome = ask(Decisions(world, counting), purpose=purpose)
        if longest is None:
            assert outcome.decision in each, round_
        else:
            assert outcome.decision == Allow(longest, ("file-grant",)), round_
            allowed += 1
    assert 20 < allowed < 130


# ---- absent, and rows that do not hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [made_id(404), "", "voters", "x" * 10_000, "../../etc", "\ud800", "\0", 'a"b'])
def test_what_is_absent_is_refused_like_nothing_else(decisions: Decisions, odd: str) -> None:
    for outcome in (ask(decisions, dataset_id=odd), ask(decisions, client_id=odd)):
        assert outcome.decision == Deny(("absent",), ("absent",))
        assert outcome.grant is None
        assert outcome.attributes.grant == outcome.attributes.contract == ""
        assert {outcome.attributes.principal, outcome.attributes.dataset} <= {CLIENT, DATASET, made_id(404), ""}


def test_absent_takes_the_same_work_as_forbidden(decisions: Decisions, world: World, counting: Counting) -> None:
    """The same reads and one decision, whether a dataset is another's or is not there at all (law 8)."""
    world.put(Dataset(id=made_id(80), name="x", owner="", classification="public", retention_days=0))
    work = []
    for dataset_id in (made_id(80), made_id(404), ""):
        world.reads = 0
        counting.decided.clear()
        outcome = ask(decisions, dataset_id=dataset_id)
        assert isinstance(outcome.decision, Deny)
        work.append((world.reads, len(counting.decided)))
    assert work[0] == work[1] == work[2]


@pytest.mark.parametrize("row", [CLIENT, SUPPLIER, DATASET, CONTRACT, GRANT])
def test_a_row_that_does_not_match_the_ledger_is_a_refusal(decisions: Decisions, world: World, row: str) -> None:
    world.damaged.add(row)
    outcome = ask(decisions)
    assert outcome.decision == Deny(("register-mismatch",), ("register-mismatch",))
    assert row in outcome.attributes.mismatch
    assert outcome.attributes.principal == CLIENT
    assert replay(outcome.attributes, Engine().text) == outcome.decision


def test_other_damage_is_the_callers_to_deny(
    decisions: Decisions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (Corrupt("database-damaged", "It is damaged."), Unavailable("database", "It is gone.")):

        def failing(_id: str, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(world, "contract", failing)
        with pytest.raises(type(error)):
            ask(decisions)
        monkeypatch.undo()
    assert isinstance(ask(decisions).decision, Allow)


def test_a_mismatch_elsewhere_is_a_refusal_too(decisions: Decisions) -> None:
    outcome = decisions.mismatch(CLIENT, "open", "NL", NOW, "table objects, row " + "x" * 1000)
    assert outcome.decision == Deny(("register-mismatch",), ("register-mismatch",))
    assert outcome.attributes.mismatch.startswith("table objects")
    assert len(outcome.attributes.mismatch) == MAX_MISMATCH
    assert reasons(decisions.mismatch(CLIENT, "open", "NL", NOW, "")) == ("register-mismatch",)


# ---- listing and explaining ------------------------------------------------------------------------------------------


def test_shares_are_decided_grant_by_grant(decisions: Decisions, world: World) -> None:
    world.put(Dataset(id=made_id(80), name="x", owner="", classification="secret", retention_days=0))
    world.put(world.grant_row(made_id(81), dataset=made_id(80), to=()))
    world.put(world.grant_row(made_id(82), to=(OTHER,)))
    world.put(world.grant_row(made_id(83), ended=ENDED))
    world.put(world.grant_row(made_id(84), dataset=made_id(404)))
    found = {outcome.grant.id: outcome for outcome in decisions.shares(CLIENT, "NL", NOW) if outcome.grant}
    assert set(found) == {GRANT, made_id(81), made_id(84)}
    assert found[GRANT].decision == Allow(END, ("file-grant",))
    assert reasons(found[made_id(81)]) == ("classification-not-allowed",)
    assert reasons(found[made_id(84)]) == ("register-mismatch",)
    assert found[made_id(84)].attributes.dataset == made_id(404)
    assert made_id(84) in found[made_id(84)].attributes.mismatch


def test_shares_of_nobody_and_of_a_damaged_client(decisions: Decisions, world: World) -> None:
    assert [reasons(one) for one in decisions.shares(made_id(404), "NL", NOW)] == [("absent",)]
    world.damaged.add(CLIENT)
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW)] == [("register-mismatch",)]


def test_one_damaged_row_hides_only_its_own_share(decisions: Decisions, world: World) -> None:
    world.put(world.contract_row(made_id(60)))
    world.put(world.grant_row(made_id(61), contract=made_id(60)))
    world.damaged.add(made_id(60))
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW)] == [(), ("register-mismatch",)]


def test_shares_end_and_change_like_accesses(decisions: Decisions, world: World, counting: Counting) -> None:
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW)] == [()]
    (again,) = decisions.shares(CLIENT, "NL", NOW + 5)
    assert again.attributes.time_us == NOW + 5
    assert len(counting.decided) == 1
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", END)] == [("contract-ended",)]
    world.change(GRANT, ended=ENDED)
    assert decisions.shares(CLIENT, "NL", NOW) == ()
    world.reads = 0
    assert decisions.shares(CLIENT, "NL", NOW + SECOND - 1) == ()
    assert world.reads == 0


def test_a_listing_holds_until_the_first_of_its_ends(decisions: Decisions, world: World) -> None:
    world.put(world.contract_row(made_id(60), ends_us=NOW + 10))
    world.put(world.grant_row(made_id(61), contract=made_id(60)))
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW)] == [(), ()]
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW + 9)] == [(), ()]
    assert [reasons(one) for one in decisions.shares(CLIENT, "NL", NOW + 10)] == [(), ("contract-ended",)]


def test_a_decision_is_explained_in_both_languages(decisions: Decisions, world: World, engine: Engine) -> None:
    allowed, refused = ask(decisions), ask(decisions, country="US", client_id=OTHER)
    assert decisions.explain(allowed) == {"file-grant": engine.sentences["file-grant"]}
    assert list(decisions.explain(refused)) == ["not-addressed", "country-not-allowed"]
    world.change(CLIENT, ended=ENDED)
    assert decisions.explain(ask(decisions)) == {"client-ended": engine.sentences["client-ended"]}
    broken = decisions.explain(ask(decisions, action="delete"))
    assert set(broken) == {"policy-error"}
    assert all(set(both) == {"en", "nl"} for both in broken.values())
