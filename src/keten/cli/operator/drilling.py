"""`keten drill`: an incident replayed on a throwaway instance, with a scoreboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Json
from keten.cli.output import Output, say
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.drills.scoreboard import Scoreboard

DRILLS = ("contract-end", "restore")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which: {', '.join(DRILLS)}.", show_default=False)],
    json: Json = False,
) -> None:
    """Replay an incident as real attacks on a throwaway instance, and see what got out.

    contract-end: a contract ends during downloads; then a gateway in the attacker's hands, and a row changed in the
    database. restore: a disk is lost under load; a backup is restored, and then moved to PostgreSQL. Your own instances
    are not touched. Takes about a minute. Exit code 1 when something did not hold, 3 when a part was skipped.

    Example: keten drill contract-end
    """
    if name not in DRILLS:
        raise Invalid("drill", f"There is no drill {name!r}; there is: {', '.join(DRILLS)}.")
    board = _board(name)
    _show(Output(json=json), board)
    if not board.held:
        raise typer.Exit(exits.NO)
    if board.skipped:
        raise typer.Exit(exits.UNAVAILABLE)


def _board(name: str) -> Scoreboard:
    """Run the drill of this name."""
    if name == "restore":
        from keten.drills.restore import Restore

        return Restore(say).run()
    from keten.drills.contract_end import ContractEnd

    return ContractEnd(say).run()


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
