"""`keten alerts`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.clock import SECOND
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.keeper.watch_protocol import AlertHandled, AlertInfo

Alert = Annotated[str, typer.Argument(metavar="ID", help="The id of the alert.", show_default=False)]
Note = Annotated[str, typer.Option(metavar="TEXT", help="What it was; it stands in the ledger.", show_default=False)]


class Which(StrEnum):
    """Which alerts are listed."""

    OPEN = "open"
    NOTED = "noted"
    CLOSED = "closed"
    ALL = "all"


_STATES = {
    Which.OPEN: ("open", "acknowledged"),
    Which.NOTED: ("noted",),
    Which.CLOSED: ("closed",),
    Which.ALL: ("open", "acknowledged", "noted", "closed"),
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    alerts = typer.Typer(no_args_is_help=True, help="What the watch saw, and what was done about it.")
    alerts.command("list")(list_)
    alerts.command()(show)
    alerts.command()(acknowledge)
    alerts.command()(fine)
    alerts.command("not-fine")(not_fine)
    alerts.command()(close)
    alerts.command()(lift)
    alerts.command()(suspend)
    app.add_typer(alerts, name="alerts")


def list_(
    ctx: typer.Context,
    which: Annotated[Which, typer.Option(metavar="WHICH", help="open, noted, closed or all.")] = Which.OPEN,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=1000, help="At most so many, the newest.")] = 100,
    home: Home = "",
    json: Json = False,
) -> None:
    """What nobody has closed yet, the newest first.

    Example: keten alerts list --which all
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.watch_protocol import Alerts, AskAlerts

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("watch.alerts", AskAlerts("", _STATES[which], limit), Alerts)  # type: ignore[arg-type]
    output.result({"alerts": found.alerts, "open": found.open, "upto": found.upto, "size": found.size})
    if found.alerts:
        columns = ("id", "last", "severity", "detector", "who", "dataset", "signals", "done", "state")
        output.table(columns, (_row(one) for one in found.alerts))
    elif not json:
        output.say("There are no such alerts.")


def show(
    ctx: typer.Context,
    alert: Alert,
    lang: Annotated[str, typer.Option(metavar="nl|en", help="Language of the words; that of LANG else.")] = "",
    home: Home = "",
    json: Json = False,
) -> None:
    """One alert in plain words: what was seen, what is usual, what was done, how to undo it.

    Example: keten alerts show mfrggzdfmztwq2lknnwg23tpoa --lang nl
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.watch_protocol import Alerts, AskAlerts
    from keten.watch.explaining import LANGUAGES

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    language = lang or surroundings.language
    if language not in LANGUAGES:
        raise Invalid("language", f"--lang is nl or en, not {language!r}.")
    with keeper(surroundings.instance(home)) as client:
        (found,) = client.call("watch.alerts", AskAlerts(alert), Alerts).alerts
    output.result({"alert": found})
    words = found.explanation[language]
    output.line(f"{words['title']}  [{found.severity}, {found.state}]")
    for name in ("seen", "usual", "done", "undo"):
        output.line(f"  {words[name]}")
    for name, value in _described(found):
        if value:
            output.line(f"{name:14}{value}")


def acknowledge(
    ctx: typer.Context, alert: Alert, note: Note = "", home: Home = "", json: Json = False
) -> None:
    """Say that you are looking at it. What was done about it stays.

    Example: keten alerts acknowledge mfrggzdfmztwq2lknnwg23tpoa
    """
    _handle(ctx, alert, "acknowledge", note, home, json=json)


def fine(
    ctx: typer.Context,
    alert: Alert,
    note: Note,
    home: Home = "",
    json: Json = False,
) -> None:
    """It was fine: access is given back at once, and the same is not signalled again for a while.

    Example: keten alerts fine mfrggzdfmztwq2lknnwg23tpoa --note "a migration that was announced"
    """
    _handle(ctx, alert, "fine", note, home, json=json)


def not_fine(
    ctx: typer.Context,
    alert: Alert,
    note: Note,
    home: Home = "",
    json: Json = False,
) -> None:
    """It was not fine. What was done stays until its end; to end access for good: keten revoke.

    Example: keten alerts not-fine mfrggzdfmztwq2lknnwg23tpoa --note "stolen laptop, see case 12"
    """
    _handle(ctx, alert, "not-fine", note, home, json=json)


def close(ctx: typer.Context, alert: Alert, note: Note = "", home: Home = "", json: Json = False) -> None:
    """Nothing more to do about it. What was done stays until its end.

    Example: keten alerts close mfrggzdfmztwq2lknnwg23tpoa --note "seen"
    """
    _handle(ctx, alert, "close", note, home, json=json)


def lift(ctx: typer.Context, alert: Alert, note: Note = "", home: Home = "", json: Json = False) -> None:
    """Give access back now; the alert stays open.

    Example: keten alerts lift mfrggzdfmztwq2lknnwg23tpoa --note "spoke with the supplier"
    """
    _handle(ctx, alert, "lift", note, home, json=json)


def suspend(
    ctx: typer.Context,
    principal: Annotated[
        str, typer.Argument(metavar="PRINCIPAL", help="A system account or person, by name or id.", show_default=False)
    ],
    for_: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 4h, 7d.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Suspend somebody yourself, for a while: what is under way is cut before the command returns. It ends by itself.

    Example: keten alerts suspend drukwerk-batch --for 4h --reason "strange calls to the helpdesk"
    """
    from keten.cli.operator.keeping import keeper
    from keten.core.settings import duration
    from keten.keeper.watch_protocol import AlertHandled, Suspend

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    try:
        for_us = duration(for_) * SECOND
    except ValueError as error:
        raise Invalid("for", f"--for: {error}.") from error
    with keeper(surroundings.instance(home)) as client:
        done = client.call("watch.suspend", Suspend(principal, for_us, reason), AlertHandled)
    _tell(output, done)


def _handle(ctx: typer.Context, alert: str, action: str, note: str, home: str, *, json: bool) -> None:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.watch_protocol import AlertHandled, Handle

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        done = client.call("watch.handle", Handle(alert, action, note), AlertHandled)
    _tell(output, done)


def _tell(output: Output, done: AlertHandled) -> None:
    output.result({"alert": done.alert, "steps": done.steps, "entry": done.entry, "already": done.already})
    if done.already:
        output.line("Nothing was changed: it was so already.")
    else:
        output.line(f"alert {done.alert.id}: {done.alert.state}, entry {done.entry}")
    output.steps(done.steps)


def _over(one: AlertInfo) -> str:
    """What is done at once, or is no more than a note, is never over."""
    return "" if one.in_force or one.response in ("note", "alert", "step-up") else ", over"


def _row(one: AlertInfo) -> tuple[str, ...]:
    done = f"{one.response}{_over(one)}"
    if one.held:
        done += f" ({one.held}: {one.wanted} was called for)"
    who = one.principal or one.supplier
    return one.id, one.last, one.severity, one.detector, who, one.dataset, str(one.count), done, one.state


def _described(one: AlertInfo) -> list[tuple[str, Any]]:
    return [
        ("alert", one.id),
        ("who", one.principal),
        ("supplier", one.supplier),
        ("dataset", one.dataset),
        ("owner", one.owner or "the organisation"),
        ("signals", one.count),
        ("since", one.made),
        ("last", one.last),
        ("done", f"{one.response}{f' until {one.until}' if one.until else ''}{_over(one)}"),
        ("lifted", one.lifted),
        ("verdict", one.verdict),
        ("note", one.note),
        ("by", one.by),
        ("first entry", one.first_entry),
        ("last entry", one.last_entry),
    ]
