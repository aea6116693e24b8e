"""`keten drill`: an incident replayed on throwaway instances, with a scoreboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Json
from keten.cli.output import Output, say
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.drills.scoreboard import Scoreboard

DRILLS = ("contract-end", "fork", "france-travail", "restore", "webex")
FULL = 37_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which: {', '.join(DRILLS)}.", show_default=False)],
    evidence: Annotated[
        Path | None, typer.Option(metavar="DIR", help="fork: keep the evidence that was found, and the ledger's key.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="france-travail: a register of 37 million people instead of one million.")
    ] = False,
    json: Json = False,
) -> None:
    """Replay an incident as real attacks on throwaway instances, and see what got out and who noticed.

    contract-end: a contract ends during downloads; then a gateway in the attacker's hands, and a row changed in the
    database. fork: three institutions witness each other, and one rewrites its ledger with its own key. france-travail:
    stolen logins of advisers, against a register of a million people. restore: a disk is lost under load; a backup is
    restored, and then moved to PostgreSQL. webex: ids and keys are guessed. Your own instances are not touched. Each
    takes a minute or a few (--full: half an hour, and 10 GB). Exit code 1 when something did not hold or somebody did
    not notice, 3 when a part was skipped.

    Example: keten drill contract-end
    """
    if name not in DRILLS:
        raise Invalid("drill", f"There is no drill {name!r}; there is: {', '.join(DRILLS)}.")
    for option, given, belongs in (("--evidence", evidence is not None, "fork"), ("--full", full, "france-travail")):
        if given and name != belongs:
            raise Invalid("options", f"{option} goes with the drill {belongs}.")
    board = _fork(evidence) if name == "fork" else _board(name, full=full)
    _show(Output(json=json), board)
    if not board.held:
        raise typer.Exit(exits.NO)
    if board.skipped:
        raise typer.Exit(exits.UNAVAILABLE)


def _board(name: str, *, full: bool) -> Scoreboard:
    """Run the drill of this name."""
    from keten.drills.contract_end import ContractEnd
    from keten.drills.france_travail import FranceTravail
    from keten.drills.restore import Restore
    from keten.drills.webex import Webex

    if full:
        return FranceTravail(say, FULL).run()
    if name == "contract-end":
        return ContractEnd(say).run()
    if name == "restore":
        return Restore(say).run()
    return FranceTravail(say).run() if name == "france-travail" else Webex(say).run()


def _fork(evidence: Path | None) -> Scoreboard:
    from tempfile import TemporaryDirectory

    from keten.drills.fork import Fork

    with TemporaryDirectory(prefix="keten-drill-") as folder:
        return Fork(say, Path(folder)).run(evidence)


def _show(output: Output, board: Scoreboard) -> None:
    import msgspec

    output.result({"held": board.held} | msgspec.to_builtins(board))
    for line in board.lines:
        output.line(f"{'✓' if line.held else '✗'} {line.attack}")
        output.line(f"    promised: {line.promised}")
        output.line(f"    seen:     {line.seen}")
    if board.skipped:
        output.line(f"– {board.skipped}")
    rest = " What was skipped was not tried." if board.skipped else ""
    output.line(f"Everything held.{rest}" if board.held else "Not everything held.")
