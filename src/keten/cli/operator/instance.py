"""`keten init`, `keten version` and `keten status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from keten import __version__
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid
from keten.core.settings import Paths, require_database

if TYPE_CHECKING:
    from keten.keeper.protocol import Status
    from keten.keeper.watch_protocol import Alerts
    from keten.keeper.witness_protocol import OutsideState
    from keten.watch.standing import FlowStanding, Standing

LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less the final NUL
SHORT_PASSPHRASE = 12


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(init)
    app.command()(status)
    app.command()(version)


def init(
    ctx: typer.Context,
    home: Home = "",
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Seal the keeper's key by the passphrase in this file, which 'up' then needs as well."
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name or address of the gateway, for its certificate; may be repeated."),
    ] = None,
    database: Annotated[
        str, typer.Option(metavar="URL", help="Keep the state in PostgreSQL: postgresql://USER@HOST/NAME, empty.")
    ] = "",
    database_file: Annotated[
        str, typer.Option(metavar="FILE", help="A file that holds that URL, when it holds a password.")
    ] = "",
    print_sql: Annotated[
        bool, typer.Option("--print-sql", help="Print what a database administrator runs first, and make nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a new instance: keys, database, the first entry of its ledger.

    Example: keten init --home keten --host files.example.org
    """
    if print_sql:
        from keten.core.db import administrators_sql

        Output(json=json).result({"sql": administrators_sql()})
        Output(json=json).line(administrators_sql().rstrip())
        return
    from keten.keeper.certificates import create_authority, issue
    from keten.keeper.instance import create_instance

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    folder = surroundings.folder(home)
    _check_length(folder)
    passphrase = None if passphrase_file is None else _passphrase(passphrase_file, output)
    hosts = tuple(dict.fromkeys(host or default_hosts()))
    issue(create_authority("trial"), hosts)  # a malformed host is refused before anything is made
    settings = surroundings.settings(folder)
    if database or database_file:
        file = str(Path(database_file).absolute()) if database_file else ""
        told = replace(settings.database, url=database, url_file=file)
        require_database(told, "init")
        settings = replace(settings, database=told)
    origin = create_instance(settings, hosts, passphrase)
    if passphrase_file is not None:
        _remember(settings.paths, passphrase_file)
    kind = "bare" if passphrase is None else "passphrase"
    output.result(
        {"home": str(folder), "origin": origin, "key": kind, "hosts": list(hosts), "ca": str(settings.paths.ca)}
    )
    output.line(f"Made an instance in {folder}.")
    output.line(f"Its ledger is {origin}; its certificate is for {', '.join(hosts)}.")
    if passphrase is None:
        output.line("The keeper's key lies in it bare: whoever reads that folder reads everything. See 'keten doctor'.")
    for line in _NEXT.format(home=folder).splitlines():
        output.line(line)


_NEXT = """\
Next: write the first administrator into a file, first.yaml, say,

  organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
  people:
    - {{id: j.devries, email: j.devries@example.org, roles: [administrator]}}

then apply it, start the instance, and, beside it, make a link with which that person makes a passkey:

  keten apply first.yaml --home {home}
  keten up --home {home}
  keten person invite j.devries --home {home}

Everything else, from suppliers to grants, can be declared at the console, or by 'keten apply' as well."""


def default_hosts() -> list[str]:
    """What the gateway is called on this machine when nobody says more."""
    return ["localhost", "127.0.0.1", "::1"]


def _check_length(folder: Path) -> None:
    longest = max(len(str(path).encode()) for path in (Paths(folder).operator_socket, Paths(folder).gateway_socket))
    if longest > LONGEST_SOCKET_PATH:
        raise Invalid(
            "home-too-long",
            f"The path {folder} is {longest - LONGEST_SOCKET_PATH} characters too long for a Unix socket inside it.",
        )


def _passphrase(path: Path, output: Output) -> bytes:
    passphrase = path.read_bytes().rstrip(b"\r\n")
    if not passphrase:
        raise Invalid("passphrase-empty", f"The passphrase file {path} is empty.")
    if len(passphrase) < SHORT_PASSPHRASE:
        output.say("The passphrase is short: whoever copies the key file can try all that are so short.")
    return passphrase


def _remember(paths: Paths, passphrase_file: Path) -> None:
    """Write where the passphrase is into keten.toml, so that `up` finds it; not the passphrase."""
    import json

    from keten.core.files import Files

    # A JSON string is a TOML basic string.
    line = f"\n[keeper]\npassphrase_file = {json.dumps(str(passphrase_file.absolute()))}\n"
    Files().write(paths.settings, paths.settings.read_bytes() + line.encode())


def version(json: Json = False) -> None:
    """Print Keten's version.

    Example: keten version --json
    """
    output = Output(json=json)
    output.result({"version": __version__})
    output.line(f"keten {__version__}")


