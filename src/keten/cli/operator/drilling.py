"""`keten drill`: an incident replayed on throwaway instances, with a scoreboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.operator.decisions import LANGUAGES
from keten.cli.options import Json
from keten.cli.output import Output, say
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.drills.scoreboard import Scoreboard

DRILLS = ("contract-end", "fork", "france-travail", "helpdesk", "restore", "webex")
TOLD = ("france-travail", "webex")
"""Those whose scoreboard is there in both languages."""
MILLION, FULL = 1_000_000, 37_000_000

_SAID = {
    "en": ("promised:", "seen:", "Everything held.", "Not everything held.", " What was skipped was not tried."),
    "nl": (
        "beloofd:",
        "gezien:",
        "Alles hield stand.",
        "Niet alles hield stand.",
        " Wat is overgeslagen, is niet geprobeerd.",
    ),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which: {', '.join(DRILLS)}.", show_default=False)],
    evidence: Annotated[
        Path | None, typer.Option(metavar="DIR", help="fork: keep the evidence that was found, and the ledger's key.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="france-travail: a register of 37 million people instead of one million.")
    ] = False,
    lang: Annotated[
        str, typer.Option(metavar="nl|en", help="france-travail, webex: language of the scoreboard; that of LANG else.")
    ] = "",
    json: Json = False,
) -> None:
    """Replay an incident as real attacks on throwaway instances, and see what got out and who noticed.

    contract-end: a contract ends during downloads; then a gateway in the attacker's hands, and a row changed in the
    database. fork: three institutions witness each other, and one rewrites its ledger with its own key. france-travail:
    one stolen login, then ten, then a patient thief, against a register of a million people; what the watch and a
    syslog server see of it, and what peers' published thresholds would. helpdesk: callers, an insider at the helpdesk
    and a thief of a mailbox want a key for somebody else's account. restore: a disk is lost under load; a backup is
    restored, and then moved to PostgreSQL. webex: ids and keys are guessed, with the same comparison. Your own
    instances are not touched. Each takes a minute or a few (--full: half an hour, and 6 GB). Exit code 1 when
    something did not hold or somebody did not notice, 3 when a part was skipped.

    Example: keten drill contract-end
    """
    if name not in DRILLS:
        raise Invalid("drill", f"There is no drill {name!r}; there is: {', '.join(DRILLS)}.")
    for option, given, belongs in (
        ("--evidence", evidence is not None, ("fork",)),
        ("--full", full, ("france-travail",)),
        ("--lang", bool(lang), TOLD),
    ):
        if given and name not in belongs:
            raise Invalid("options", f"{option} goes with the drill {' or '.join(belongs)}.")
    surroundings: Surroundings = ctx.obj
    language = lang or surroundings.language
    if language not in LANGUAGES:
        raise Invalid("language", f"--lang is nl or en, not {language!r}.")
    board = _fork(evidence) if name == "fork" else _board(name, language, full=full)
    _show(Output(json=json), board)
    if not board.held:
        raise typer.Exit(exits.NO)
    if board.skipped:
        raise typer.Exit(exits.UNAVAILABLE)


def _board(name: str, language: str, *, full: bool) -> Scoreboard:
    """Run the drill of this name."""
    from keten.drills.contract_end import ContractEnd
    from keten.drills.france_travail import FranceTravail
    from keten.drills.helpdesk import Helpdesk
    from keten.drills.restore import Restore
    from keten.drills.webex import Webex

    if name == "contract-end":
        return ContractEnd(say).run()
    if name == "helpdesk":
        return Helpdesk(say).run()
    if name == "restore":
        return Restore(say).run()
    if name == "france-travail":
        return FranceTravail(say, FULL if full else MILLION, language=language).run()
    return Webex(say, language=language).run()


def _fork(evidence: Path | None) -> Scoreboard:
    from tempfile import TemporaryDirectory

    from keten.drills.fork import Fork

    with TemporaryDirectory(prefix="keten-drill-") as folder:
        return Fork(say, Path(folder)).run(evidence)


def _show(output: Output, board: Scoreboard) -> None:
    import msgspec

    output.result({"held": board.held} | msgspec.to_builtins(board))
    promised, seen, held, not_held, rest = _SAID[board.language]
    width = max(len(promised), len(seen)) + 1
    for line in board.lines:
        output.line(f"{'✓' if line.held else '✗'} {line.attack}")
        output.line(f"    {promised:<{width}}{line.promised}")
        output.line(f"    {seen:<{width}}{line.seen}")
    if board.skipped:
        output.line(f"– {board.skipped}")
    if board.compared:
        _compare(output, board)
    output.line((held + (rest if board.skipped else "")) if board.held else not_held)


def _compare(output: Output, board: Scoreboard) -> None:
    from keten.drills.words import lasted, shown, word

    language = board.language
    output.line(word("title", language))
    columns = [word(name, language) for name in ("thief", "watcher", "before_alert", "out", "seconds", "honest")]
    rows = [
        (
            word(one.thief, language),
            word(one.watcher, language),
            shown(one.before_alert, language),
            word("everything", language) if one.out is None else shown(one.out, language),
            "–" if one.seconds is None else lasted(one.seconds, language),
            "–" if one.honest is None else shown(one.honest, language),
        )
        for one in board.compared
    ]
    output.table(columns, rows)
