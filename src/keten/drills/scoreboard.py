"""What a drill found: one line per attack, with what got out."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.drills.comparing import Compared
from keten.drills.words import told


class Line(msgspec.Struct, frozen=True):
    """One attack. `held`: whether Keten did what it promises. `figures`: milliseconds, bytes and the like, by name."""

    attack: str
    promised: str
    seen: str
    held: bool
    figures: dict[str, Any] = {}


class Scoreboard(msgspec.Struct):
    """A drill's name and lines, in the order in which they happened. skipped: what was not drilled, and why.

    language: "en" or "nl", of lines that are told. compared: the same attacks under other watchers.
    """

    drill: str
    lines: list[Line] = []
    skipped: str = ""
    language: str = "en"
    compared: list[Compared] = []

    @property
    def held(self) -> bool:
        """Whether every line held."""
        return bool(self.lines) and all(line.held for line in self.lines)

    def add(self, attack: str, promised: str, seen: str, *, held: bool, **figures: Any) -> None:
        """One more line."""
        self.lines.append(Line(attack, promised, seen, held, figures))

    def tell(self, code: str, *, held: bool, **figures: Any) -> None:
        """One more line, in the words that `words.LINES` has for it."""
        attack, promised, seen = told(code, figures, self.language)
        self.add(attack, promised, seen, held=held, **figures)
