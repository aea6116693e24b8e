"""`keten restore`, and `keten ledger recover`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.operator.outside import content_of, keep_evidence
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.keeper.restoring import Restored


class Budgets(StrEnum):
    """What becomes of budgets whose window is running."""

    SPENT = "spent"
    KEPT = "kept"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(restore)


def restore(
    ctx: typer.Context,
    backup: Annotated[
        Path | None, typer.Argument(metavar="[BACKUP]", help="One backup: DIR/STAMP, as 'keten backup' said.")
    ] = None,
    *,
    home: Home = "",
    identity: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What opens it: an age identity, or an OpenSSH key; may be repeated."),
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The passphrase that seals the keeper's key, if one does.")
    ] = None,
    root_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The keeper's key, where the service manager held it.")
    ] = None,
    key: Annotated[str, typer.Option(metavar="KEY", help="The verifier key that the ledger must have.")] = "",
    budgets: Annotated[
        Budgets, typer.Option(help="Budgets of running windows: taken as spent, or kept as the backup has them.")
    ] = Budgets.SPENT,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name or address of the gateway, for its certificate; may be repeated."),
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="The backup was made by 'keten backup --move'.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="You looked at what a restored instance will give out: let it serve.")
    ] = False,
    seen: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With --confirm: a checkpoint that somebody kept; may be repeated."),
    ] = None,
    despite: Annotated[
        bool, typer.Option("--despite", help="With --confirm: also when a witness or such a file contradicts it.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --confirm: do not ask; needed where there is no terminal.")
    ] = False,
    json: Json = False,
) -> None:
    """Make an instance again from a backup, in a new folder. It serves nobody until you said --confirm.

    Its ledger goes on under another name and key, signed for by the old key. What ended stays ended, and what was under
    way is recorded as unknown. Stopped half-way, the same command goes on. With --confirm: shows what will be live,
    asks the policy's witnesses what they know of the ledger before, and lets the instance serve; not when one of them
    contradicts it (exit code 1).

    Example: keten restore /mnt/backups/20261128T030000Z --identity key.txt --home keten
    """
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    if confirm:
        if backup is not None:
            raise Invalid("options", "--confirm is about the instance: it goes without a backup.")
        _confirm(surroundings.instance(home), output, seen or [], despite=despite, yes=yes)
        return
    if seen or despite or yes:
        raise Invalid("options", "--seen, --despite and --yes go with --confirm.")
    if backup is None:
        raise Invalid("no-backup", "Say which backup: keten restore DIR/STAMP.")
    from keten.backup.age import identities
    from keten.backup.taking import read_manifest
    from keten.cli.operator.backing_up import Shown
    from keten.cli.operator.instance import default_hosts
    from keten.cli.output import say
    from keten.cli.processes import user_name
    from keten.core.db import translated
    from keten.keeper.restorable import Wish
    from keten.keeper.restoring import restore as restore_into

    wish = Wish(
        identities=tuple(one for path in identity or () for one in identities(path)),
        actor=f"operator:{user_name(os.geteuid())}",
        hosts=tuple(host or default_hosts()),
        passphrase=passphrase_file.read_bytes().rstrip(b"\r\n") if passphrase_file else b"",
        root=root_key.read_bytes() if root_key else b"",
        key=key,
        budgets=budgets.value,
        moved=move,
    )
    folder = surroundings.folder(home)
    source = backup.absolute()
    try:
        with translated(), Shown(read_manifest(source).content) as shown:
            restored = restore_into(surroundings.settings(folder), source, wish, shown.told())
    except KeyboardInterrupt:
        say("Stopped. The same command goes on; content that is there already is not copied again.")
        raise
    _show(output, restored, folder, move=move)


def _show(output: Output, restored: Restored, home: Path, *, move: bool) -> None:
    from keten.core.clock import moment, rfc3339

    output.result(
        {
            "home": str(home),
            "origin": restored.origin,
            "key": restored.key,
            "before": restored.before,
            "size": restored.size,
            "newest": rfc3339(restored.at_us),
            "objects": restored.objects,
            "ended": list(restored.ended),
            "ended_state": restored.ended_state,
            "destroyed": list(restored.destroyed),
            "changed": list(restored.changed),
            "missing": list(restored.missing),
            "unreadable": restored.unreadable,
            "unfinished": restored.unfinished,
            "spent": restored.spent,
            "notes": list(restored.notes),
            "confirm": not move,
        }
    )
    output.line(f"Made an instance in {home} of {restored.size} entries, the newest of {moment(restored.at_us)}.")
    if move:
        output.line(f"Its ledger {restored.origin} goes on here. Start it: keten up --home {home}")
    else:
        output.line(f"Its ledger is {restored.origin}, which goes on from {restored.before}; its key: {restored.key}")
        ended = f"{len(restored.ended)} rows, {len(restored.destroyed)} files"
        output.line(f"Ended after the backup, and here too: {ended}.")
        if restored.ended_state != "whole":
            what = f"The list of what ended after the backup is {restored.ended_state}"
            output.line(f"✗ {what}: look twice at what will be live.")
        output.line(f"Transfers whose end is not known: {restored.unfinished}.")
        output.line(f"Budgets taken as spent: {restored.spent}.")
    if restored.unreadable:
        output.line(f"Entries whose payload was erased after the backup: {restored.unreadable}.")
    for note in (*restored.changed, *restored.notes, *restored.missing):
        output.line(f"✗ {note}")
    if not move:
        output.line("It serves nobody yet. Start it, look, and then: keten restore --confirm")
    if restored.missing:
        raise typer.Exit(exits.NO)


def _confirm(settings: Settings, output: Output, seen: list[Path], *, despite: bool, yes: bool) -> None:
    """Show what will be live and what outsiders know, ask, and then let it serve. `yes`: do not ask."""
    import sys

    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.looking_back import remembered
    from keten.cli.output import say
    from keten.keeper.backup_protocol import Confirm, Confirmed

    with keeper(settings) as client:
        planned = client.call("backup.confirm", Confirm(plan_only=True), Confirmed)
        for kind, names in planned.live.items():
            say(f"{kind:10} {len(names)} live: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}")
        found = remembered(settings, seen) if planned.needed else []
        for sentence in (*planned.evidence, *(one.sentence for one in found)):
            say(sentence)
        outside = tuple(one.outsider for one in found)
        contradicted = any(one.says == "contradicts" for one in outside) and not despite  # the keeper will refuse
        if planned.needed and not yes and not contradicted:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                public = "It serves nobody yet. It is asked on a terminal whether it may; elsewhere say --yes."
                raise Invalid("not-confirmed", public)
            sys.stderr.write("End first what must not be live (keten revoke …). Let it serve? Type yes: ")
            sys.stderr.flush()
            if sys.stdin.readline().strip() != "yes":
                say("It serves nobody yet.")
                raise typer.Exit(exits.NO)
        asked = Confirm(outside=outside, despite=despite)
        done = client.call("backup.confirm", asked, Confirmed) if planned.needed else planned
    output.result(
        {
            "confirmed": planned.needed,
            "entry": done.entry or None,
            "live": {kind: list(names) for kind, names in done.live.items()},
            "evidence": [*done.evidence, *(one.sentence for one in found)],
            "outside": [{"who": one.who, "says": one.says, "size": one.size} for one in outside],
        }
    )
    if planned.needed:
        output.line(f"It serves from now on; entry {done.entry} says that you looked.")
    else:
        output.line("There is nothing to confirm, and nothing was changed.")


def recover(
    ctx: typer.Context,
    proofs: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Proofs (.tlog-proof).", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """Record that entries existed which were lost with the ledger before this one, from proofs that others kept.

    A proof is a tlog-proof file with its leaf, as 'keten get' keeps for the supplier's own entries, or 'keten ledger
    prove' made. Exit code 1 when one does not hold, or is not of a ledger that this one goes on from; 4 when one is of
    another history than the one that goes on here: evidence of that is written to ./keten-evidence.

    Example: keten ledger recover from-drukwerk/*.tlog-proof
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.backup_protocol import Recover, Recoveries
    from keten.ledger.evidence import decode

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    texts = tuple(content_of(path).decode("utf-8", "replace") for path in proofs)
    with keeper(settings) as client:
        found = client.call("backup.recover", Recover(texts), Recoveries).proofs
    kept = [keep_evidence(decode(one.evidence.encode())) if one.evidence else None for one in found]
    output.result(
        [
            {
                "file": str(path),
                "index": one.index if not one.wrong else None,
                "id": one.id or None,
                "entry": one.entry or None,
                "already": one.already,
                "lost": one.lost,
                "wrong": one.wrong or None,
                "evidence": evidence and str(evidence),
            }
            for path, one, evidence in zip(proofs, found, kept, strict=True)
        ]
    )
    for path, one, evidence in zip(proofs, found, kept, strict=True):
        if one.wrong:
            output.line(f"✗ {path}: {one.wrong}{f'; evidence is in {evidence}' if evidence else ''}")
        elif not one.lost:
            output.line(f"{path}: entry {one.index} is in this ledger: it was not lost.")
        else:
            what = "known before" if one.already else f"entry {one.entry} says so"
            output.line(f"{path}: entry {one.index} existed; {what}.")
    if any(kept):
        raise typer.Exit(exits.CORRUPT)
    if any(one.wrong for one in found):
        raise typer.Exit(exits.NO)
