"""`keten ask`: what is left of a budget, and asking its owner for more."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from keten.cli.options import Json
from keten.cli.output import Output
from keten.cli.supplier.commands import PANEL, Instance, login_of, session_of
from keten.cli.supplier.looking_up import chosen_of, shares_of
from keten.cli.surroundings import Surroundings
from keten.core.errors import Unavailable
from keten.core.ids import is_id


class _Line(msgspec.Struct, frozen=True):
    per: str
    records: int
    extra: int
    spent: int
    left: int
    until: str
    then: str = "stop"
    most: int = 0


class _Request(msgspec.Struct, frozen=True):
    id: str
    state: str
    records: int
    per: str
    asked: str
    extra: int = 0
    until: str = ""
    why: str = ""


class _Told(msgspec.Struct, frozen=True):
    budget: tuple[_Line, ...]
    entry: str
    request: _Request | None = None


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(rich_help_panel=PANEL)(ask)


def ask(
    ctx: typer.Context,
    share: Annotated[str, typer.Argument(metavar="SHARE", help="Its label or id.", show_default=False)],
    records: Annotated[int, typer.Option(metavar="N", min=0, help="How many records more.", show_default=False)] = 0,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; for the owner of the data.")] = "",
    case: Annotated[str, typer.Option(metavar="TEXT", help="The case that it is for.")] = "",
    instance: Instance = "",
    json: Json = False,
) -> None:
    """What is left of your budget, and what became of your request; with --records: ask the owner for more.

    One request at a time, and a few a day. What is allowed counts in the window that runs, and ends by itself.

    Example: keten ask jobseekers --records 200 --why "a second adviser works on the cases of March"
    """
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    if not records and (why or case):
        raise typer.BadParameter("Say with --records how many more.")
    if records and not why:
        raise typer.BadParameter("Say with --why what they are for.")
    chosen, _logins = login_of(surroundings, instance)
    session = session_of(ctx, chosen)
    wanted = share if is_id(share) else chosen_of(shares_of(session), share).id
    path = f"/v1/shares/{quote(wanted)}/more"
    if records:
        content = msgspec.json.encode({"records": records, "why": why, "case": case})
        answer = session.ask("POST", path, {"Content-Type": "application/json"}, content)
    else:
        answer = session.ask("GET", path)
    try:
        told = msgspec.json.decode(answer.body, type=_Told)
    except msgspec.MsgspecError as error:
        raise Unavailable("not-keten", "The instance's answer cannot be read.", str(error)) from error
    output.result(msgspec.to_builtins(told))
    for one in told.budget:
        more = f", {one.extra} of them on request" if one.extra else ""
        on = f"; then {one.then}, up to {one.most}" if one.most else ""
        output.line(f"per {one.per}: {one.left} of {one.records} records are left until {one.until}{more}{on}")
    if not told.budget:
        output.line("There is no budget: nothing runs out.")
    if told.request is not None:
        output.line(_said(told.request))
    output.line(f"Entry {told.entry}")


def _said(request: _Request) -> str:
    """A request in words."""
    asked = f"Your request of {request.asked} for {request.records} records more"
    return {
        "open": f"{asked} waits for the owner's answer.",
        "allowed": f"{asked} was allowed: {request.extra} more per {request.per}, until {request.until}.",
        "over": f"{asked} was allowed: {request.extra} more, until {request.until}; that is over.",
        "refused": f"{asked} was refused: {request.why}",
        "withdrawn": f"{asked} was allowed, and withdrawn.",
        "lapsed": f"{asked} was not answered within a week.",
    }.get(request.state, f"{asked}: {request.state}.")
