"""`keten witness …`: be a witness of other institutions' ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli.options import Json
from keten.cli.output import Output
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.witness.folder import WitnessFolder

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The witness's folder.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    witness = typer.Typer(
        no_args_is_help=True, help="Be a witness: cosign other institutions' ledgers, and notice when one is forked."
    )
    for command in (init, run, add, key):
        witness.command()(command)
    app.add_typer(witness, name="witness")


def init(
    folder: Folder,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="An address without https://, of your own.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Make a witness: a key, and a folder for the logs that it watches. It needs no instance.

    Example: keten witness init witness --name witness.gemeente.example/keten
    """
    from keten.witness.folder import WitnessFolder, checked_name

    output = Output(json=json)
    made = WitnessFolder(folder).create(checked_name(name))
    verifier_key = made.key.verifier_key()
    output.result({"folder": str(folder), "name": name, "key": verifier_key})
    output.line(f"Made a witness in {folder}. Give its key to those whose ledgers it is to cosign:")
    output.line(verifier_key)
    output.line("Next: keten witness add, with the verifier key of each ledger; then keten witness run.")


def run(
    folder: Folder,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where it listens; port 0 picks one.")
    ] = "127.0.0.1:8090",
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM certificate and chain: then it speaks HTTPS.")
    ] = None,
    certificate_key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM key of the certificate.")] = None,
    json: Json = False,
) -> None:
    """Answer the logs that are watched, until SIGTERM or Ctrl-C (c2sp.org/tlog-witness).

    A checkpoint is cosigned only when it goes on from the one before it. Of a log that shows two histories, what proves
    it is kept in DIR/evidence. With --json, one line on stdout says that it listens, and where.

    Example: keten witness run witness --listen 127.0.0.1:8090
    """
    import logging

    from keten.witness.server import serve

    if (certificate is None) != (certificate_key is None):
        raise Invalid("certificate", "Give --certificate and --certificate-key together.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s witness: %(levelname)s %(message)s")
    output = Output(json=json)
    opened = _there(folder)

    def ready(url: str) -> None:
        output.result({"ready": True, "witness": url, "key": opened.cosigner().key.verifier_key()})
        output.line(f"The witness listens at {url}. Ctrl-C stops it.")

    serve(opened, listen, ready, str(certificate or ""), str(certificate_key or ""))


def add(
    folder: Folder,
    log_keys: Annotated[
        list[str], typer.Argument(metavar="KEY…", help="Ledgers' verifier keys (each its key.pub).", show_default=False)
    ],
    *,
    second: Annotated[
        bool, typer.Option("--second", help="Also a ledger that was restored where another restored one is watched.")
    ] = False,
    json: Json = False,
) -> None:
    """Watch ledgers from now on, also while the witness runs. Twice is fine; another key for it is refused.

    So is a second ledger that goes on from one of the same institution: then a backup of it was restored twice.

    Example: keten witness add witness "$(cat key.pub)"
    """
    output = Output(json=json)
    opened = _there(folder)
    added = [opened.add(log_key, second=second) for log_key in log_keys]
    output.result([{"origin": one.verifier.name, "key": one.key} for one in added])
    for one in added:
        output.line(f"The ledger {one.verifier.name} is watched.")


def key(folder: Folder, json: Json = False) -> None:
    """Print the witness's verifier key, and the ledgers that it watches with the size that it cosigned at last.

    Example: keten witness key witness
    """
    output = Output(json=json)
    opened = _there(folder)
    verifier_key = opened.cosigner().key.verifier_key()
    sizes = {}
    for one in opened.logs():
        newest = one.newest()
        sizes[one.verifier.name] = newest.size if newest is not None else 0
    output.result({"key": verifier_key, "logs": sizes})
    output.line(verifier_key)
    for origin, size in sizes.items():
        output.line(f"  {origin}: {size} entries cosigned")


def _there(folder: Path) -> WitnessFolder:
    from keten.witness.folder import WitnessFolder

    opened = WitnessFolder(folder)
    opened.cosigner()
    return opened
