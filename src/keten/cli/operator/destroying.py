"""`keten destroy`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output, say
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.keeper.protocol import DestroyedDataset


class Kind(StrEnum):
    """What can be destroyed."""

    DATASET = "dataset"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(destroy)


def destroy(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="What is destroyed: dataset.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="ID", help="Its name or id.", show_default=False)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger.", show_default=False)],
    home: Home = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")] = False,
    json: Json = False,
) -> None:
    """Destroy a dataset's key and all of its content, for ever. Nothing brings it back: no estate file, no restart.

    Downloads of it are cut before the command returns. Copies that suppliers fetched are theirs, and a backup from
    before holds content and key as they were. On a terminal it asks for the dataset's name first. Prints each step;
    exit code 3 when one is not done.

    Example: keten destroy dataset voters --reason "the election is over"
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.protocol import Destroy, DestroyedDataset

    del kind  # there is one
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Invalid("not-confirmed", "This cannot be undone. It is asked on a terminal; elsewhere say --yes.")
    with keeper(settings) as client:
        if not yes:
            _ask(client.call("revocation.destroy", Destroy(target, reason, plan_only=True), DestroyedDataset))
        destroyed = client.call("revocation.destroy", Destroy(target, reason), DestroyedDataset)
    output.result(
        {
            "id": destroyed.id,
            "objects": destroyed.objects,
            "steps": destroyed.steps,
            "entry": destroyed.entry,
            "already": destroyed.already,
        }
    )
    output.steps(destroyed.steps)


def _ask(planned: DestroyedDataset) -> None:
    """Have a person type the name of what is lost."""
    if planned.already:
        return
    files = "1 file" if planned.objects == 1 else f"{planned.objects} files"
    say(f"The dataset {planned.name} holds {files}. Its key and content will be gone for ever, and nothing of it")
    say("can be shared again, by any estate file.")
    sys.stderr.write("Type its name to destroy it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != planned.name:
        say("Nothing was destroyed.")
        raise typer.Exit(exits.NO)
