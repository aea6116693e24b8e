"""`keten provider`."""

from __future__ import annotations

import typer

from keten.cli import exits
from keten.cli.operator.keeping import keeper
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(provider)


def provider(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """The OpenID Connect provider that staff sign in with: what it has to be given, and what is wrong.

    The worker asks it now, so the instance must run. Exit code 1 when something is wrong.

    Example: keten provider --home keten
    """
    from keten.keeper.provider_protocol import AskProvider, ProviderState

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("people.provider", AskProvider(), ProviderState)
    output.result(found)
    if not found.issuer:
        output.line("There is none: staff sign in with passkeys. [oidc] in keten.toml sets one.")
        return
    output.line(f"{'issuer':14} {found.issuer}")
    output.line(f"{'client id':14} {found.client_id}")
    for uri in found.redirect_uris:
        output.line(f"{'redirect URI':14} {uri}")
    if found.keys:
        output.line(f"{'Keten’s keys':14} {found.keys}")
    for problem in found.problems:
        output.line(f"✗ {problem}")
    if found.problems:
        raise typer.Exit(exits.NO)
    output.line("Nothing is wrong with it.")
