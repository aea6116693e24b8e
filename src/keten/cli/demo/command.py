"""`keten demo`."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli.options import Json
from keten.cli.output import Output, say

if TYPE_CHECKING:
    from keten.cli.demo.content import Made
    from keten.cli.demo.folder import Folder
    from keten.cli.demo.stage import Stage

SHORT = timedelta(minutes=2)
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SETTINGS = '\n[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n'


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(demo)


def demo(
    home: Annotated[
        str, typer.Option("--home", metavar="DIR", help="The demo's own folder; .keten-demo unless given.")
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="Set everything up, print it, stop, and end.")] = False,
    json: Json = False,
) -> None:
    """Show Keten at work: a municipality with three suppliers and made-up data, everything started.

    Makes the folder anew each time, and never touches one that is not a demo. Prints where to look and three things
    to try; runs until Ctrl-C. One contract ends two minutes after the start: see it end on the page.

    Example: keten demo
    """
    from keten.cli.demo.folder import Folder, default_path
    from keten.cli.demo.stage import Stage

    output = Output(json=json)
    folder = Folder(Path(home).absolute() if home else default_path())
    started = time.monotonic()
    with ExitStack() as stack:
        _stop_on_signals()
        folder.begin()
        stack.callback(folder.end)
        stage = Stage(folder)
        stack.callback(stage.stop)
        told = _set_up(stage)
        told["seconds"] = round(time.monotonic() - started, 1)
        try:
            output.result(told)
            _tell(output, told)
            if not once:
                stage.stay()
        except KeyboardInterrupt:
            say("\nStopping …")
            for number in _STOPPING:
                signal.signal(number, signal.SIG_IGN)  # once is enough: what was started stops in a moment


def _stop_on_signals() -> None:
    """End in order on SIGTERM and when the terminal is closed, as on Ctrl-C: what was started is stopped.

    What whoever started it ignores (nohup, say) stays ignored.
    """
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _set_up(stage: Stage) -> dict[str, Any]:
    """Make everything and start it.

    1. An instance and its processes; the suppliers' keys; content, while the processes start.
    2. The estate, and content into its datasets.
    3. What suppliers do: sign in, fetch, try what is not theirs, come back with an account that was ended.
    4. The contract that one sees end: two minutes from now.
    5. One-time links, with which whoever looks makes a passkey.
    """
    from keten.cli.demo import content, estate
    from keten.cli.demo.folder import sample_documents
    from keten.cli.demo.stage import supplier_key

    folder = stage.folder
    with _step("An instance: keys, database, the first entry of its ledger"):  # 1
        stage.operator("init")
        settings = folder.instance / "keten.toml"
        settings.write_text(settings.read_text(encoding="utf-8") + SETTINGS, encoding="utf-8")
        stage.start()
    with _step("A key for each supplier's system"):
        keys = {client: supplier_key(folder.login(name) / "key") for client, name in estate.SUPPLIERS.items()}
    with _step(f"A population register of {content.PEOPLE:,} people who do not exist, and an export of 200 MB"):
        made = content.make(folder.content, sample_documents())
        _stop_on_signals()  # polars puts a handler of its own in place of Python's, and would swallow Ctrl-C
    if not made.documents:
        say("  (the sample documents are not there; the demo does without)")
    with _step("Keeper, gateway and console started"):
        ready = stage.wait()
    now = datetime.now(UTC)
    with _step("Three suppliers, with contracts, datasets and grants (estate.yaml)"):  # 2
        ids = _apply(stage, keys, now, now + timedelta(days=1))
    with _step("Content put into the vault, encrypted"):
        _put(stage, made)
    with _step("What suppliers do: sign in, fetch, try what is not theirs"):  # 3
        _act(stage, ids["client"], made)
    ends = datetime.now(UTC).replace(microsecond=0) + SHORT
    with _step("A contract that ends in two minutes"):  # 4
        _apply(stage, keys, now, ends)
    with _step("One-time links for two people of the municipality, and two of its suppliers"):  # 5
        people = (estate.OFFICER, estate.ADMINISTRATOR, estate.AT_PRINTER, estate.AT_CARRIER)
        links = {one: stage.operator("person", "invite", one)["link"] for one in people}
    return _told(folder, ready, ids, ends, links)


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    started = time.monotonic()
    yield
    say(f"✓ {title}  ({time.monotonic() - started:.1f} s)")


def _apply(stage: Stage, keys: dict[str, str], now: datetime, ends: datetime) -> dict[str, dict[str, str]]:
    from keten.cli.demo import estate

    stage.folder.estate.write_text(estate.text(keys, now, ends), encoding="utf-8")
    ids: dict[str, dict[str, str]] = stage.operator("apply", str(stage.folder.estate))["ids"]
    return ids


def _put(stage: Stage, made: Made) -> None:
    from keten.cli.demo import estate

    files = {
        estate.VOTERS: (made.voters,),
        estate.RIDES: (made.rides,),
        estate.PEOPLE: (made.people,),
        estate.CASES: (made.export,),
        estate.DOCUMENTS: made.documents,
    }

    def put(dataset: str) -> None:
        stage.operator("put", dataset, *map(str, files[dataset]))

    _at_once(put, [dataset for dataset, some in files.items() if some])
    made.export.unlink()  # it is in the vault now, and large


def _act(stage: Stage, clients: dict[str, str], made: Made) -> None:
    """Real accesses through the real door; each supplier does its own, all at once."""
    from keten.cli.demo import estate

    some = [f"/{estate.DOCUMENTS}/{one.name}" for one in made.documents[:1]]
    fetched = {
        estate.PRINTER: [f"/stempassen-drukken/{made.voters.name}"],
        estate.CARRIER: [f"/leerlingenvervoer/{made.rides.name}"],
        estate.ARCHIVE: [f"/digitaal-archief/{made.people.name}", *some],
    }
    ids: dict[str, str] = {}

    def act(client: str) -> None:
        name = estate.SUPPLIERS[client]
        _login(stage, client, clients[client])
        for path in fetched[client]:
            got = stage.supplier(name, "get", path, "-o", str(stage.folder.login(name)))
            ids.setdefault(client, got["id"])

    _at_once(act, fetched)
    _try_foreign(stage, estate.CARRIER, clients[estate.CARRIER], ids[estate.PRINTER])
    stage.operator("revoke", "client", estate.OLD_PRINTER, "--reason", "oude server buiten gebruik")
    _login(stage, estate.OLD_PRINTER, clients[estate.OLD_PRINTER], expect=1)


def _at_once(act: Callable[[str], object], names: Iterable[str]) -> None:
    """Do it for each name, a few at a time. Raises what the first that failed raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=3) as pool:
        for _done in pool.map(act, names):
            continue


