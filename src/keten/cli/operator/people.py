"""`keten person`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.clock import moment, rfc3339

if TYPE_CHECKING:
    from keten.core.settings import Settings

Name = Annotated[str, typer.Argument(metavar="NAME", help="A person, by name or id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    person = typer.Typer(no_args_is_help=True, help="People who sign in: who they are, links for them, sessions.")
    person.command("list")(list_)
    person.command()(invite)
    person.command()(sessions)
    person.command("sign-out")(sign_out)
    app.add_typer(person, name="person")


def list_(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """People of the register, with how many passkeys and open sessions each has.

    Example: keten person list
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.people_protocol import AskPeople, PersonLines

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("people.list", AskPeople(), PersonLines)
    output.result({"people": found.people, "cut": found.cut})
    rows = [
        (one.name, one.supplier, ", ".join(one.roles), str(one.keys), str(one.sessions), "yes" if one.ended else "")
        for one in found.people
    ]
    if rows:
        output.table(("name", "supplier", "roles", "passkeys", "sessions", "ended"), rows)
    elif not json:
        output.say("There are no people in the register; declare them in the estate file and apply it.")


def invite(
    ctx: typer.Context,
    name: Name,
    hours: Annotated[int, typer.Option(metavar="N", min=1, max=336, help="How long the link holds.")] = 72,
    home: Home = "",
    json: Json = False,
) -> None:
    """Make a one-time link with which a person who has no passkey makes the first one. Give it to nobody else.

    Also how the first administrator comes in. An older link of that person does not work any more.

    Example: keten person invite j.devries
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.people_protocol import AskPeople, Invite, Invited, PersonLines

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client:
        made = client.call("people.invite", Invite(name, hours), Invited)
        lines = client.call("people.list", AskPeople(), PersonLines).people
    supplier = next((one.supplier for one in lines if one.id == made.person), "")
    face = "portal" if supplier else "console"
    address = _address(settings, face)
    link = f"{address}/enrol#{made.token}" if address else ""
    expires = rfc3339(made.expires_us)
    output.result(
        {"person": made.person, "face": face, "link": link, "token": made.token, "until": expires, "entry": made.entry}
    )
    output.line(link or made.token)
    if json:
        return
    until = moment(made.expires_us)
    output.say(f"For {name} alone: whoever opens it first makes the passkey. It works once, until {until}.")
    if address.startswith("http://localhost"):
        output.say(f"It works in a browser on this machine. For others, set [{face}] public_url to an https:// name.")
    if not link:
        output.say(f"This is the secret part of it only: set [{face}] public_url, so that the address is known.")


def _address(settings: Settings, face: str) -> str:
    """Where the person's face is, as browsers call it: by its name, else this machine; "": nowhere known."""
    from keten.cli.up.binds import DEFAULTS, OFF
    from keten.cli.up.running import running

    listener = settings.portal if face == "portal" else settings.console
    if listener.public_url:
        return listener.public_url.rstrip("/")
    up = (running(settings.paths) or {}).get(face)
    if up:
        return str(up)
    bind = listener.bind or DEFAULTS[face]
    port = bind.rpartition(":")[2]
    scheme = "https" if listener.certificate else "http"
    return "" if bind == OFF or port == "0" else f"{scheme}://localhost:{port}"


def sessions(ctx: typer.Context, name: Name, home: Home = "", json: Json = False) -> None:
    """A person's passkeys and open sessions.

    Example: keten person sessions j.devries
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.people_protocol import OfPerson, PersonSessionList

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("people.sessions", OfPerson(name), PersonSessionList)
    output.result({"person": found.person, "keys": found.own.keys, "sessions": found.own.sessions})
    if found.own.keys:
        keys = [(one.name, moment(one.added_us), "yes" if one.synced else "no") for one in found.own.keys]
        output.table(("passkey", "added", "synchronised"), keys)
    if found.own.sessions:
        rows = [(one.id, moment(one.began_us), moment(one.used_us), one.network) for one in found.own.sessions]
        output.table(("session", "began", "used", "network"), rows)
    elif not json:
        output.say("There is no open session.")


def sign_out(ctx: typer.Context, name: Name, home: Home = "", json: Json = False) -> None:
    """End every session of a person. The passkeys stay: to end access for good, use 'keten revoke person'.

    Example: keten person sign-out j.devries
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.people_protocol import OfPerson, SignedOut

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        done = client.call("people.sign_out_all", OfPerson(name), SignedOut)
    output.result({"person": done.person, "count": done.count, "entry": done.entry})
    if not json:
        output.say(f"Sessions ended: {done.count}.")
