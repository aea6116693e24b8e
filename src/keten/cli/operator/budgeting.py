"""`keten budget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.keeper.budget_protocol import RequestInfo

Request = Annotated[str, typer.Argument(metavar="REQUEST", help="The id of the request.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    budget = typer.Typer(no_args_is_help=True, help="What clients may still receive, and what they ask for beyond it.")
    budget.command()(show)
    budget.command()(requests)
    budget.command()(allow)
    budget.command()(refuse)
    budget.command()(withdraw)
    app.add_typer(budget, name="budget")


def show(
    ctx: typer.Context,
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="A grant, by name or id; none for all.")] = "",
    home: Home = "",
    json: Json = False,
) -> None:
    """What each client may still receive, in each window that runs.

    Example: keten budget show lookup-for-drukwerk
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.budget_protocol import AskBudgets, Budgets

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("budgets.show", AskBudgets(grant), Budgets)
    output.result({"budgets": found.budgets, "cut": found.cut})
    rows = [
        (each.grant, each.client, one.per, one.records, one.extra, one.spent, one.left, one.until, one.then, one.most)
        for each in found.budgets
        for one in each.budget
    ]
    if rows:
        columns = ("grant", "client", "per", "records", "extra", "spent", "left", "until", "then", "most")
        output.table(columns, [tuple(str(value) for value in row) for row in rows])
    elif not json:
        output.say("No client has a budget there.")
    if found.cut:
        output.say("There are more clients than are shown; name a grant.")


def requests(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="One of them; none for all.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Answered ones as well.")] = False,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=1000, help="At most so many, the newest.")] = 100,
    home: Home = "",
    json: Json = False,
) -> None:
    """Who asks for more, and why. That somebody read it is recorded, for it is their own.

    Example: keten budget requests
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.budget_protocol import AskRequests, Requests

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    asked = AskRequests(request, ("open", "allowed", "refused", "withdrawn") if every else (), limit)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("budgets.requests", asked, Requests)
    output.result({"requests": found.requests, "entry": found.entry})
    for one in found.requests:
        output.line(f"{one.id}  {one.state}: {one.client} ({one.supplier}) asks for {one.records} more per {one.per}")
        for name, value in (
            ("grant", one.grant),
            ("dataset", f"{one.dataset}, of {one.owner or 'the organisation'}"),
            ("asked", one.asked),
            ("why", one.why),
            ("case", one.case),
            ("allowed", f"{one.extra} until {one.until}" if one.extra else ""),
            ("answer", one.answer),
            ("by", one.by),
        ):
            if value:
                output.line(f"  {name:10}{value}")
    if not found.requests and not json:
        output.say("There are no such requests.")


def allow(
    ctx: typer.Context,
    request: Request,
    records: Annotated[
        int, typer.Option(metavar="N", min=0, help="So many; as many as were asked for else.", show_default=False)
    ] = 0,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Until then (RFC 3339); to the end of the window else.")
    ] = "",
    home: Home = "",
    json: Json = False,
) -> None:
    """Allow more: to that client, under that grant, in the window that runs. It ends by itself.

    The supplier's budget, the dataset's breaker and the estate's ceiling stay as they are.

    Example: keten budget allow mfrggzdfmztwq2lknnwg23tpoa --records 100
    """
    until_us = 0
    if until:
        from keten.core.clock import from_rfc3339

        try:
            until_us = from_rfc3339(until)
        except ValueError as error:
            raise Invalid("until", "--until is a time with offset, such as 2026-11-29T18:00:00+01:00.") from error
    _answer(ctx, request, "allow", home, json=json, records=records, until_us=until_us)


def refuse(
    ctx: typer.Context,
    request: Request,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; the client is told.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Refuse a request. The client is told why.

    Example: keten budget refuse mfrggzdfmztwq2lknnwg23tpoa --why "ask the team that works on these cases"
    """
    _answer(ctx, request, "refuse", home, json=json, why=why)


def withdraw(ctx: typer.Context, request: Request, home: Home = "", json: Json = False) -> None:
    """End what was allowed before its time. What was received stays charged.

    Example: keten budget withdraw mfrggzdfmztwq2lknnwg23tpoa
    """
    _answer(ctx, request, "withdraw", home, json=json)


def _answer(  # what is answered, each by its name
    ctx: typer.Context,
    request: str,
    action: str,
    home: str,
    *,
    json: bool,
    records: int = 0,
    until_us: int = 0,
    why: str = "",
) -> None:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.budget_protocol import AnswerRequest, RequestAnswered

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    asked = AnswerRequest(request, action, records, until_us, why)
    with keeper(surroundings.instance(home)) as client:
        done = client.call("budgets.answer", asked, RequestAnswered)
    output.result({"request": done.request, "entry": done.entry})
    output.line(f"request {done.request.id}: {_became(done.request)}, entry {done.entry}")


def _became(one: RequestInfo) -> str:
    return f"{one.extra} records more per {one.per} until {one.until}" if one.state == "allowed" else one.state
