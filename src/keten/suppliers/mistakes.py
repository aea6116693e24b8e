"""Mistakes in an estate, collected so that all of them are told in one go, each with its file and line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection

import msgspec

from keten.core.errors import Invalid

MAX_TOLD = 1000
_MAX_SUGGESTIONS = 200
_MAX_CANDIDATES = 1000

# Where something stands in an estate: ("contracts", 3, "ends").
Place = tuple[str | int, ...]


class Mistake(msgspec.Struct, frozen=True):
    """One mistake. `first`: the place that has the same already, for duplicates. `line`: known without a place."""

    place: Place
    reason: str
    first: Place | None = None
    line: int = 0


class Mistakes:
    """Collects mistakes. Beyond `MAX_TOLD` they are only counted: a hostile file can't fill memory with them."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []
        self.more = 0
        self._places: set[Place] = set()
        self._suggested = 0

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, place: Place, reason: str, first: Place | None = None) -> None:
        """Note a mistake. What lies at or inside a place that has one already is not told again."""
        if any(place[:length] in self._places for length in range(len(place) + 1)):
            return
        self._tell(Mistake(place, reason, first))

    def add_line(self, line: int, reason: str) -> None:
        """Note a mistake of the file's own form."""
        self._tell(Mistake((), reason, None, line))

    def shut(self, place: Place) -> None:
        """Say nothing more about this place and what is inside it: what was said explains it."""
        self._places.add(place)

    def suggest(self, word: str, known: Collection[str]) -> str:
        """"; did you mean …?" or nothing. Bounded work, whatever the file holds."""
        if self._suggested >= _MAX_SUGGESTIONS or len(known) > _MAX_CANDIDATES or len(word) > 100:
            return ""
        self._suggested += 1
        close = difflib.get_close_matches(word, known, n=1)
        return f"; did you mean {shown(close[0])}?" if close else ""

    def refusal(self, file: str, line_of: Callable[[Place], int]) -> Invalid:
        """All mistakes as one `Invalid` ("estate"): a line of text for each, `FILE:LINE: reason`, in that order."""
        told = sorted((one.line or line_of(one.place), at) for at, one in enumerate(self.found))
        lines = [self._text(file, line, self.found[at], line_of) for line, at in told]
        if self.more:
            lines.append(f"{plain(file)}: and {self.more} more mistakes; correct these first")
        count = len(self.found) + self.more
        counted = "1 mistake" if count == 1 else f"{count} mistakes"
        return Invalid("estate", "\n".join(lines), f"{counted}; nothing was changed")

    def _tell(self, mistake: Mistake) -> None:
        if len(self.found) >= MAX_TOLD:
            self.more += 1
        else:
            self.found.append(mistake)

    def _text(self, file: str, line: int, mistake: Mistake, line_of: Callable[[Place], int]) -> str:
        where = f"{plain(file)}:{line}" if line else f"{plain(file)}: {_dotted(mistake.place)}"
        if mistake.first is None:
            return f"{where}: {mistake.reason}"
        first = line_of(mistake.first)
        return f"{where}: {mistake.reason}, first {f'at line {first}' if first else f'in {_dotted(mistake.first)}'}"


def plain(text: str) -> str:
    """Text that is safe on a terminal: what can't be printed is written as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def shown(text: str) -> str:
    """A value of the file in a message: quoted, safe, short."""
    return f"'{plain(text[:60])}{'…' if len(text) > 60 else ''}'"


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "estate"
