"""Whether a test that a document names is there, by reading the files: nothing of them is imported or run."""

from __future__ import annotations

import ast
from functools import cache

from tests.architecture.checkout import ROOT

_SLOW = "mark.slow"


def exists(node: str) -> bool:
    """Whether there is such a test. node: as pytest writes it without parameters, `tests/…/test_x.py::test_name`."""
    path, _, name = node.partition("::")
    return name.startswith("test_") and name in _functions(path)


def is_left_out(node: str) -> bool:
    """Whether a test, or all of its file, is marked as one that the usual run leaves out."""
    path, _, name = node.partition("::")
    found = _functions(path)
    return found.get(name, False) or found.get("", False)


@cache
def _functions(path: str) -> dict[str, bool]:
    """The functions at the top of a file of tests → whether they are slow; "": the file. Empty for what is none."""
    file = (ROOT / path).resolve()
    if not file.is_relative_to(ROOT / "tests") or not file.name.startswith("test_") or not file.is_file():
        return {}
    found = {"": False}
    for one in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            found[one.name] = any(_SLOW in ast.unparse(mark).split("(")[0] for mark in one.decorator_list)
        elif isinstance(one, ast.Assign) and "pytestmark" in {ast.unparse(target) for target in one.targets}:
            found[""] = _SLOW in ast.unparse(one.value)
    return found
