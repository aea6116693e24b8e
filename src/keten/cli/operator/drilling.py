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

DRILLS = ("contract-end", "france-travail", "webex")
FULL = 37_000_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which: {', '.join(DRILLS)}.", show_default=False)],
    full: Annotated[
        bool, typer.Option("--full", help="france-travail: a register of 37 million people instead of one million.")
    ] = False,
    json: Json = False,
) -> None:
    """Replay an incident as real attacks on a throwaway instance, and see what got out.

    contract-end: a contract ends during downloads; then a gateway in the attacker's hands, and a row changed in the
    database. france-travail: stolen logins of advisers, against a register of a million people. webex: ids and keys
    are guessed. Your own instances are not touched. Takes a minute or a few (--full: half an hour, and 10 GB).
    Exit code 1 when something did not hold.

    Example: keten drill contract-end
    """
    if name not in DRILLS:
        raise Invalid("drill", f"There is no drill {name!r}; there is: {', '.join(DRILLS)}.")
    board = _run(name, full=full)
    _show(Output(json=json), board)
    if not board.held:
        raise typer.Exit(exits.NO)


def _run(name: str, *, full: bool) -> Scoreboard:
    from keten.drills.contract_end import ContractEnd
    from keten.drills.france_travail import FranceTravail
    from keten.drills.webex import Webex

    if name == "france-travail":
        return (FranceTravail(say, FULL) if full else FranceTravail(say)).run()
    return (ContractEnd(say) if name == "contract-end" else Webex(say)).run()


def _show(output: Output, board: Scoreboard) -> None:
    import msgspec

    output.result({"held": board.held} | msgspec.to_builtins(board))
    for line in board.lines:
        output.line(f"{'✓' if line.held else '✗'} {line.attack}")
        output.line(f"    promised: {line.promised}")
        output.line(f"    seen:     {line.seen}")
    output.line("Everything held." if board.held else "Not everything held.")