def status(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """What runs of an instance, and how its keeper is. Exit code 1 when nothing runs.

    Example: keten status --home keten
    """
    from keten.cli import exits
    from keten.cli.operator.keeping import connect
    from keten.cli.up.running import running
    from keten.keeper.protocol import Nothing, Status
    from keten.keeper.watch_protocol import Alerts, AskAlerts
    from keten.keeper.witness_protocol import AskOutside, OutsideState

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    paths = surroundings.instance(home).paths
    up = running(paths)
    client = connect(paths)
    found: Status | None = None
    signed: OutsideState | None = None
    watched: Alerts | None = None
    if client is not None:
        with client:
            found = client.call("keeper.status", Nothing(), Status)
            signed = client.call("ledger.outside", AskOutside(), OutsideState)
            watched = client.call("watch.alerts", AskAlerts(limit=1), Alerts)
    seen = _seen(watched, paths, up=up is not None)
    authority = _authority(paths)
    result: dict[str, Any] = {"up": up, "keeper": found, "outside": signed, "watch": seen, "authority": authority}
    output.result(result)
    if up is None and found is None:
        output.line("Nothing runs. Start it with 'keten up'.")
        raise typer.Exit(exits.NO)
    for name, value in (up or {}).items():
        if name == "pids":
            output.line(f"{'processes':14}{', '.join(f'{process} {pid}' for process, pid in value.items())}")
        elif name != "ready":
            output.line(f"{name:14}{value or 'none'}")
    if authority:
        output.line(f"authority     {authority}")
    if found is None and paths.standby.exists():
        output.line("The keeper stands by: another one is active on this database.")
        raise typer.Exit(exits.NO)
    if found is None:
        output.line("The keeper does not answer.")
        raise typer.Exit(exits.NO)
    _show_keeper(output, found)
    if watched is not None and seen is not None:
        output.line(f"watch         {watched.open} open alerts, {watched.upto} of {watched.size} entries looked at")
        _show_watch(output, seen["at_work"], seen["flows"])
    if signed is not None:
        _show_outside(output, signed)


def _authority(paths: Paths) -> str:
    """The fingerprint of the instance's own authority (ca.pem), to be compared by telephone; "" where there is none."""
    from keten.core.certificates import fingerprint

    try:
        return fingerprint(paths.ca.read_bytes())
    except (OSError, ValueError):  # 'keten doctor' says what is the matter with it
        return ""


def _seen(watched: Alerts | None, paths: Paths, *, up: bool) -> dict[str, Any] | None:
    """The watch: its alerts, and what the worker says of its rules and flow logs (None: nothing, or not to us)."""
    from keten.watch import standing

    if watched is None:
        return None
    at_work = standing.standing(paths.standing) if up else None
    flows = standing.flows(paths.flow_standing) if up else None
    return {"alerts": watched.open, "upto": watched.upto, "at_work": at_work, "flows": flows}


def _show_watch(output: Output, at_work: Standing | None, flows: FlowStanding | None) -> None:
    if at_work is not None and (at_work.rules or at_work.not_used):
        refused = f", {at_work.not_used} not used: see 'keten doctor'" if at_work.not_used else ""
        output.line(f"rules         {len(at_work.rules)} of your own in use{refused}")
    if flows is not None:
        lines = f"{flows.counts.lines} lines, {flows.counts.all_wrong} not understood"
        output.line(f"flow logs     {flows.files} files, {lines}, {flows.counts.about} to suppliers")


def _show_keeper(output: Output, found: Status) -> None:
    output.line(f"ledger        {found.origin}: {found.size} entries, {found.published} published")
    output.line(f"gateways      {', '.join(found.gateways) or 'none'}")
    output.line(f"transfers     {found.open_accesses} open, {found.sessions} SFTP sessions")
    output.line(f"key           {found.key_kind}")
    for note in found.notes:
        output.line(f"note          {note}")
    if found.doing:
        output.line(f"waits         {found.doing}")
    if found.clock:
        output.line(f"clock         {found.clock}")


def _show_outside(output: Output, signed: OutsideState) -> None:
    """What outsiders signed, and what is the matter with those who did not."""
    from keten.core.clock import moment

    for word, size, at_us in (
        ("witnessed", signed.witnessed, signed.witnessed_us),
        ("stamped", signed.stamped, signed.stamped_us),
    ):
        if at_us:
            output.line(f"{word:14}{size} entries, {moment(at_us)}")
    if signed.waiting_us and (signed.witnessed_us or signed.stamped_us):
        output.line(f"unsigned      what was recorded since {moment(signed.waiting_us)}")
    for one in signed.trouble:
        output.line(f"witness       {one.witness}: {one.what}")
