"""A person of a supplier asks for more than its budget, and the owner answers as a system's request is answered."""

from __future__ import annotations

from pathlib import Path

from keten.keeper import protocol as said
from keten.keeper.budget_protocol import AnswerRequest, AskBudgets, AskRequests
from tests.fault.keeper_inside import Inside, run
from tests.fault.test_people_at_the_door import PERSON, WITH_PERSON, Planner
from tests.town import Town

TOURS = "  - {id: tours, dataset: clients-in-care, contract: vwo-2, purpose: care-transport, form: file, label: tours, "
BUDGETED = TOURS + "budget: {records: 3, per: day}}\n"


def test_it_asks_and_is_answered(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        applied: said.Applied = await inside.apply(instead=WITH_PERSON, extra=BUDGETED)
        planner = Planner(inside, await inside.gateway(), applied.ids["person"][PERSON])
        await planner.sign_in()
        (share,) = [one for one in (await planner.shares()).shares if one.label == "tours"]
        told: said.MoreTold = await planner.gateway.ask(
            "budgets.more", said.AskMore(planner.caller(), share.id, 5, "a second tour")
        )
        assert told.request is not None
        (request,) = (await inside.operator.ask("budgets.requests", AskRequests())).requests
        assert (request.client, request.why, request.records) == (PERSON, "a second tour", 5)
        allowed = await inside.operator.ask("budgets.answer", AnswerRequest(request.id, "allow"))
        assert (allowed.request.state, allowed.request.extra) == ("allowed", 5)
        shown = (await inside.operator.ask("budgets.show", AskBudgets("tours"))).budgets
        assert {(one.client, one.budget[0].records) for one in shown} == {(PERSON, 8), ("zorgvervoer-batch", 3)}

    run(stopped, tmp_path, testing)
