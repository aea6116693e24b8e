"""A YAML file as a tree of texts, lists and mappings, each with its line. For files that may be hostile.

The parser's events are read one by one, so nothing is built before its limits are checked, and no depth of nesting
is followed by recursion. What YAML can do beyond data – anchors, aliases, tags, several documents – is refused, and
no value is guessed to be a date, a number or a yes: NO is Norway.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from keten.suppliers.mistakes import Mistakes, Place, plain, shown

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 16
MAX_NODES = 8_000_000
# Beyond what YAML forbids, the line breaks that only YAML sees: with them, our lines would not be the editor's.
_FORBIDDEN = re.compile(
    "\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class Text:
    """A scalar. `bare`: written without quotes. `refused`: it was an alias, which has been told."""

    __slots__ = ("bare", "line", "refused", "value")

    def __init__(self, line: int, value: str, *, bare: bool, refused: bool = False) -> None:
        self.line = line
        self.value = value
        self.bare = bare
        self.refused = refused

    @property
    def nothing(self) -> bool:
        """Whether nothing is written here."""
        return self.bare and self.value in _NOTHING


class List:
    """A sequence."""

    __slots__ = ("items", "line")

    def __init__(self, line: int) -> None:
        self.line = line
        self.items: list[Node] = []


class Map:
    """A mapping: key → the line of the key, and the value."""

    __slots__ = ("line", "pairs")

    def __init__(self, line: int) -> None:
        self.line = line
        self.pairs: dict[str, tuple[int, Node]] = {}


Node = Text | List | Map


class Document:
    """A file's tree (`root` None: there is nothing in it), and where each place of it stands."""

    def __init__(self, root: Node | None) -> None:
        self.root = root

    def line_of(self, place: Place) -> int:
        """The line of a place; of what holds it, when it is missing."""
        node, line = self.root, 1
        if node is not None:
            line = node.line
        for part in place:
            if isinstance(node, Map) and isinstance(part, str) and part in node.pairs:
                line, node = node.pairs[part]
            elif isinstance(node, List) and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                line = node.line
            else:
                break
        return line


def read_document(content: bytes, file: str, mistakes: Mistakes) -> Document:
    """Parse one YAML document, noting what it may not hold: anchors, aliases, tags, a key that stands twice.

    Raises `Invalid` ("estate") with all that was noted when the file can't be read to its end: too large, not UTF-8,
    control characters, not YAML, nested too deep, more than one document, a key that is no text.
    """
    try:
        return Document(_Builder(mistakes).build(_text(content)))
    except _Unreadable as stop:
        mistakes.add_line(stop.line, stop.reason)
        raise mistakes.refusal(file, lambda _place: 0) from stop


class _Unreadable(Exception):
    """The file can't be read any further."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "the file is not UTF-8; save it in that encoding") from error
    bad = _FORBIDDEN.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise _Unreadable(line, f"the character U+{ord(bad[0]):04X} may not be in the file")
    return text


class _Builder:
    """Builds the tree with a stack of its own."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes
        self._stack: list[List | Map] = []
        self._keys: list[Text | None] = []  # for each open collection: the key that waits for its value
        self._root: Node | None = None
        self._nodes = 0

    def build(self, text: str) -> Node | None:
        """The tree of `text`. Raises `_Unreadable`."""
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                if isinstance(event, yaml.DocumentStartEvent):
                    if self._root is not None:
                        raise _unreadable(event, "a second document begins here; an estate is one")
                elif isinstance(event, yaml.CollectionEndEvent):
                    self._stack.pop()
                    self._keys.pop()
                elif isinstance(event, yaml.NodeEvent):
                    self._add(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise _Unreadable(line, f"this is not YAML: {plain(str(error.problem))[:200]}") from error
        except yaml.YAMLError as error:
            raise _Unreadable(1, f"this is not YAML: {plain(str(error))[:200]}") from error
        return self._root

    def _add(self, event: Any) -> None:
        """Put a new node in its place, and go into it when it holds others."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _unreadable(event, f"the file holds more than {MAX_NODES} values")
        self._data_only(event)
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._place(event, Text(line, event.value, bare=not event.style))
        elif isinstance(event, yaml.AliasEvent):
            self._place(event, Text(line, "", bare=True, refused=True))
        else:
            inner = Map(line) if isinstance(event, yaml.MappingStartEvent) else List(line)
            self._place(event, inner)
            self._stack.append(inner)
            self._keys.append(None)
            if len(self._stack) > MAX_DEPTH:
                raise _unreadable(event, f"the file is nested deeper than {MAX_DEPTH} levels")

    def _place(self, event: Any, node: Node) -> None:
        """The root, an item of a list, a key, or the value of the key before it."""
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if isinstance(parent, List):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            if not isinstance(node, Text):
                raise _unreadable(event, "a key must be a word, not a list or a mapping")
            self._keys[-1] = node
            return
        self._keys[-1] = None
        if key.value in parent.pairs:
            first = parent.pairs[key.value][0]
            self._mistakes.add_line(key.line, f"the key {shown(key.value)} is here twice, first at line {first}")
        else:
            parent.pairs[key.value] = (key.line, node)

    def _data_only(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            self._mistakes.add_line(line, "aliases (*) are not allowed; write the value out")
            return
        if event.anchor is not None:
            self._mistakes.add_line(line, "anchors (&) are not allowed; write values out where they are needed")
        if event.tag is not None:
            self._mistakes.add_line(line, "tags (!) are not allowed")


def _unreadable(event: Any, reason: str) -> _Unreadable:
    return _Unreadable(event.start_mark.line + 1, reason)
