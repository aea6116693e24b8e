"""Every kind of entry is in docs/formats/entries.md, with what it means and what its details hold."""

from __future__ import annotations

import re
import subprocess
import sys

from keten.ledger.kinds import Kind
from tests.architecture.checkout import ROOT
from tests.architecture.entries_document import DOCUMENT, render, written

_NAME = re.compile(r"`([a-z]+\.[a-z_]+\.[a-z_]+)`")


def _registered() -> str:
    command = [sys.executable, "-m", "tests.architecture.entries_document", "--print"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_document_is_that_of_the_code() -> None:
    assert written(DOCUMENT.read_text(encoding="utf-8")) == _registered(), (
        "run `.venv/bin/python -m tests.architecture.entries_document`"
    )


def test_the_kinds_that_outsiders_rely_on_are_there() -> None:
    """design/5-contracts.md names these."""
    registered = _registered()
    for name in ("exchange.object.opened", "exchange.object.delivered"):
        assert f"### `{name}`" in registered


def test_a_retired_kind_is_never_used_again() -> None:
    retired = DOCUMENT.read_text(encoding="utf-8").partition("\n## Retired\n")[2]
    assert retired, "the section of kinds that are not written any more"
    used = set(_NAME.findall(_registered()))
    assert not used & set(_NAME.findall(retired))


def test_each_detail_has_its_line() -> None:
    text = render({"a.b.c": Kind("a.b.c", "It happened.", {"bytes": "how many"}), "a.b.d": Kind("a.b.d", "Done.", {})})
    assert text == (
        "## a\n\n### `a.b.c`\n\nIt happened.\n\n| Detail | |\n| --- | --- |\n| `bytes` | how many |\n\n"
        "### `a.b.d`\n\nDone.\n"
    )
