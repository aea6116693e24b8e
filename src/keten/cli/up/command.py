"""`keten up`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output, say
from keten.cli.surroundings import Surroundings
from keten.cli.up.binds import OFF, Binds, binds
from keten.core.errors import Busy, Conflict, KetenError
from keten.core.settings import Settings

if TYPE_CHECKING:
    from keten.cli.up.supervisor import Service, Supervisor

COMMAND_SECONDS = 30.0  # how long a command that uses the stopped instance is waited for


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(up)


def up(
    ctx: typer.Context,
    home: Home = "",
    gateway: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="HTTPS for suppliers; 127.0.0.1:8443 unless set. 'off': none.")
    ] = "",
    sftp: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="SFTP for suppliers; 127.0.0.1:2222 unless set. 'off': none.")
    ] = "",
    console: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The console; 127.0.0.1:8080 unless set. 'off': none.")
    ] = "",
    json: Json = False,
) -> None:
    """Run an instance: keeper, gateway, console and whatever it needs, until SIGTERM or Ctrl-C. What dies starts again.

    Port 0 picks a free one. With --json, one line on stdout says that everything is ready, and where.

    Example: keten up --home keten --gateway 0.0.0.0:8443 --sftp off
    """
    surroundings: Surroundings = ctx.obj
    settings = surroundings.instance(home)
    where = binds(settings, gateway, sftp, console)
    output = Output(json=json)
    said: list[dict[str, Any]] = []

    def ready(line: dict[str, Any]) -> None:
        said.append(line)
        output.result(line)
        _print(output, line)

    try:
        _run(settings, where, ready)
    except KetenError as error:
        if not said:  # whoever waits for the one line learns why it does not come
            output.result({"ready": False, "code": error.code, "error": str(error)})
        raise


def _run(settings: Settings, where: Binds, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run the instance; `tell` is given the ready line.

    1. One `up` per instance, and as its owner.
    2. The keeper, alone: commands that run one for themselves are waited for.
    3. Gateway and console, and worker and connector where there is something for them to do; then the ready line.
    4. Keep everything running; stop in order.
    """
    from keten.cli.locks import command_lock, up_lock
    from keten.cli.processes import refuse_other_user
    from keten.cli.up.running import state_file, write_state
    from keten.cli.up.supervisor import Stopped, Supervisor

    paths = settings.paths
    refuse_other_user(paths.home)  # 1
    lock = up_lock(paths)
    if not lock.take(seconds=1.0):  # whoever asks whether it runs holds it for a moment
        raise Conflict("up-already", f"'keten up' runs already on {paths.home}; see 'keten status'.")
    with ExitStack() as stack:
        stack.callback(lock.give_back)
        stack.callback(state_file(paths).unlink, missing_ok=True)
        supervisor = stack.enter_context(Supervisor(paths))
        commands = command_lock(paths)
        stack.callback(commands.give_back)
        if not commands.take():
            say("Waiting for a command that uses the instance …")
            if not commands.take(seconds=COMMAND_SECONDS):
                raise Busy("keeper-in-use", "A command is still using the instance; start it when that is done.")
        try:
            # The keeper issues the gateway's certificate, so it has to know where that listens.
            supervisor.wait_ready(supervisor.add("keeper", lambda _known: ["--gateway", where.gateway]))  # 2
            commands.give_back()
            faces = _start_faces(supervisor, where)
            others = [name for name, needed in _others(settings) if needed]
            inside = [supervisor.add(name, lambda _known: []) for name in others]
            supervisor.wait_ready(*faces.values(), *inside)  # 3
        except Stopped:
            return
        ready = _ready(settings, faces)

        def changed(_service: Service) -> None:
            write_state(paths, ready | {"pids": supervisor.pids})

        supervisor.on_ready = changed
        write_state(paths, ready | {"pids": supervisor.pids})
        tell(ready)
        if "console" in faces:
            _say_who_is_missing(settings)
        supervisor.run()  # 4


def _say_who_is_missing(settings: Settings) -> None:
    """As long as nobody of the organisation has a passkey: how the first one gets it. No link: logs are kept."""
    from keten.keeper.client import KeeperClient
    from keten.keeper.people_protocol import AskPeople, PersonLines

    try:
        with KeeperClient(settings.paths.operator_socket) as client:
            people = client.call("people.list", AskPeople(), PersonLines).people
    except KetenError:  # a keeper that stands by, say: it is no news here
        return
    own = [one for one in people if not one.supplier and not one.ended]
    if any(one.keys for one in own):
        return
    first = next((one.name for one in own if "administrator" in one.roles), "")
    if first:
        say(f"Nobody can sign in at the console yet. A link for the first one: keten person invite {first}")
    else:
        say("Nobody can sign in at the console yet: declare somebody with roles: [administrator], and apply that;")
        say("then 'keten person invite NAME' makes a link.")


def _others(settings: Settings) -> tuple[tuple[str, bool], ...]:
    """The processes that face nobody outside, and whether there is anything for them to do."""
    return ("worker", settings.has_work), ("connector", bool(settings.systems))


def _start_faces(supervisor: Supervisor, where: Binds) -> dict[str, Service]:
    """Start gateway and console. A listener whose port was picked keeps that port when its process starts again."""
    faces: dict[str, Service] = {}
    if not (where.gateway == OFF and where.sftp == OFF):
        faces["gateway"] = supervisor.add(
            "gateway",
            lambda known: [
                *("--gateway", _same_port(where.gateway, known.get("gateway"))),
                *("--sftp", _same_port(where.sftp, known.get("sftp"))),
            ],
        )
    if where.console != OFF and find_spec("keten.console") is not None:
        faces["console"] = supervisor.add(
            "console", lambda known: ["--console", _same_port(where.console, known.get("console"))]
        )
    return faces


def _same_port(bind: str, picked: str | None) -> str:
    """HOST:0 with the port that was picked for it at the first start."""
    port = (picked or "").rpartition(":")[2]
    return bind[:-1] + port if bind.endswith(":0") and port.isdigit() else bind


def _ready(settings: Settings, faces: dict[str, Service]) -> dict[str, Any]:
    """The ready line of the contract; what is not there is null."""
    said: dict[str, Any] = {}
    for service in faces.values():
        said |= service.first
    return {
        "ready": True,
        "gateway": said.get("gateway"),
        "sftp": said.get("sftp"),
        "sftp_host_key": said.get("sftp_host_key"),
        "console": said.get("console"),
        "ca": str(settings.gateway.certificate or settings.paths.ca),
    }


def _print(output: Output, ready: dict[str, Any]) -> None:
    for title, name in (("Gateway", "gateway"), ("SFTP", "sftp"), ("Console", "console"), ("Certificate", "ca")):
        if ready[name]:
            output.line(f"{title:12} {ready[name]}")
    output.line("Ready. Ctrl-C stops it.")
