"""`keten backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Conflict, Invalid

if TYPE_CHECKING:
    from keten.backup.model import Known
    from keten.backup.taking import Taken, Told
    from keten.core.settings import Settings
    from keten.keeper.backup_protocol import BackupInfo

RECIPIENT_SHOWN = 40


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(backup)


def backup(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where backups go; each gets a folder of its own in it.")
    ] = None,
    *,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="RECIPIENT", help="Who can open it: age1… or ssh-ed25519 AAAA…; may be repeated."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Not encrypted: whoever has it reads everything.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Move the stopped instance: it never starts here again, but goes on there.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Which backups the instance knows.")] = False,
    forget: Annotated[
        str, typer.Option(metavar="ID", help="A backup is gone: ends and erasures are not carried to it any more.")
    ] = "",
    home: Home = "",
    json: Json = False,
) -> None:
    """Copy the instance while it serves: consistent, verified, encrypted. 'keten restore' makes an instance of it.

    Content that an earlier backup in the same folder has is not copied again; a backup that was stopped is begun
    again and goes on where its content was. Recipients: --to, or [backup] recipients in keten.toml. Exit code 1
    when it is complete but something in it does not hold.

    Example: keten backup /mnt/backups --to age1… --home keten
    """
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if listed or forget:
        if folder is not None or move:
            raise Invalid("options", "--list and --forget go without a folder.")
        _known_ones(settings, forget, output)
        return
    if folder is None:
        raise Invalid("no-folder", "Say where the backup goes: keten backup DIR.")
    recipients = tuple(to or settings.backup.recipients)
    if plain and recipients:
        if to:
            raise Invalid("options", "--to and --plain contradict each other.")
        recipients = ()
    if not recipients and not plain:
        raise Invalid(
            "no-recipient",
            "A backup holds every key: say who can open it (--to age1…, or [backup] recipients in keten.toml), "
            "or --plain for one that everybody can read who gets hold of it.",
        )
    _take(settings, folder.absolute(), recipients, output, move=move)


def _take(settings: Settings, target: Path, recipients: tuple[str, ...], output: Output, *, move: bool) -> None:
    """The whole way.

    1. Alone in the target; recipients can be used; for a move: nothing else runs.
    2. The keeper records that it begins, and knows it from here on.
    3. Data and content, read beside the keeper and verified.
    4. The keeper writes the keys part and vouches for the data; the manifest makes it a backup; the keeper records that
       it is complete.
    """
    from keten.backup import age
    from keten.backup.model import Known
    from keten.backup.taking import alone, finish, take
    from keten.cli.locks import is_up
    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.ledger import know_every_table
    from keten.cli.processes import refuse_other_user
    from keten.core.db import reading_engine, translated
    from keten.core.files import Files
    from keten.keeper.backup_protocol import BackupBegin, BackupBegun, BackupFinish, BackupKeys
    from keten.keeper.protocol import Nothing, Recorded

    know_every_table()
    files = Files()
    refuse_other_user(settings.paths.home)
    age.recipients(recipients)
    if move and is_up(settings.paths):
        raise Conflict("running", "Stop the instance first (keten up): a move is for one that serves nobody.")
    if move and _finish_move(settings, target, recipients, output):
        return
    with alone(target, files), keeper(settings) as client, Shown() as shown:
        place = target / _stamp(target)
        files.make_folder(place, 0o700)
        try:
            begun = client.call("backup.begin", BackupBegin(str(place), recipients, move), BackupBegun)
        except BaseException:
            place.rmdir()
            raise
        known = Known(begun.id, str(place), recipients, begun.made_us, begun.size, "begun")
        key = (settings.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()
        engine = reading_engine(settings.state)
        try:
            with translated():
                taken = take(engine, key, settings.paths.store, known, shown.told(), files, moved=move)
        finally:
            engine.dispose()
        client.call("backup.keys", BackupKeys(known.id, taken.manifest.data), Nothing)
        finish(known, taken.manifest, files)
        entry = ""
        if not move:
            said = BackupFinish(
                known.id,
                taken.manifest.size,
                taken.root,
                taken.manifest.data,
                taken.manifest.objects,
                len(taken.absent),
            )
            entry = client.call("backup.finish", said, Recorded).entry
    _show(output, known, taken, entry, move=move)


def _finish_move(settings: Settings, target: Path, recipients: tuple[str, ...], output: Output) -> bool:
    """Make the backup of an instance that was sealed for a move already; whether it was."""
    from msgspec.structs import replace

    from keten.backup.taking import alone, finish, take
    from keten.core.db import reading_engine, translated
    from keten.core.files import Files
    from keten.keeper.backup_keys import unfinished_move, write_moved_keys

    files = Files()
    key = (settings.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()
    engine = reading_engine(settings.state)
    try:
        found = unfinished_move(engine, key)
        if found is None:
            return False
        with alone(target, files), Shown() as shown, translated():
            known = replace(found, folder=str(target / _stamp(target)), recipients=recipients)
            files.make_folder(Path(known.folder), 0o700)
            taken = take(engine, key, settings.paths.store, known, shown.told(), files, moved=True)
            with engine.connect() as connection:
                write_moved_keys(settings, connection, known)
            finish(known, taken.manifest, files)
    finally:
        engine.dispose()
    _show(output, known, taken, "", move=True)
    return True


def _stamp(target: Path) -> str:
    """A name for a new backup: the time, and a number where there is one already."""
    from datetime import UTC, datetime

    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    number, found = 1, name
    while (target / found).exists():
        number += 1
        found = f"{name}-{number}"
    return found


def _show(output: Output, known: Known, taken: Taken, entry: str, *, move: bool) -> None:
    from keten.cli.progress import in_bytes

    manifest = taken.manifest
    output.result(
        {
            "ok": not taken.faults,
            "id": known.id,
            "folder": known.folder,
            "origin": manifest.origin,
            "size": manifest.size,
            "root": taken.root,
            "recipients": list(known.recipients),
            "plain": not known.recipients,
            "objects": manifest.objects,
            "copied": taken.copied,
            "kept": taken.kept,
            "absent": list(taken.absent),
            "bytes": manifest.data_size + manifest.content,
            "faults": list(taken.faults),
            "entry": entry or None,
            "moved": move,
        }
    )
    output.line(f"{known.folder}: {manifest.size} entries of {manifest.origin},")
    output.line(
        f"{manifest.objects} files ({taken.copied} copied, {taken.kept} there already), "
        f"{in_bytes(manifest.data_size + manifest.content)}."
    )
    if known.recipients:
        output.line(f"It opens with the key of {', '.join(map(_short, known.recipients))}. Keep that elsewhere.")
    else:
        output.line("It is NOT encrypted: whoever has this folder reads everything and can sign as this instance.")
    if move:
        output.line("This instance does not start again. There: keten restore --move, with this folder.")
    for fault in taken.faults:
        output.line(f"✗ {fault}")
    if taken.faults:
        output.line("It is complete, but what is named above does not hold, and is in it as it is.")
        raise typer.Exit(exits.NO)


def _short(recipient: str) -> str:
    """As much of a key as people compare; that it is not all of it is seen."""
    return recipient if len(recipient) <= RECIPIENT_SHOWN else f"{recipient[:RECIPIENT_SHOWN]}…"


def _known_ones(settings: Settings, forget: str, output: Output) -> None:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.backup_protocol import BackupOf, Backups
    from keten.keeper.protocol import Nothing, Recorded

    with keeper(settings) as client:
        if forget:
            recorded = client.call("backup.forget", BackupOf(forget), Recorded)
            output.result({"forgotten": forget, "entry": recorded.entry})
            output.line(f"Forgotten; entry {recorded.entry}. If that backup still exists, what ends or is erased from")
            output.line("now on is not carried to it: restoring it would bring it back.")
            return
        found = client.call("backup.list", Nothing(), Backups).backups
    output.result([_as_json(one) for one in found])
    if not found:
        output.line("This instance knows no backup of itself. See 'keten backup --help'.")
        return
    output.table(
        ("id", "made", "entries", "state", "folder"),
        [(one.id, _moment(one), str(one.size), _state(one), one.folder) for one in found],
    )


def _as_json(one: BackupInfo) -> dict[str, object]:
    from keten.core.clock import rfc3339

    return {
        "id": one.id,
        "folder": one.folder,
        "recipients": list(one.recipients),
        "plain": not one.recipients,
        "made": rfc3339(one.made_us),
        "size": one.size,
        "state": one.state,
        "reachable": one.reachable,
    }


def _moment(one: BackupInfo) -> str:
    from keten.core.clock import rfc3339

    return rfc3339(one.made_us)[:16].replace("T", " ")


def _state(one: BackupInfo) -> str:
    state = "complete" if one.state == "complete" else "not finished"
    return f"{state}{'' if one.reachable else ', not reachable'}{'' if one.recipients else ', NOT ENCRYPTED'}"


class Shown:
    """Progress on a terminal: entries, then content. content: bytes of it in all; 0 where that is not known."""

    def __init__(self, content: int = 0) -> None:
        import sys

        self._show = sys.stderr.isatty()
        self._shown = False
        self._content = 0
        self._all = content

    def told(self) -> Told:
        """What to call."""
        from keten.backup.taking import Told

        return Told(self._entries, self._bytes)

    def _entries(self, done: int, total: int) -> None:
        if total:
            self._print(f"{done * 100 // total:3d} %  {done} of {total} entries")

    def _bytes(self, count: int) -> None:
        from keten.cli.progress import in_bytes

        self._content += count
        if self._all:
            percent = self._content * 100 // self._all
            self._print(f"{percent:3d} %  {in_bytes(self._content)} of {in_bytes(self._all)} of content")
        else:
            self._print(f"content: {in_bytes(self._content)}")

    def _print(self, text: str) -> None:
        if self._show:
            self._shown = True
            typer.echo(f"\r{text:<60}", err=True, nl=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            typer.echo("", err=True)
