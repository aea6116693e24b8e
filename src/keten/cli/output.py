"""What a command prints: its result on stdout, as text or as JSON; everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import typer

from keten.cli import exits
from keten.core.errors import KetenError
from keten.suppliers.mistakes import plain


class ReaderGone(Exception):
    """Whoever read the result (`head`, a pager) has seen enough: no failure, but nothing more is worth printing."""


class Output:
    """One command's output. Whatever came from outside is printed without control characters."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def result(self, value: Any) -> None:
        """The result as one line of JSON, when that was asked for."""
        if self.json:
            self._write(msgspec.json.encode(value) + b"\n")

    def line(self, text: str = "") -> None:
        """A line of the result for people; nothing when JSON was asked for."""
        if not self.json:
            self._write(printable(text).encode("utf-8", "backslashreplace") + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of the result for people; nothing when JSON was asked for."""
        if self.json:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        console = Console(markup=False, highlight=False)
        if not console.is_terminal:
            console.width = 240  # what is piped on is not folded to a screen that is not there
        with console.capture() as captured:
            console.print(table)
        self._write(captured.get().encode("utf-8", "backslashreplace"))

    def steps(self, steps: Iterable[Mapping[str, str]], otherwise: str = "see 'keten status', and do it again") -> None:
        """The steps of what ends something, a line each; exit code 3 when one of them is not done.

        otherwise: what to do about such a step.
        """
        done = True
        for step in steps:
            done = done and step["outcome"] != "not-done"
            self.line(f"{step['outcome']:9} {step['step']}: {step['detail']}")
        if not done:
            self.say(f"Not everything is done; {otherwise}.")
            raise typer.Exit(exits.UNAVAILABLE)

    def say(self, text: str) -> None:
        """Progress or a remark, on stderr."""
        say(text)


def say(text: str) -> None:
    """A line on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def tell(error: KetenError, next_step: str) -> None:
    """An error on stderr: what is wrong, the private reason (the operator may know), what to do next."""
    if error.code == "estate" and error.reason:  # FILE:LINE: reason, as editors know it; what comes of it last
        say(error.public)
        say(f"keten: {error.reason}")
        return
    say(f"keten: {error.public}")
    if error.reason:
        say(f"       {error.reason}")
    if next_step:
        say(f"       {next_step}")


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey; lines stay lines."""
    return "\n".join(plain(line) for line in text.split("\n"))
