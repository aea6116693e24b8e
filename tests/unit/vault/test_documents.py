"""What the documents say of the vault and of budgets is what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from keten.budgets.rules import PERIODS
from keten.core import errors
from keten.vault import entries, frames, records, rules, service, sweeping

ROOT = Path(__file__).parents[3]
REASONS = (ROOT / "docs" / "formats" / "reasons.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "docs" / "formats" / "vault.md").read_text(encoding="utf-8")
BUDGETS = (ROOT / "docs" / "decisions" / "0005-budgets.md").read_text(encoding="utf-8")


def codes() -> set[str]:
    """Every code that the two rooms raise, read from their source."""
    found = {service.REPLACED, service.KEYLESS, sweeping.EXPIRED}
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    for room in ("vault", "budgets"):
        for path in (ROOT / "src" / "keten" / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                    code = node.args[0]
                    if isinstance(code, ast.Constant):
                        found.add(str(code.value))
    return found


def test_the_codes_are_found_at_all() -> None:
    assert {"content-damaged", "name-taken", "budget-window", "key-destroyed"} <= codes()


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_is_explained_in_both_languages_once(code: str) -> None:
    [row] = [line for line in REASONS.splitlines() if line.startswith(f"| `{code}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 3
    assert all(cells)


def test_every_kind_of_entry_says_what_it_means() -> None:
    kinds = [kind for kind in vars(entries).values() if hasattr(kind, "summary")]
    assert len(kinds) == 6
    for kind in kinds:
        assert kind.name.startswith("vault.")
        assert kind.summary.endswith(".")


def test_the_format_names_the_sizes_that_the_code_uses() -> None:
    assert f"`{frames.MAGIC.decode()}`" in FORMAT
    assert f"| frame size exponent | 1 | {frames.FRAME_EXPONENT}:" in FORMAT
    assert f"{frames.HEADER_BYTES} + size + {frames.TAG_BYTES} ×" in FORMAT
    assert f"first {frames.FIXED_BYTES} bytes of the header" in FORMAT
    header = FORMAT.partition("| Header | Bytes |")[2].partition("\n\n")[0]
    widths = [int(width) for width in re.findall(r"^\| [a-z ]+ \| (\d+) \|", header, re.MULTILINE)]
    assert sum(widths) == frames.HEADER_BYTES
    assert f"{rules.MAX_NAME_CHARACTERS} characters or {rules.MAX_NAME_BYTES} bytes" in FORMAT
    assert f"more than {records.MAX_LINE >> 20} MiB" in FORMAT


def test_the_decision_names_every_window() -> None:
    assert all(period in BUDGETS for period in PERIODS)
