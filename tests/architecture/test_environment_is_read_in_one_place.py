"""Only the composition root reads the environment; every other module is given its settings."""

import ast

import pytest

from tests.architecture.checkout import ROOT, SOURCE, nodes, python_files, relative

READERS = {"environ", "environb", "getenv", "getenvb"}
COMPOSITION_ROOT = "src/keten/app.py"

# Folder: the variables that its modules may read, by name and as a constant, and why.
ALLOWED = {
    # The supplier's own login lies where the XDG base directory specification says; no instance, no settings.
    "src/keten/cli/": {"XDG_CONFIG_HOME", "HOME"},
}


def readings(source: str) -> list[tuple[int, str]]:
    """Line and variable of each reading of the environment; variable "*" when it is not a constant."""
    tree = list(nodes(source))
    modules = {
        alias.asname or alias.name
        for node in tree
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in {"os", "posix"}
    }
    names = {
        alias.asname or alias.name
        for node in tree
        if isinstance(node, ast.ImportFrom) and node.module in {"os", "posix"}
        for alias in node.names
        if alias.name in READERS
    }

    def is_reader(node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr in READERS and isinstance(node.value, ast.Name) and node.value.id in modules
        return isinstance(node, ast.Name) and node.id in names

    named: dict[int, str] = {}  # the reader inside `os.environ["A"]`, `os.environ.get("A")`, `os.getenv("A")`
    for node in tree:
        key: ast.AST | None = None
        inner: ast.AST | None = None
        if isinstance(node, ast.Subscript):
            inner, key = node.value, node.slice
        elif isinstance(node, ast.Call) and node.args:
            key = node.args[0]
            function = node.func
            is_get = isinstance(function, ast.Attribute) and function.attr == "get"
            inner = function.value if is_get and isinstance(function, ast.Attribute) else function
        if inner is not None and isinstance(key, ast.Constant) and isinstance(key.value, str):
            named[id(inner)] = key.value
    return [(getattr(node, "lineno", 0), named.get(id(node), "*")) for node in tree if is_reader(node)]


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ('import os\nos.environ["A"]', ["A"]),
        ('import os\nos.environ.get("A")', ["A"]),
        ('import os as o\no.getenv("A", "")', ["A"]),
        ('from os import environ as e\ne["A"]', ["A"]),
        ("from os import getenv\ngetenv(name)", ["*"]),
        ("import os\ndict(os.environ)", ["*"]),
        ("import os\nos.environ.copy()", ["*"]),
        ("import os\nos.urandom(16)", []),
        ("environ = {}\nenviron['A']", []),
    ],
)
def test_the_scan_finds_each_way_of_reading(source: str, variables: list[str]) -> None:
    assert [variable for _, variable in readings(source)] == variables


def test_only_the_composition_root_reads_the_environment() -> None:
    found = []
    for path in python_files(SOURCE):
        name = relative(path)
        if name == COMPOSITION_ROOT:
            continue
        allowed = {
            variable
            for folder, variables in ALLOWED.items()
            if name.startswith(folder)
            for variable in variables
        }
        for line, variable in readings(path.read_text(encoding="utf-8")):
            if variable not in allowed:
                found.append(f"{name}:{line} reads {variable}")
    assert not found, "ask for a setting instead, which keten.app fills in"


def test_exceptions_are_folders_of_the_source() -> None:
    for folder in ALLOWED:
        assert folder.startswith("src/keten/")
        assert folder.endswith("/")
        assert not (ROOT / folder).is_file()
