"""`keten ledger evidence`, and what `keten ledger verify` checks of outside signatures and kept checkpoints."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Json
from keten.cli.output import Output
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.ledger.evidence import Evidence
    from keten.ledger.faults import Fault

EVIDENCE_FOLDER = "keten-evidence"
LARGEST = 1 << 22


def register(ledger: typer.Typer) -> None:
    """Add this module's command to `keten ledger`."""
    ledger.command()(evidence)


def evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What was kept as evidence.", show_default=False)],
    key: Annotated[str, typer.Option(metavar="KEY", help="The verifier key you noted; else the one in the file.")] = "",
    json: Json = False,
) -> None:
    """Whether a file of evidence proves that a ledger showed two histories. It needs no instance.

    Exit code 0 when it proves a fork, 1 when it does not, 4 when it is no evidence at all. 'keten-verify.py evidence'
    says the same.

    Example: keten ledger evidence 20261128T193020-123456.json --key "$(cat key.pub.kept)"
    """
    from keten.ledger.evidence import decode, judge

    output = Output(json=json)
    found = decode(content_of(file))
    verdict = judge(found, key)
    output.result(
        {"fork": verdict.fork, "why": verdict.why, "origin": verdict.origin, "key": key or found.ledger_key}
        | {"kept_size": verdict.kept_size, "shown_size": verdict.shown_size, "by": found.by, "time": found.time}
    )
    if not key:
        output.line(f"· the key came with the evidence; compare it with the one you know: {found.ledger_key}")
    output.line(f"{file}: {found.what} ({found.by}, {found.time})")
    output.line(f"It PROVES a fork: {verdict.why}." if verdict.fork else f"It proves no fork: {verdict.why}.")
    if not verdict.fork:
        raise typer.Exit(exits.NO)


def signature_faults(settings: Settings, key: str) -> tuple[list[Fault], int]:
    """What does not hold of the outside signatures of an instance, and how many heads outsiders have signed.

    A key that is malformed, and a database that cannot be read, were named by then.
    """
    from sqlalchemy.exc import DBAPIError

    from keten.core.db import reading_engine
    from keten.ledger.faults import Fault
    from keten.ledger.notes import Verifier
    from keten.ledger.outside import is_kept, kept_stamps, read_outside
    from keten.ledger.outsidefaults import outside_signature_faults
    from keten.ledger.quorum import load_policy
    from keten.ledger.reading import UNREADABLE
    from keten.ledger.stamps import load_roots

    paths = settings.paths
    verifier = Verifier.parse(key or (paths.ledger / "key.pub").read_text(encoding="utf-8").strip())
    policy = load_policy(settings)
    stamping = settings.timestamps
    roots = load_roots(Path(settings.home) / stamping.ca) if stamping.ca else ()
    engine = reading_engine(settings.state)
    try:
        with engine.connect() as connection:
            if not is_kept(connection):
                return [], 0
            faults = list(outside_signature_faults(connection, paths.ledger, verifier, policy, roots))
            signed = len(read_outside(connection, verifier.name, policy).last) + len(list(kept_stamps(connection)))
    except (DBAPIError, *UNREADABLE) as error:
        return [Fault("outside", f"it cannot be read: {error}", unreadable=True)], 0
    finally:
        engine.dispose()
    return faults, signed


def against(settings: Settings, files: list[Path], key: str) -> list[Fault]:
    """Whether the published ledger goes on from each of these kept checkpoints; evidence is written where not.

    A kept file is a checkpoint, a witnessed note, evidence, or another ledger's `predecessors`: then no log that both
    go on from may have named both. Raises `Invalid` ("no-checkpoint").
    """
    faults: list[Fault] = []
    for file in files:
        faults += _against(settings, file, key)
    return faults


def _against(settings: Settings, file: Path, key: str) -> list[Fault]:
    from keten.core.errors import Corrupt
    from keten.ledger.evidence import compare, kept_note, make
    from keten.ledger.faults import Fault
    from keten.ledger.notes import MAX_NOTE_BYTES, Verifier, parse_checkpoint
    from keten.ledger.publish import CHECKPOINT
    from keten.ledger.succession import is_chain
    from keten.ledger.tiles import TileReader, read_file

    folder = settings.paths.ledger
    own = key or (folder / "key.pub").read_text(encoding="utf-8").strip()
    verifier = Verifier.parse(own)
    content = content_of(file)
    if is_chain(content):
        return _against_chain(folder, own, content, file)
    note = kept_note(content)
    try:
        kept = parse_checkpoint(note, verifier)
        shown = parse_checkpoint(read_file(folder, CHECKPOINT, MAX_NOTE_BYTES), verifier)
    except Corrupt as error:
        return [Fault("against", f"{error.public} {error.reason}".strip(), file=str(file))]
    if kept.size > shown.size:
        what = f"it is of {kept.size} entries, and the ledger has {shown.size}: entries were cut off"
        return [Fault("against", what, file=str(file))]
    try:
        compared = compare(kept, shown, TileReader(folder, shown.size, shown.root).hash_at)
    except Corrupt as error:
        return [Fault("against", f"the ledger's files do not hold: {error}", file=str(file))]
    if compared.holds:
        return []
    what = f"the ledger of {shown.size} entries does not go on from the {kept.size} that were signed then"
    found = make(
        compared, what=what, by="auditor", source=str(folder), ledger_key=own, kept=kept.note, shown=shown.note
    )
    return [Fault("against", f"{what}; evidence is in {keep_evidence(found)}", file=str(file))]


def _against_chain(folder: Path, own: str, content: bytes, file: Path) -> list[Fault]:
    """Whether a log that both this ledger and another one go on from named only one of them; `own`: this one's key."""
    from keten.core.errors import Corrupt
    from keten.ledger.evidence import two_successors
    from keten.ledger.faults import Fault
    from keten.ledger.succession import check_chain, decode, read

    try:
        here = read(folder)
        check_chain(here, own)
        found = two_successors(decode(content), here, by="auditor", source=str(folder))
    except Corrupt as error:
        return [Fault("against", f"{error.public} {error.reason}".strip(), file=str(file))]
    if found is None:
        return []
    return [Fault("against", f"{found.what}; evidence is in {keep_evidence(found)}", file=str(file))]


def keep_evidence(found: Evidence) -> Path:
    """Write evidence into a folder of this one; where it is. Raises `Unavailable`."""
    from keten.core.files import Files
    from keten.ledger.evidence import encode, file_name

    target = Path(EVIDENCE_FOLDER).absolute() / file_name(found)
    Files().make_folder(target.parent, 0o700)
    Files().write(target, encode(found), mode=0o600)
    return target


def content_of(file: Path) -> bytes:
    """The content of a file that somebody kept. Raises `Invalid` ("file")."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe that nobody writes to: at once
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Invalid("file", f"{file} is not a regular file; write what comes from it to a file first.")
            if status.st_size > LARGEST:
                raise Invalid("file", f"{file} is too large to be that.")
            return stream.read(LARGEST)
    except OSError as error:
        raise Invalid("file", f"{file} cannot be read: {error.strerror}.") from error
