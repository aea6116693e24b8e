"""`keten ledger …`: verify, prove and export. Reads the database read-only, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from keten.cli import exits
from keten.cli.operator import entries, outside
from keten.cli.operator.restoring import recover
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.ledger.faults import Report
    from keten.ledger.notes import Checkpoint, Verifier

QUICK = 4096  # entries that a quick verification looks at


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    ledger = typer.Typer(no_args_is_help=True, help="The ledger: check it, read it, take proofs and copies of it.")
    ledger.command()(verify)
    entries.register(ledger)
    ledger.command()(prove)
    ledger.command()(export)
    outside.register(ledger)
    ledger.command()(recover)
    app.add_typer(ledger, name="ledger")


def verify(
    ctx: typer.Context,
    home: Home = "",
    key: Annotated[
        str, typer.Option(metavar="KEY", help="The verifier key you noted earlier; else ledger/key.pub.")
    ] = "",
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A checkpoint that you kept: the ledger must go on from it; repeatable."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"Only the head and the newest {QUICK} entries.")] = False,
    json: Json = False,
) -> None:
    """Check all of it: tree, signatures, payloads, published files, and every row of the register.

    Names everything that does not hold, and where. Exit code 1 when something does not hold, 4 when a file cannot
    be read. Run it as often as you like; the instance may be running. A kept FILE is a checkpoint, a witnessed note or
    evidence; where the ledger does not go on from it, evidence of that is written to ./keten-evidence.

    Example: keten ledger verify --home keten
    """
    from keten.budgets.checking import ChargesCheck
    from keten.core.db import translated
    from keten.ledger.verify import verify as verify_all
    from keten.vault.checking import ContentCheck

    know_every_table()
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    paths = settings.paths
    with translated(), Counted("entries") as counted:
        report = verify_all(
            settings.state,
            paths.ledger,
            key=key,
            checks=() if quick else (ChargesCheck(), ContentCheck(paths.store)),
            newest=QUICK if quick else None,
            progress=counted.told,
        )
    report = _with_outside(report, settings, against or [], key)
    _show_report(output, report)
    if report.unreadable:
        raise typer.Exit(exits.CORRUPT)
    if not report.ok:
        raise typer.Exit(exits.NO)


def _with_outside(report: Report, settings: Settings, against: list[Path], key: str) -> Report:
    """The report with what outsiders signed, and with the checkpoints that were kept."""
    from msgspec.structs import replace

    named = report.unreadable or any(fault.where == "key" for fault in report.faults)
    faults, signed = ([], 0) if named else outside.signature_faults(settings, key)
    faults += outside.against(settings, against, key)
    checked = report.checked | ({"outside signatures": signed} if signed else {})
    if against:
        checked["kept checkpoints"] = len(against)
    return replace(report, faults=(*report.faults, *faults), checked=checked)


def know_every_table() -> None:
    """Have every room declare its rows of the register, or they would not be compared with the ledger."""
    import keten.budgets.extras
    import keten.identity.people_entries
    import keten.identity.people_tables
    import keten.identity.recovery.tables
    import keten.identity.recovery_entries
    import keten.subjects.requests
    import keten.suppliers.register
    import keten.vault.service
    import keten.watch.handling  # noqa: F401


def _show_report(output: Output, report: Report) -> None:
    import msgspec

    output.result({"ok": report.ok} | msgspec.to_builtins(report))
    for fault in report.faults:
        output.line(f"✗ {fault}")
    for where, count in report.more.items():
        output.line(f"✗ {where}: and {count} more")
    for note in report.notes:
        output.line(f"· {note}")
    counts = ", ".join(f"{count} {what}" for what, count in report.checked.items())
    output.line(f"{report.origin}: {report.size} entries, {report.published or 0} published ({counts}).")
    output.line(f"root {_as_signed(report.root)}")
    if report.ok:
        output.line("Everything that was looked at holds." if report.quick else "Everything holds.")
    else:
        output.line("Not everything holds.")


def _as_signed(root: str) -> str:
    """A root in hex as a checkpoint has it, and keten-verify.py prints it: in base64."""
    from keten.ledger.notes import to_base64

    return to_base64(bytes.fromhex(root))


def prove(
    ctx: typer.Context,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="An entry's id or index.", show_default=False)],
    home: Home = "",
    out: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here.")] = None,
    json: Json = False,
) -> None:
    """An offline proof that an entry is in the ledger (c2sp.org/tlog-proof); with key.pub, anyone can check it.

    Example: keten ledger prove 4711 -o opened.tlog-proof
    """
    from keten.core.files import Files
    from keten.ledger.prooffile import ProofFile, verify_proof
    from keten.ledger.proofs import prove_inclusion
    from keten.ledger.tiles import TileReader

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if out is not None and not out.absolute().parent.is_dir():
        raise Invalid("file", f"There is no folder {out.absolute().parent} to write it in.")
    index = _index(settings, entry)
    verifier, checkpoint = _published(settings)
    if index >= checkpoint.size:
        if index >= _recorded(settings):
            raise Invalid("unknown-entry", "There is no such entry in this ledger.")
        raise Unavailable(
            "not-published", f"Entry {index} is not published yet; the checkpoint covers {checkpoint.size} entries."
        )
    reader = TileReader(settings.paths.ledger, checkpoint.size, checkpoint.root)
    proof = ProofFile(index, prove_inclusion(reader, index).path, checkpoint.note, reader.leaf(index))
    verify_proof(proof, verifier)
    text = proof.encode()
    if out is not None:
        Files().write(out, text.encode())
    result = {"index": index, "size": checkpoint.size, "origin": checkpoint.origin, "file": out and str(out)}
    output.result(result | {"proof": text})
    output.line(f"{out}: entry {index} of {checkpoint.size}." if out else text.removesuffix("\n"))


def _index(settings: Settings, entry: str) -> int:
    """The index of an entry that is named by its index or, asking the keeper, by its id."""
    if entry.isascii() and entry.isdigit() and len(entry) < 20:
        return int(entry)
    from keten.cli.operator.keeping import keeper
    from keten.core.ids import is_id
    from keten.keeper.protocol import Locate, Recorded

    if not is_id(entry):
        raise Invalid("entry", f"{entry!r} is neither an entry's id nor its index.")
    with keeper(settings) as client:
        return client.call("ledger.locate", Locate(entry), Recorded).index


def _recorded(settings: Settings) -> int:
    """How many entries the ledger has."""
    from keten.core.db import reading_engine, translated
    from keten.ledger.reading import size

    engine = reading_engine(settings.state)
    try:
        with translated(), engine.connect() as connection:
            return size(connection)
    finally:
        engine.dispose()


def _published(settings: Settings) -> tuple[Verifier, Checkpoint]:
    from keten.ledger.notes import MAX_NOTE_BYTES, Verifier, parse_checkpoint
    from keten.ledger.tiles import read_file

    folder = settings.paths.ledger
    verifier = Verifier.parse(read_file(folder, "key.pub", MAX_NOTE_BYTES).decode("utf-8", "replace"))
    return verifier, parse_checkpoint(read_file(folder, "checkpoint", MAX_NOTE_BYTES), verifier)


def export(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Copy the ledger with its payloads for an auditor; that it was taken is itself an entry, made first.

    The copy holds what keten-verify.py needs: tree, key.pub, and entries.jsonl with payloads and salts.

    Example: keten ledger export ledger-2026 --home keten
    """
    from keten.cli.operator.keeping import keeper
    from keten.core.db import reading_engine, translated
    from keten.core.errors import Conflict
    from keten.keeper.protocol import Exported as Taken
    from keten.keeper.protocol import Recorded
    from keten.ledger.export import export as export_all
    from keten.ledger.reading import size

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):  # before it is recorded as taken
        raise Conflict("not-empty", f"{target} is not empty; a copy is made in a new folder.")
    engine = reading_engine(settings.state)
    try:
        with translated():
            with engine.connect() as connection:
                entries_there = size(connection)
            with keeper(settings) as client:
                taken = client.call("ledger.exported", Taken(entries_there, str(target)), Recorded)
            with engine.connect() as connection, Counted("entries") as counted:
                exported = export_all(connection, settings.paths.ledger, target, counted.told, policy=_policy(settings))
    finally:
        engine.dispose()
    output.result(
        {"size": exported.size, "root": exported.root, "origin": exported.origin, "entry": taken.entry}
        | {"folder": str(target)}
    )
    output.line(f"{target}: {exported.size} entries of {exported.origin}, root {_as_signed(exported.root)}.")
    output.line(f"Entry {taken.entry} says that this copy was taken. It holds payloads: give it to the auditor only.")


def _policy(settings: Settings) -> bytes | None:
    """The policy's own bytes, once they were read as one."""
    from keten.ledger.quorum import load_policy

    if load_policy(settings) is None:
        return None
    return (Path(settings.home) / settings.witnesses.policy).read_bytes()


class Counted:
    """Progress that counts, on a terminal."""

    def __init__(self, what: str) -> None:
        import sys

        self._what = what
        self._show = sys.stderr.isatty()
        self._shown = False

    def told(self, done: int, total: int) -> None:
        """So many are done."""
        if self._show and total:
            self._shown = True
            typer.echo(f"\r{done * 100 // total:3d} %  {done} of {total} {self._what}", err=True, nl=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            typer.echo("", err=True)
