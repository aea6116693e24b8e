"""Legal holds, and destroying content by two people: what is held stays, what two agreed on goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.operators import ANNA, BERT, Operators

SECOND_GRANT = """  - {id: care-too, dataset: clients-in-care, contract: vwo-3, purpose: care-transport, form: file}
"""


@pytest.fixture(scope="module")
def operators() -> Iterator[Operators]:
    with Operators() as made:
        made.start()
        yield made


def approve(operators: Operators, request: str) -> set[str]:
    answer = operators.run(BERT, "subject", "approve", request, "--yes")
    return {step["outcome"] for step in answer["steps"]}


def test_what_is_held_is_neither_erased_nor_destroyed_nor_replaced(operators: Operators) -> None:
    town = operators.town
    held = operators.run(ANNA, "hold", "set", "contract", "vwo-2", "--reason", "case 31")["hold"]["id"]
    on_person = operators.run(ANNA, "hold", "set", "subject", "dpo", "--reason", "case 32")["hold"]["id"]
    for words in (
        ("destroy", "dataset", "clients-in-care"),
        ("destroy", "object", "clients-in-care", "care.bin"),
        ("destroy", "contract", "vwo-2"),
    ):
        refused = operators.command(ANNA, *words, "--reason", "a test", "--yes")
        assert (refused.returncode, held in refused.stderr) == (2, True), refused.stderr
    refused = operators.command(ANNA, "subject", "erase", "dpo", "--reason", "a test", "--yes")
    assert (refused.returncode, on_person in refused.stderr) == (2, True)
    other = operators.folder / "other" / "care.bin"
    other.parent.mkdir()
    other.write_bytes(b"other content")
    refused = town.keten.command("put", "clients-in-care", str(other), "--replace")
    assert (refused.returncode, "legal hold" in refused.stderr) == (2, True)
    assert {one["id"] for one in operators.run(BERT, "hold", "list")["holds"]} == {held, on_person}

    # One person does not release it; two do.
    request = operators.run(ANNA, "hold", "release", held, "--reason", "closed")["request"]["id"]
    assert operators.command(ANNA, "subject", "approve", request, "--yes").returncode == 1
    assert operators.run(BERT, "subject", "refuse", request, "--reason", "not yet")["request"]["state"] == "refused"
    assert operators.command(BERT, "subject", "approve", request, "--yes").returncode == 2
    request = operators.run(ANNA, "hold", "release", held, "--reason", "closed")["request"]["id"]
    assert approve(operators, request) == {"done"}
    assert [one["id"] for one in operators.run(BERT, "hold", "list")["holds"]] == [on_person]
    kinds = [one["kind"] for one in operators.entries("--kind", "subjects")]
    assert [kinds.count(f"subjects.hold.{what}") for what in ("set", "released")] == [2, 1]
    operators.verified()


def test_content_is_destroyed_by_two(operators: Operators) -> None:
    town = operators.town
    carrier = town.carrier()
    care = carrier.shares()[0]["objects"][0]["id"]
    asked = operators.run(ANNA, "destroy", "object", "clients-in-care", "care.bin", "--reason", "a test", "--yes")
    assert asked["steps"] == []
    assert carrier.get(f"/v1/objects/{care}").status == 200
    assert operators.command(ANNA, "subject", "approve", asked["request"], "--yes").returncode == 1
    assert approve(operators, asked["request"]) == {"done"}
    assert carrier.get(f"/v1/objects/{care}").status == 404
    operators.verified()


def test_a_contract_takes_what_it_alone_covers(operators: Operators) -> None:
    town = operators.town
    town.apply(
        extra="  - {id: voters-too, dataset: voters, contract: vwo-2, purpose: care-transport, form: file}\n",
    )
    town.keten.run("put", "clients-in-care", str(town.care))
    printer, carrier = town.printer(), town.carrier()
    voters = printer.shares()[0]["objects"][0]["id"]
    asked = operators.run(ANNA, "destroy", "contract", "vwo-2", "--reason", "a test", "--yes")
    answer = operators.run(BERT, "subject", "approve", asked["request"], "--yes")
    outcomes = {step["step"]: step["outcome"] for step in answer["steps"]}
    assert (outcomes["contract"], outcomes["clients-in-care: key"]) == ("done", "done")
    assert "not-done" not in outcomes.values()
    assert [step["detail"] for step in answer["steps"] if step["step"] == "kept"] == [
        "dataset voters: vwo-1 still uses it"
    ]
    assert carrier.shares() == []
    assert printer.get(f"/v1/objects/{voters}").status == 200
    operators.verified()
