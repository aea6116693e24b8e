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
    from keten.keeper.protocol import Destroyed


class Kind(StrEnum):
    """What can be destroyed."""

    DATASET = "dataset"
    OBJECT = "object"
    CONTRACT = "contract"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(destroy)


def destroy(
    ctx: typer.Context,
    kind: Annotated[
        Kind, typer.Argument(metavar="KIND", help="What is destroyed: dataset, object, contract.", show_default=False)
    ],
    target: Annotated[
        str, typer.Argument(metavar="ID", help="Its name or id; of an object, its dataset's.", show_default=False)
    ],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="Of an object: name or id.", show_default=False)] = "",
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger.", show_default=False)],
    home: Home = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")] = False,
    json: Json = False,
) -> None:
    """Destroy keys and content, for ever: a dataset, one file of it, or all that a contract alone covers.

    Nothing brings it back: no estate file, no restart. Downloads of it are cut before the command returns. Copies that
    suppliers fetched are theirs, and a backup from before holds content and key as they were. A contract is ended, and
    datasets that another one still uses stay. What a legal hold is on is not destroyed. On a terminal it asks for the
    name first. Once two of the organisation's own people have a passkey, this only asks for it, and two of them sign at
    the console. Before that, where there are two operators, another one approves ('keten subject approve'). Prints each
    step; exit code 3 when one is not done.

    Example: keten destroy dataset voters --reason "the election is over"

    Example: keten destroy object voters list.csv --reason "wrong file"
    """
    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.signing import waits
    from keten.keeper.protocol import Destroy, Destroyed

    if bool(file) != (kind is Kind.OBJECT):
        raise Invalid("file", "Say which file for an object (keten destroy object DATASET FILE), and only for that.")
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Invalid("not-confirmed", "This cannot be undone. It is asked on a terminal; elsewhere say --yes.")
    with keeper(settings) as client:
        if not yes:
            planned = Destroy(target, reason, plan_only=True, kind=kind.value, file=file)
            _ask(kind, client.call("revocation.destroy", planned, Destroyed))
        body = Destroy(target, reason, kind=kind.value, file=file)
        destroyed = client.call("revocation.destroy", body, Destroyed)
    output.result(
        {
            "id": destroyed.id,
            "objects": destroyed.objects,
            "steps": destroyed.steps,
            "entry": destroyed.entry,
            "already": destroyed.already,
            "request": destroyed.request,
            "people": destroyed.people,
        }
    )
    if destroyed.request:
        for line in waits(settings, destroyed.request, destroyed.people, "Asked for. Nothing is destroyed"):
            output.line(line)
    output.steps(destroyed.steps)


def _ask(kind: Kind, planned: Destroyed) -> None:
    """Have a person type the name of what is lost."""
    if planned.already:
        return
    files = "1 file" if planned.objects == 1 else f"{planned.objects} files"
    if kind is Kind.OBJECT:
        say(f"The file {planned.name}: its key and content will be gone for ever.")
    elif kind is Kind.CONTRACT:
        say(f"The contract {planned.name} ends, and {files} that it alone covers will be gone, for ever.")
        for kept in planned.kept:
            say(f"It stays: {kept}.")
    else:
        say(f"The dataset {planned.name} holds {files}. Its key and content will be gone for ever, and nothing of it")
        say("can be shared again, by any estate file.")
    sys.stderr.write("Type its name to destroy it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != planned.name:
        say("Nothing was destroyed.")
        raise typer.Exit(exits.NO)
