"""`keten export …`: what the organisation's own monitoring gets, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from keten.core.destinations import Destination
    from keten.core.settings import Settings
    from keten.keeper.client import KeeperClient

TEST_SECONDS = 15.0
Name = Annotated[str, typer.Argument(metavar="NAME", help="A destination of keten.toml.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    export = typer.Typer(no_args_is_help=True, help="Events for your own monitoring (SIEM): how far they are; replay.")
    export.command()(status)
    export.command("test")(try_out)
    export.command()(replay)
    app.add_typer(export, name="export")


def status(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """How far each destination is, and what keeps it. Exit code 1 when one of them fails.

    Example: keten export status --home keten
    """
    from keten.core.clock import rfc3339
    from keten.watch.export.state import STATE, load_state

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    size = _size(settings)
    found: list[dict[str, Any]] = []
    for one in settings.export.destinations:
        state = load_state(settings.paths.outbox / one.name / STATE)
        known = state.size if size is None else max(size, state.size)
        found.append(
            {
                "name": one.name,
                "kind": one.kind,
                "url": one.url,
                "sent": state.sent,
                "settled": max(0, state.cursor),
                "waiting": max(0, known - state.sent),
                "delivered": state.delivered,
                "left_out": state.left_out,
                "failing_since": rfc3339(state.failing_since_us) if state.failing_since_us else None,
                "error": state.error,
                "new": state.cursor < 0,
            }
        )
    output.result({"size": size, "destinations": found})
    if not found:
        output.line("There are no destinations: [[export.destinations]] in keten.toml.")
    for each in found:
        left = f", {each['left_out']} left out" if each["left_out"] else ""
        output.line(f"{each['name']:14}{each['kind']:9}{each['waiting']} entries wait, {each['sent']} sent{left}")
        if each["failing_since"]:
            output.line(f"{'':14}fails since {each['failing_since']}: {each['error']}")
    if any(each["failing_since"] for each in found):
        raise typer.Exit(exits.NO)


def try_out(ctx: typer.Context, name: Name, home: Home = "", json: Json = False) -> None:
    """Send one event to a destination now, and say whether it was taken. It does not touch what is under way.

    Syslog acknowledges nothing: look for the event's uid at the other side.

    Example: keten export test soc --home keten
    """
    import time

    from keten.core.clock import wall_us
    from keten.core.ids import new_id
    from keten.watch.export.drivers.choosing import driver_of
    from keten.watch.export.drivers.driver import Record
    from keten.watch.export.ocsf import NOTICED, notice

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    destination = _destination(settings, name)
    uid, now_us = f"test-{new_id()}", wall_us()
    said = notice(uid, "Keten: a test", "An operator tries this destination.", 0, now_us, {}, destination.version)
    said["severity_id"], said["severity"], said["is_alert"] = 1, "Informational", False
    driver = driver_of(destination, settings.paths.home)
    try:
        driver.send([Record(uid, 0, now_us, NOTICED, "findings", said)], 1)
        deadline = time.monotonic() + TEST_SECONDS
        while not driver.proven and time.monotonic() < deadline:
            driver.settled()
            time.sleep(0.2)
        driver.settled()
        taken = driver.proven
    finally:
        driver.close()
    output.result({"destination": name, "uid": uid, "taken": taken})
    output.line(f"{name} took the event {uid}." if taken else f"{name} did not acknowledge the event {uid}.")
    if not taken:
        raise typer.Exit(exits.NO)


def replay(
    ctx: typer.Context,
    name: Name,
    start: Annotated[
        str,
        typer.Option("--from", metavar="SEQ|TIME", help="An entry's index, or a time with offset.", show_default=False),
    ],
    home: Home = "",
    json: Json = False,
) -> None:
    """Send a destination everything again, from an entry or a time on. What it has already has the same uid.

    Example: keten export replay soc --from 2026-11-20T00:00:00+01:00
    """
    from keten.cli.operator.keeping import keeper
    from keten.watch.export.outbox import ask_replay

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    _destination(settings, name)
    with keeper(settings) as client:
        index = _index(client, start)
    ask_replay(settings.paths.outbox, name, index)
    output.result({"destination": name, "from": index})
    output.line(f"{name} gets everything from entry {index} on, as soon as the worker runs.")


def _destination(settings: Settings, name: str) -> Destination:
    for one in settings.export.destinations:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in settings.export.destinations) or "none"
    raise NotFound("export-unknown", f"There is no destination {name!r}; there are: {known}.")


def _size(settings: Settings) -> int | None:
    from keten.cli.operator.keeping import connect
    from keten.keeper.protocol import Nothing, Status

    client = connect(settings.paths)
    if client is None:
        return None
    with client:
        return client.call("keeper.status", Nothing(), Status).size


def _index(client: KeeperClient, text: str) -> int:
    """The index that is meant: a number, or the first entry of a time (entries are in the order of time)."""
    from keten.core.clock import from_rfc3339
    from keten.keeper.follow_protocol import Follow, Following

    size = client.call("ledger.follow", Follow(2**62, 1), Following).size
    if text.isascii() and text.isdigit() and len(text) < 19:
        return min(int(text), size)
    try:
        at_us = from_rfc3339(text)
    except ValueError as error:
        raise Invalid("export-from", "--from is an index, or a time such as 2026-11-20T00:00:00Z.") from error
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        found = client.call("ledger.follow", Follow(middle, 1), Following).entries
        if found and found[0].time_us < at_us:
            low = middle + 1
        else:
            high = middle
    return low
