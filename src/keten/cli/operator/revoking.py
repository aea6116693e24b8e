"""`keten revoke`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings


class Kind(StrEnum):
    """What can be revoked."""

    SUPPLIER = "supplier"
    CONTRACT = "contract"
    PERSON = "person"
    CLIENT = "client"
    GRANT = "grant"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(revoke)


def revoke(
    ctx: typer.Context,
    kind: Annotated[
        Kind, typer.Argument(metavar="KIND", help="supplier, contract, person, client or grant.", show_default=False)
    ],
    target: Annotated[str, typer.Argument(metavar="ID", help="Its name or id.", show_default=False)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """End access now, for good, everywhere: transfers under way are cut before the command returns.

    Prints each step. Exit code 3 when a gateway has not confirmed that it cut what was under way.

    Example: keten revoke client drukwerk-batch --reason "laptop stolen"
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.protocol import Revoke, Revoked

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client:
        revoked = client.call("revocation.revoke", Revoke(kind.value, target, reason), Revoked)
    output.result({"id": revoked.id, "steps": revoked.steps, "entry": revoked.entry, "already": revoked.already})
    output.steps(revoked.steps)
