"""`keten confirm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings

if TYPE_CHECKING:
    import msgspec

    from keten.keeper.rights_protocol import Unconfirmed


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    confirm = typer.Typer(
        no_args_is_help=True, help="Grants and roles that somebody has to confirm again and again, or they lapse."
    )
    confirm.command("list")(waiting)
    confirm.command()(grant)
    confirm.command()(role)
    app.add_typer(confirm, name="confirm")


def waiting(
    ctx: typer.Context,
    days: Annotated[
        int, typer.Option(metavar="DAYS", min=0, max=3650, help="What has to be confirmed within so many days.")
    ] = 30,
    home: Home = "",
    json: Json = False,
) -> None:
    """What has to be confirmed before long, and what nobody confirmed in time.

    How often is in the estate file: confirm_grants_days and confirm_roles_days of the organisation, confirm_days of a
    dataset. A lapsed grant gives no access; it can be confirmed for a month more, and then ends for good.

    Example: keten confirm list --days 60
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.rights_protocol import AskUnconfirmed, Unconfirmeds

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("rights.unconfirmed", AskUnconfirmed(soon_days=days), Unconfirmeds)
    output.result({"rights": found.rights, "cut": found.cut, "broken": found.broken})
    if found.rights:
        columns = ("what", "name", "of", "for", "may confirm it", "last used", "until")
        output.table(columns, [_row(one) for one in found.rights])
    elif not json:
        output.say(f"Nothing has to be confirmed within {days} days.")
    if found.cut:
        output.say("There are more than are shown; confirm these first.")
    if found.broken:
        output.say(f"{found.broken} rows are not what the ledger says, and are left out: keten ledger verify")


def grant(
    ctx: typer.Context,
    grants: Annotated[list[str], typer.Argument(metavar="GRANT...", help="Grants, by name or id.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Say that grants are still needed: they count for as many days more, from now. All of them, or none.

    What is not needed any more is ended: keten revoke grant NAME.

    Example: keten confirm grant payslips-for-drukwerk
    """
    from keten.keeper.rights_protocol import ConfirmGrants

    _confirmed(ctx, "grant", "rights.confirm_grants", ConfirmGrants(tuple(grants)), home, json=json)


def role(
    ctx: typer.Context,
    people: Annotated[list[str], typer.Argument(metavar="PERSON...", help="By name or id.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Say that the roles of people are still needed: they count for as many days more, from now. All, or none.

    Example: keten confirm role jansen
    """
    from keten.keeper.rights_protocol import ConfirmRoles

    _confirmed(ctx, "person", "rights.confirm_roles", ConfirmRoles(tuple(people)), home, json=json)


def _confirmed(
    ctx: typer.Context, kind: str, verb: str, asked: msgspec.Struct, home: str, *, json: bool
) -> None:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.rights_protocol import RightsConfirmed

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        done = client.call(verb, asked, RightsConfirmed)
    output.result({"entries": done.entries})
    for name, entry in done.entries.items():
        output.line(f"{kind} {name}: confirmed, entry {entry}")


def _row(one: Unconfirmed) -> tuple[str, ...]:
    of = one.supplier or "the organisation"
    needed = ", ".join(one.roles) if one.kind == "person" else f"{one.dataset}, {one.purpose}"
    used = (one.used[:10] or "never") if one.kind == "grant" else ""
    return (one.kind, one.name, of, needed, one.by, used, f"{one.until[:10]}{', lapsed' if one.lapsed else ''}")
