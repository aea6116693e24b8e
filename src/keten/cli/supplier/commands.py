"""The supplier's commands: `keten login`, `ls`, `get`, `logout`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli.options import Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Conflict, Invalid

if TYPE_CHECKING:
    from keten.cli.supplier.logins import Login, Logins
    from keten.cli.supplier.session import Session
    from keten.cli.supplier.shares import Remote

PANEL = "For suppliers"
PATIENCE = 60.0  # seconds that 'get' gives an instance that restarts
Instance = Annotated[
    str, typer.Option(metavar="URL", help="The instance, where you are signed in to several; its host will do.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (login, ls, get, logout):
        app.command(rich_help_panel=PANEL)(command)


def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The instance's address.", show_default=False)],
    client: Annotated[
        str, typer.Option(metavar="ID", help="Your client's id, from the organisation.", show_default=False)
    ],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your OpenSSH Ed25519 private key.", show_default=False)],
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The organisation's own authority (ca.pem).")] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The passphrase of an encrypted key; asked for on a terminal else."),
    ] = None,
    json: Json = False,
) -> None:
    """Sign in to an instance with your own key, once; 'ls' and 'get' then know where.

    The key stays in its file, and nothing secret is kept. The ledger's key and its newest signed head are noted, and
    every later 'get' checks that the ledger goes on from there.

    Example: keten login https://files.gemeente.example:8443 --client 4kq… --key ~/.ssh/id_ed25519 --ca ca.pem
    """
    from keten.cli.supplier.following import keep_chain
    from keten.cli.supplier.logins import Login, Logins
    from keten.cli.supplier.tiles import fetched
    from keten.cli.supplier.wire import checked_url
    from keten.cli.supplier.witness import Witness
    from keten.ledger.notes import Verifier

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    logins = Logins(surroundings.config)
    pem, authority = _authority(ca)
    made = Login(
        url=checked_url(url),
        client_id=_client_id(client),
        key=str(key.absolute()),
        passphrase_file=str(passphrase_file.absolute()) if passphrase_file else "",
        ca=pem,
        ledger_key="",
    )
    session = session_of(ctx, made)
    session.sign_in()
    ledger_key = fetched(session.fetch, "key.pub").decode("utf-8", "replace").strip()
    verifier = Verifier.parse(ledger_key)
    earlier = [one for one in logins.all() if one.url == made.url and one.ledger_key != ledger_key]
    made = Login(**{name: getattr(made, name) for name in made.__struct_fields__} | {"ledger_key": ledger_key})
    checkpoint = Witness(logins, made, session.fetch).verify()
    keep_chain(logins, ledger_key, session.fetch)
    logins.add(made)
    if earlier:
        output.say(
            "The instance at this address has another ledger than before. If nobody told you, ask the organisation."
        )
    told = {"instance": made.url, "client": made.client_id, "ledger": verifier.name, "size": checkpoint.size}
    output.result(told | {"authority": authority})
    output.line(f"Signed in to {made.url} as {made.client_id}.")
    if authority:
        output.line(f"Its authority's fingerprint (compare it by telephone): {authority}")
    output.line(f"Its ledger is {verifier.name}, with {checkpoint.size} entries; its key: {ledger_key}")


def ls(ctx: typer.Context, instance: Instance = "", json: Json = False) -> None:
    """What you may fetch now, and until when.

    Example: keten ls --json
    """
    from keten.cli.progress import in_bytes
    from keten.cli.supplier.shares import remotes

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    chosen, _logins = login_of(surroundings, instance)
    found = remotes(session_of(ctx, chosen))
    output.result(
        [
            {"path": one.path, "id": one.id, "size": one.size, "digest": one.digest, "valid_until": one.valid_until}
            for one in found
        ]
    )
    if not found:
        output.line("There is nothing for you to fetch now.")
        return
    output.table(
        ("path", "size", "until", "id"),
        [(one.path, in_bytes(one.size), _moment(one.valid_until), one.id) for one in found],
    )


def get(
    ctx: typer.Context,
    remote: Annotated[
        str, typer.Argument(metavar="REMOTE", help="A path or an id, as 'ls' shows.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here; a folder keeps the name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that was not named with -o.")] = False,
    accept_successor: Annotated[
        bool,
        typer.Option(
            "--accept-successor", help="The instance was restored, and you know: go on with the ledger that it has now."
        ),
    ] = False,
    instance: Instance = "",
    json: Json = False,
) -> None:
    """Fetch a file: resumed where it stopped, its digest checked, and its entry found in the instance's ledger.

    Exit code 1 when it is not there for you (any more), 4 when what came, or the ledger, does not hold.

    Example: keten get /election-cards/voters-2026.csv -o voters.csv
    """
    from keten.cli.supplier.download import Download
    from keten.cli.supplier.following import follow
    from keten.cli.supplier.shares import looked_up
    from keten.cli.supplier.witness import Witness

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    chosen, logins = login_of(surroundings, instance)
    session = session_of(ctx, chosen, PATIENCE)
    chosen = follow(logins, chosen, session.fetch, accept=accept_successor)
    wanted = looked_up(session, remote)
    target = _target(wanted, out)
    there = _is_there(target, wanted)
    if target.exists() and out is None and not force and not there:
        raise Conflict(
            "exists", f"{target} exists, and is something else; name it with -o, or replace it with --force."
        )
    witness = Witness(logins, chosen, session.fetch)
    fetched = None
    if not there:
        download = Download(session, wanted, target, lambda one: logins.expect(chosen.ledger_key, one))
        fetched = download.run()
    output.say(f"{target}: {'is there already' if there else 'fetched'}, and its digest is right.")
    checkpoint = witness.verify(witness.pending())
    entry = fetched.entries[-1] if fetched and fetched.entries else None
    output.result(
        {
            "file": str(target),
            "path": wanted.path,
            "id": wanted.id,
            "size": wanted.size,
            "digest": wanted.digest,
            "resumed_from": fetched.resumed_from if fetched else None,
            "entry": entry.entry if entry else None,
            "index": entry.index if entry else None,
            "ledger": {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()},
        }
    )
    if entry:
        output.line(
            f"Entry {entry.index} ({entry.entry}) records it; it is in the ledger of {checkpoint.size} entries,"
        )
        output.line("which goes on from the one that was seen here before.")


def logout(ctx: typer.Context, instance: Instance = "", json: Json = False) -> None:
    """Forget a login. Your key stays in its file; what was seen of the ledger is kept, to check it again later.

    Example: keten logout --instance files.gemeente.example
    """
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    chosen, logins = login_of(surroundings, instance)
    logins.remove(chosen.url)
    output.result({"instance": chosen.url})
    output.line(f"Forgot the login to {chosen.url}.")


def login_of(surroundings: Surroundings, instance: str) -> tuple[Login, Logins]:
    """The login that is meant, and where all are kept."""
    from keten.cli.supplier.logins import Logins

    logins = Logins(surroundings.config)
    return logins.choose(instance), logins


def session_of(ctx: typer.Context, login: Login, patience: float = 0.0) -> Session:
    """A session for the command that runs; its connection is closed when the command ends."""
    from keten.cli.supplier.keys import load_key
    from keten.cli.supplier.proofs import Prover
    from keten.cli.supplier.session import Session
    from keten.cli.supplier.wire import Wire

    key = load_key(Path(login.key), Path(login.passphrase_file) if login.passphrase_file else None)
    surroundings: Surroundings = ctx.obj
    wire = Wire(login.url, login.ca, surroundings.proxies)
    ctx.call_on_close(wire.close)
    return Session(wire, Prover(login.client_id, key), patience)


def _client_id(text: str) -> str:
    from keten.core.ids import is_id

    if not is_id(text):
        raise Invalid("client", f"{text!r} is not a client's id: 26 small letters and digits, from the organisation.")
    return text


def _authority(path: Path | None) -> tuple[str, str]:
    """An authority's certificates (PEM), and the fingerprint of the first; empty without a file."""
    from keten.core.certificates import fingerprint

    if path is None:
        return "", ""
    try:
        text = path.read_bytes()[: 1 << 20].decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("ca", f"{path} cannot be read as a certificate.", str(error)) from error
    try:
        return text, fingerprint(text.encode("ascii"))
    except ValueError as error:
        raise Invalid("ca", f"{path} holds no certificate (PEM).", str(error)) from error


def _target(wanted: Remote, out: Path | None) -> Path:
    """Where the file goes. A name that the other side chose is only a name, in the folder that we are in or named."""
    if out is not None and not out.is_dir():
        if not out.absolute().parent.is_dir():
            raise Invalid("file", f"There is no folder {out.absolute().parent} to write it in.")
        return out
    name = wanted.name
    if name != Path(name).name or name in ("", ".", "..") or name.startswith(".") or not name.isprintable():
        raise Invalid("file-name", f"{name!r} is no name to write without being asked; say where with -o FILE.")
    return (out or Path()) / name


def _is_there(target: Path, wanted: Remote) -> bool:
    """Whether the very file is there already: then nothing is fetched, and nothing charged."""
    from hashlib import file_digest

    from keten.vault.rules import digest_text

    if not target.is_file() or target.stat().st_size != wanted.size:
        return False
    with target.open("rb") as stream:
        return digest_text(file_digest(stream, "sha256").digest()) == wanted.digest


def _moment(text: str) -> str:
    return text[:16].replace("T", " ") + " UTC"