def _login(stage: Stage, client: str, client_id: str, expect: int = 0) -> None:
    from keten.cli.demo import estate

    name = estate.SUPPLIERS[client]
    who = ("--client", client_id, "--key", str(stage.folder.login(name) / "key"), "--ca", stage.ready["ca"])
    stage.supplier(name, "login", stage.ready["gateway"], *who, expect=expect)


def _try_foreign(stage: Stage, client: str, client_id: str, object_id: str) -> None:
    """A supplier asks for a file of another one, whose id it came by: the supplier's command would not even ask."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    from keten.cli.demo import estate
    from keten.core.errors import Corrupt
    from keten.drills.supplier import SupplierSystem

    key = load_ssh_private_key((stage.folder.login(estate.SUPPLIERS[client]) / "key").read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Corrupt("demo-key", "The demo's own key is not what it was made as.")
    system = SupplierSystem(stage.ready["gateway"], Path(stage.ready["ca"]), client_id, key)
    system.sign_in()
    answer = system.get(f"/v1/objects/{object_id}")
    if answer.status != 404:
        raise Corrupt("demo-door", f"A supplier got {answer.status} for what is not its own; please report this.")


def _told(
    folder: Folder, ready: dict[str, Any], ids: dict[str, dict[str, str]], ends: datetime, links: dict[str, str]
) -> dict[str, Any]:
    from keten.cli.demo.try_it import things

    console = ready["console"]
    return {
        "ready": True,
        "home": str(folder.instance),
        "folder": str(folder.path),
        "gateway": ready["gateway"],
        "sftp": ready["sftp"],
        "sftp_host_key": ready["sftp_host_key"],
        "ca": ready["ca"],
        "console": console,
        "portal": ready["portal"],
        "pages": {"nl": f"{console}/nl", "en": f"{console}/en"},
        "links": links,
        "ids": ids,
        "contract_ends": ends.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "try": things(folder, ends),
    }


def _tell(output: Output, told: dict[str, Any]) -> None:
    """What there is to see, for people."""
    from keten.cli.demo import estate

    lines = [
        "",
        f"Ready in {told['seconds']:.0f} s. All of it is made up, and is in {told['folder']}.",
        "",
        "Sign in: open a link in a browser on this machine, and make a passkey with its fingerprint, face, PIN or a",
        "security key. Each works once. None of these at hand? Chrome and Edge can play one: docs/manual, demo.",
        "",
        f"  The data protection officer, who sees everything   {told['links'][estate.OFFICER]}",
        f"  The administrator                                  {told['links'][estate.ADMINISTRATOR]}",
        f"  The printing house's contact, at the portal        {told['links'][estate.AT_PRINTER]}",
        f"  The transport firm's, whose access is about to end {told['links'][estate.AT_CARRIER]}",
        "",
        f"  Overview      {told['pages']['en']}",
        f"  Overzicht     {told['pages']['nl']}",
        f"  Suppliers     {told['gateway']}" + (f"   sftp {told['sftp']}" if told["sftp"] else ""),
        "",
        "Three things to try, each to be copied into another terminal:",
    ]
    for number, one in enumerate(told["try"], 1):
        lines += ["", f"{number}. {one['title']}", *(f"   {command}" for command in one["commands"])]
    lines += ["", "Ctrl-C stops it. 'keten demo' again starts afresh."]
    for line in lines:
        output.line(line)
