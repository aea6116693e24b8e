"""How a plan reads."""

from __future__ import annotations

from typing import Any

import pytest

from keten.suppliers.changes import render, summaries
from tests.unit.suppliers.instances import ESTATE, Instance, key_line


def rendered(instance: Instance, estate: str) -> list[str]:
    plan = instance.plan(estate)
    return render(summaries(plan.changes, plan.names))


def test_a_first_plan_reads_like_the_estate(instance: Instance) -> None:
    lines = rendered(instance, ESTATE)
    text = "\n".join(lines)
    assert lines[0] == "+ organisation Gemeente Voorbeeld"
    assert (
        "+ contract vwo-2026-014\n"
        "    supplier: drukwerk\n"
        "    starts: 2026-01-01\n"
        "    ends: 2026-12-31\n"
        "    purposes: [election-cards]\n"
        "    countries: [BE, NL]\n"
        "    notify_within_hours: 24\n"
    ) in text
    assert (
        "+ grant voters-for-drukwerk\n"
        "    dataset: voters\n"
        "    contract: vwo-2026-014\n"
        "    purpose: election-cards\n"
        "    form: file\n"
        "    to: [drukwerk-batch]\n"
        "    budget: {records: 250000, per: day}\n"
        "    label: election-cards\n"
    ) in text
    assert "+ person dpo\n    roles: [privacy-officer]\n    email: (not shown)\n" in text
    assert "    keys: [SHA256:" in text
    assert lines[-1] == "10 to declare."


def test_what_was_done_reads_as_done() -> None:
    made: list[dict[str, Any]] = [
        {"kind": "dataset", "name": "voters", "id": "", "change": "declared", "fields": {}},
        {"kind": "dataset", "name": "pupils", "id": "", "change": "ended", "fields": {}},
    ]
    assert render(made, done=True) == [
        "+ dataset voters",
        "- dataset pupils: no longer in the estate; access ended, for good",
        "1 declared, 1 ended.",
    ]
    assert render([], done=True) == ["Nothing was changed: the register is what the estate says."]


def test_every_sort_of_change_reads_as_such(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    instance.end("client", ids["client"]["vervoer-app"], "key leaked")
    wanted = (
        ESTATE.replace("ends: 2026-12-31", "ends: 2027-12-31")
        .replace("    to: [drukwerk-batch]\n", "")
        .replace("dpo@gemeente.example", "fg@gemeente.example")
        .replace("    people:  [{id: drukwerk-ops, email: ops@drukwerk.example}]\n", "")
    )
    wanted += "  - {id: second, dataset: voters, contract: vwo-2026-014, purpose: election-cards, form: file}\n"
    lines = rendered(instance, wanted)
    ended = instance.register().named("client", "vervoer-app")
    assert ended is not None
    assert ended.ended is not None
    assert lines == [
        "~ person dpo",
        "    email: (not shown) -> (not shown)",
        "- person drukwerk-ops: no longer in the estate; access ends, for good",
        "! client vervoer-app: stays ended (2026-01-01T00:00:02.000000Z: key leaked); only a new id gives access again",
        "~ contract vwo-2026-014",
        "    ends: 2026-12-31 -> 2027-12-31",
        "~ grant voters-for-drukwerk",
        "    to: [drukwerk-batch] -> everyone of the supplier",
        "+ grant second",
        "    dataset: voters",
        "    contract: vwo-2026-014",
        "    purpose: election-cards",
        "    form: file",
        "    to: everyone of the supplier",
        "    budget: no limit",
        "    label: election-cards",
        "1 to declare, 3 to change, 1 to end, 1 stay ended.",
    ]


def test_nothing_to_do_reads_as_such(instance: Instance) -> None:
    instance.apply(ESTATE)
    assert rendered(instance, ESTATE) == ["Nothing to change: the register is what the estate says."]


def test_keys_are_shown_by_their_fingerprints(instance: Instance) -> None:
    instance.apply(ESTATE)
    (first, second, _count) = rendered(instance, ESTATE.replace(key_line("batch"), key_line("other")))
    assert first == "~ client drukwerk-batch"
    assert second.startswith("    keys: [SHA256:")
    assert key_line("other").split()[1] not in second


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\u202e"])
def test_a_line_cannot_steer_a_terminal(hostile: str) -> None:
    change: dict[str, Any] = {
        "kind": "supplier",
        "name": "x",
        "id": "",
        "change": "changed",
        "fields": {"name": ["x", hostile]},
    }
    kept = change | {"change": "kept-ended", "fields": {"ended": [hostile, hostile]}}
    lines = render([change, kept])
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
