"""`keten hold …`: what must be kept, however long it takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings


class On(StrEnum):
    """What can be held."""

    SUBJECT = "subject"
    DATASET = "dataset"
    CONTRACT = "contract"


Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger: name nobody in it.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    hold = typer.Typer(no_args_is_help=True, help="Legal holds: what is neither erased nor destroyed.")
    hold.command("set")(set_)
    hold.command()(release)
    hold.command("list")(list_)
    app.add_typer(hold, name="hold")


def set_(
    ctx: typer.Context,
    kind: Annotated[On, typer.Argument(metavar="KIND", help="subject, dataset or contract.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="ID", help="Its name or id.", show_default=False)],
    reason: Reason,
    until: Annotated[str, typer.Option(metavar="TIME", help="Until then (a date, or a time); else with no end.")] = "",
    home: Home = "",
    json: Json = False,
) -> None:
    """Keep something for a dispute or an investigation: it is not erased, and no retention or command destroys it.

    A hold on a contract keeps the content of every dataset granted under it. Releasing it takes two people.

    Example: keten hold set dataset voters --reason "case 2026-31" --until 2027-12-31
    """
    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.register import names
    from keten.keeper.subject_protocol import HoldInfo, SetHold

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    until_us = 0
    if until:
        with names(settings) as (known, _engine):
            until_us = known.end("--until", until)
    with keeper(settings) as client:
        made = client.call("subjects.hold", SetHold(kind.value, target, reason, until_us), HoldInfo)
    output.result({"hold": made})
    output.line(_line(made))


def release(
    ctx: typer.Context,
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="The id of the hold.", show_default=False)],
    reason: Reason,
    home: Home = "",
    json: Json = False,
) -> None:
    """Ask for the release of a hold; two people sign at the console, or another operator ('keten subject approve').

    Example: keten hold release mfrggzdfmztwq2lknnwg23tpoa --reason "case closed"
    """
    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.signing import waits
    from keten.keeper.subject_protocol import Outcome, ReleaseHold

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client:
        asked = client.call("subjects.release", ReleaseHold(hold, reason), Outcome)
    output.result({"request": asked.request, "steps": asked.steps, "entry": asked.entry, "already": asked.already})
    if asked.request is not None and asked.request.state == "waiting":
        for line in waits(settings, asked.request.id, asked.request.people, "It stays in force"):
            output.line(line)
    output.steps(asked.steps)


def list_(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """The holds that nobody has released, those whose time is over too.

    Example: keten hold list
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.subject_protocol import Everything, HoldInfo, Holds

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found: list[HoldInfo] = client.call("subjects.holds", Everything(), Holds).holds
    output.result({"holds": found})
    for one in found:
        output.line(_line(one))
    if not found and not json:
        output.say("There are no holds.")


def _line(one: object) -> str:
    from keten.keeper.subject_protocol import HoldInfo

    if not isinstance(one, HoldInfo):
        raise TypeError("not a hold")
    until = f"until {one.until}" if one.until else "with no end"
    over = "" if one.in_force else "  OVER"
    return f"{one.id}  {one.kind} {one.name}  {until}{over}  set by {one.set_by} at {one.set}  ({one.reason})"
