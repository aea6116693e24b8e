"""The table of who may do what in the manual for administrators, in each language, made from the code.

`python -m tests.architecture.roles_document` writes it into the documents.
"""

from __future__ import annotations

import sys

from keten.console import acts, wording
from keten.console.page import ROOM
from keten.pages.words import Words
from tests.architecture.checkout import ROOT

DOCUMENTS = {
    "en": ROOT / "docs" / "manual" / "en" / "administrator.md",
    "nl": ROOT / "docs" / "manual" / "nl" / "beheerder.md",
}
BEGIN = "<!-- roles: written by `python -m tests.architecture.roles_document` -->\n"
END = "<!-- end of roles -->\n"


def render(language: str) -> str:
    """A table for each side: an act a line, a role a column."""
    words = Words(language, room=ROOM)
    act = words.gettext("Act")
    parts = []
    for side in acts.SIDES:
        heads = " | ".join(wording.role(words, role) for role in side)
        rule = " | ".join(":-:" for _role in side)
        lines = [
            f"| {text.replace(chr(0xAD), '')} | {' | '.join(held)} |"
            for text, held in acts.table(words, side)
        ]
        parts.append("\n".join([f"| {act} | {heads} |", f"| --- | {rule} |", *lines]) + "\n")
    return "\n".join(parts)


def written(document: str) -> str:
    """The tables as they stand in a document."""
    return document.partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def main() -> None:
    """Write the tables."""
    for language, path in DOCUMENTS.items():
        before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            sys.exit(f"{path} has no place for the tables: {BEGIN!r} … {END!r}")
        path.write_text(f"{before}{BEGIN}\n{render(language)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
