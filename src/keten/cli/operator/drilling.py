"""`keten drill`: an incident replayed on a throwaway instance, with a scoreboard."""

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

DRILLS = ("contract-end", "fork")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which: {', '.join(DRILLS)}.", show_default=False)],
    evidence: Annotated[
        Path | None, typer.Option(metavar="DIR", help="fork: keep the evidence that was found, and the ledger's key.")
    ] = None,
    json: Json = False,
) -> None:
    """Replay an incident as real attacks on throwaway instances, and see what got out and who noticed.

    contract-end: a contract ends during downloads; then a gateway in the attacker's hands, and a row changed in the
    database. fork: three institutions witness each other, and one rewrites its ledger with its own key. Your own
    instances are not touched. Each takes a minute or two. Exit code 1 when something did not hold, or somebody did not
    notice.

    Example: keten drill contract-end
    """
    if name not in DRILLS:
        raise Invalid("drill", f"There is no drill {name!r}; there is: {', '.join(DRILLS)}.")
    if evidence is not None and name != "fork":
        raise Invalid("options", "--evidence goes with the drill fork.")
    board = _fork(evidence) if name == "fork" else _contract_end()
    _show(Output(json=json), board)
    if not board.held:
        raise typer.Exit(exits.NO)


def _contract_end() -> Scoreboard:
    from keten.drills.contract_end import ContractEnd

    return ContractEnd(say).run()


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
    output.line("Everything held." if board.held else "Not everything held.")
