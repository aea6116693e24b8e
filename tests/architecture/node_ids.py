"""Whether a test that a document names is there, by reading the files: nothing of them is imported or run."""

from __future__ import annotations

import ast
from functools import cache

from tests.architecture.checkout import ROOT


def exists(node: str) -> bool:
    """Whether there is such a test. node: as pytest writes it without parameters, `tests/…/test_x.py::test_name`."""
    path, _, name = node.partition("::")
    return name.startswith("test_") and name in _functions(path)


@cache
def _functions(path: str) -> frozenset[str]:
    """The functions at the top of a file of tests; none for a path that is not below `tests`."""
    file = (ROOT / path).resolve()
    if not file.is_relative_to(ROOT / "tests") or not file.name.startswith("test_") or not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
