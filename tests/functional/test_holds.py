"""Legal holds, and destroying content by two people: what is held stays, what two agreed on goes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from keten.core.errors import Conflict, Denied
from keten.keeper import protocol as said
from keten.keeper.chores import REQUESTS_SECONDS
from keten.keeper.subject_protocol import Everything, HoldInfo, Holds, Outcome, ReleaseHold, Requests, SetHold
from tests.functional.operators import ANNA, BERT, Operators, within_reach

ALSO = "  - {id: too, dataset: clients-in-care, contract: vwo-1, purpose: election-cards, form: file, label: care}\n"
pytestmark = pytest.mark.timeout(400)  # whole commands of several users, one after the other


@pytest.fixture(scope="module")
def operators() -> Iterator[Operators]:
    with Operators() as made:
        made.start()
        yield made


def hold(operators: Operators, kind: str, target: str) -> str:
    return operators.ask(ANNA, "subjects.hold", SetHold(kind, target, "a case"), HoldInfo).id


def release(operators: Operators, hold_id: str) -> str:
    asked = operators.ask(ANNA, "subjects.release", ReleaseHold(hold_id, "closed"), Outcome)
    assert asked.request is not None
    return asked.request.id


def destroy(operators: Operators, kind: str, target: str, file: str = "") -> str:
    """Ask for it; the request."""
    body = said.Destroy(target, "a test", kind=kind, file=file)
    asked = operators.ask(ANNA, "revocation.destroy", body, said.Destroyed)
    assert asked.steps == []
    return asked.request


def test_what_is_held_is_neither_erased_nor_destroyed_nor_replaced(operators: Operators) -> None:
    town = operators.town
    held = operators.run(ANNA, "hold", "set", "contract", "vwo-2", "--reason", "case 31")["hold"]["id"]
    on_person = hold(operators, "subject", "dpo")
    refused = operators.command(ANNA, "destroy", "dataset", "clients-in-care", "--reason", "a test", "--yes")
    assert (refused.returncode, held in refused.stderr) == (2, True), refused.stderr
    for kind, target, file in (("object", "clients-in-care", "care.bin"), ("contract", "vwo-2", "")):
        with pytest.raises(Conflict, match=held):
            destroy(operators, kind, target, file)
    with pytest.raises(Conflict, match=on_person):
        operators.erase(ANNA, "dpo")
    other = operators.folder / "other" / "care.bin"
    other.parent.mkdir()
    other.write_bytes(b"other content")
    put = town.keten.command("put", "clients-in-care", str(other), "--replace")
    assert (put.returncode, "legal hold" in put.stderr) == (2, True)
    assert {one["id"] for one in operators.run(BERT, "hold", "list")["holds"]} == {held, on_person}

    # One person does not release it; two do.
    request = operators.run(ANNA, "hold", "release", held, "--reason", "closed")["request"]["id"]
    with pytest.raises(Denied):
        operators.approve(ANNA, request)
    assert operators.run(BERT, "subject", "refuse", request, "--reason", "not yet")["request"]["state"] == "refused"
    with pytest.raises(Conflict, match="refused"):
        operators.approve(BERT, request)
    assert [step["outcome"] for step in operators.approve(BERT, release(operators, held)).steps] == ["done"]
    left = operators.ask(BERT, "subjects.holds", Everything(), Holds).holds
    assert [one.id for one in left] == [on_person]
    kinds = [one["kind"] for one in operators.entries(kind="subjects")]
    assert [kinds.count(f"subjects.hold.{what}") for what in ("set", "released")] == [2, 1]
    operators.verified()


def test_content_is_destroyed_by_two(operators: Operators) -> None:
    town = operators.town
    carrier = town.carrier()
    care = carrier.shares()[0]["objects"][0]["id"]
    request = destroy(operators, "object", "clients-in-care", "care.bin")
    assert carrier.get(f"/v1/objects/{care}").status == 200
    with pytest.raises(Denied):
        operators.approve(ANNA, request)
    assert {step["outcome"] for step in within_reach(operators.approve(BERT, request).steps)} == {"done"}
    assert carrier.get(f"/v1/objects/{care}").status == 404
    left = operators.ask(BERT, "subjects.requests", Everything(), Requests).requests
    assert [one.id for one in left] == [], "it is done, also where nobody here can clean the server's files"


def test_a_contract_takes_what_it_alone_covers(operators: Operators) -> None:
    town = operators.town
    town.apply(
        extra="  - {id: voters-too, dataset: voters, contract: vwo-2, purpose: care-transport, form: file}\n",
    )
    town.keten.run("put", "clients-in-care", str(town.care))
    printer, carrier = town.printer(), town.carrier()
    voters = printer.shares()[0]["objects"][0]["id"]
    asked = operators.run(ANNA, "destroy", "contract", "vwo-2", "--reason", "a test", "--yes")
    answer = operators.approve(BERT, asked["request"])
    outcomes = {step["step"]: step["outcome"] for step in within_reach(answer.steps)}
    assert (outcomes["contract"], outcomes["clients-in-care: key"]) == ("done", "done")
    assert "not-done" not in outcomes.values()
    assert [step["detail"] for step in answer.steps if step["step"] == "kept"] == [
        "dataset voters: vwo-1 still uses it"
    ]
    assert carrier.shares() == []
    assert printer.get(f"/v1/objects/{voters}").status == 200
    operators.verified()


@pytest.mark.slow
def test_what_is_still_carried_out_takes_nothing_that_was_not_agreed() -> None:
    """A step that is not done keeps an act going; what another contract used when two agreed stays all the while."""
    with Operators() as operators:
        operators.start()
        operators.town.apply(extra=ALSO)
        beside = operators.town.keten.paths.database.with_name("keten.db.before-0000")
        beside.write_bytes(b"a copy that keeps a step from being done")
        done = operators.approve(BERT, destroy(operators, "contract", "vwo-2"))
        assert {step["step"]: step["outcome"] for step in done.steps}["copies"] == "not-done"
        operators.town.keten.run("revoke", "contract", "vwo-1", "--reason", "over")
        time.sleep(REQUESTS_SECONDS + 5)
        assert operators.entries(kind="vault.key.destroyed") == []
        beside.unlink()
        time.sleep(REQUESTS_SECONDS + 5)
        assert operators.ask(BERT, "subjects.requests", Everything(), Requests).requests == []
        assert operators.entries(kind="vault.key.destroyed") == []
