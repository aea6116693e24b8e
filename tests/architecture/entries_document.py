"""The list of all kinds of entry in docs/formats/entries.md, made from the code.

`python -m tests.architecture.entries_document` writes it into the document; `--print` only prints it. A process of its
own, so that nothing but the product's own kinds is registered.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping

import keten
from keten.ledger.kinds import Kind, kinds
from tests.architecture.checkout import ROOT

DOCUMENT = ROOT / "docs" / "formats" / "entries.md"
BEGIN = "<!-- kinds: written by `python -m tests.architecture.entries_document` -->\n"
END = "<!-- end of kinds -->\n"


def load_every_kind() -> None:
    """Import each room's `entries.py`, and whatever it split off from it."""
    for room in pkgutil.iter_modules(keten.__path__, "keten."):
        if room.ispkg:
            package = importlib.import_module(room.name)
            for module in pkgutil.iter_modules(package.__path__, f"{room.name}."):
                if module.name.endswith("entries"):
                    importlib.import_module(module.name)


def render(known: Mapping[str, Kind]) -> str:
    """The list: a heading for each room, then each kind with its sentence and its details."""
    parts = []
    room = ""
    for name, kind in sorted(known.items()):
        if name.partition(".")[0] != room:
            room = name.partition(".")[0]
            parts.append(f"## {room}\n")
        parts.append(f"### `{name}`\n\n{kind.summary}\n")
        if kind.details:
            rows = "".join(f"| `{word}` | {_cell(meaning)} |\n" for word, meaning in kind.details.items())
            parts.append(f"| Detail | |\n| --- | --- |\n{rows}")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def written(document: str) -> str:
    """The list as it stands in a document."""
    return document.partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def main() -> None:
    """Write or print the list."""
    load_every_kind()
    rendered = render(kinds())
    if "--print" in sys.argv[1:]:
        sys.stdout.write(rendered)
        return
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{DOCUMENT} has no place for the list: {BEGIN!r} … {END!r}")
    DOCUMENT.write_text(f"{before}{BEGIN}\n{rendered}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
