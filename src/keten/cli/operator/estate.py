"""`keten apply`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output, say
from keten.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from keten.keeper.client import KeeperClient
    from keten.keeper.protocol import Applied
    from keten.suppliers.estate import Estate


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(apply)


def apply(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The estate file.", show_default=False)],
    home: Home = "",
    plan: Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, also when access ends.")] = False,
    json: Json = False,
) -> None:
    """Make the register match an estate file. All of it or, when anything is wrong with it, nothing.

    Mistakes are listed as FILE:LINE: reason. What is no longer in the file ends, for good; on a terminal that is
    asked first. A change holds, also for transfers under way, before the command returns.

    Example: keten apply estate.yaml --plan --home keten
    """
    from keten.cli.operator.keeping import keeper
    from keten.suppliers.reading import read_file

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    estate = read_file(file)
    with keeper(settings) as client:
        if plan:
            _show(output, _say(client, estate, plan_only=True))
            return
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            _ask(_say(client, estate, plan_only=True))
        applied = _say(client, estate)
    _show(output, applied, done=True)
    if applied.cut:
        output.line(f"{applied.cut} transfers and sessions under way were cut.")


def _say(client: KeeperClient, estate: Estate, *, plan_only: bool = False) -> Applied:
    import msgspec

    from keten.keeper.protocol import Applied, Apply
    from keten.suppliers.estate import encode

    return client.call("suppliers.apply", Apply(msgspec.Raw(encode(estate)), plan_only), Applied)


def _ask(planned: Applied) -> None:
    """Have a person agree before access of something ends."""
    from keten.suppliers.changes import ENDED, render

    if not any(one["change"] == ENDED for one in planned.changes):
        return
    for line in render(planned.changes):
        say(line)
    # Not typer's own question, which writes to stdout as well: that is for the result alone.
    sys.stderr.write("Access ends for good where a line begins with '-'. Apply? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "j", "ja"):
        say("Nothing was changed.")
        raise typer.Exit(exits.NO)


def _show(output: Output, applied: Applied, *, done: bool = False) -> None:
    from keten.suppliers.changes import render

    output.result({"changes": applied.changes, "ids": applied.ids, "cut": applied.cut})
    if not output.json:
        for line in render(applied.changes, done=done):
            output.line(line)
