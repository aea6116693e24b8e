"""Files stay small, say by their name what they hold, and name no machine, no index and no workplace."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT, SOURCE, python_files, relative, tracked_files

MOST_LINES = 500
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "stuff"}

# Addresses of package indexes (they belong to the machine's own configuration) and folders of one machine.
FOREIGN = {
    "option of an index": re.compile(r"index-url|UV_(?:DEFAULT_)?INDEX|PIP_(?:EXTRA_)?INDEX", re.IGNORECASE),
    "path of an index": re.compile(r"/simple/|/pypi/[\w.-]+/json"),
    "host of an index": re.compile(r"pythonhosted\.org|pypi\.org|proxy\.golang\.org|registry\.npmjs\.org"),
    "someone's home": re.compile(r"(?<![\w.])/(?:home|Users)/(?!\.)[\w.-]+/|(?<![\w.}])/root/"),
}
EXCEPTIONS = {
    "tests/architecture/test_files.py": "names the patterns",
    "tools/lock.sh": "passes the option that keeps index addresses out of locks",
}


def mentions(text: str) -> list[str]:
    """What kinds of foreign things a text mentions."""
    return [kind for kind, pattern in FOREIGN.items() if pattern.search(text)]


@pytest.mark.parametrize("folder", ["src", "tests", "tools", "bench"])
def test_no_file_is_long(folder: str) -> None:
    lengths = {relative(path): len(path.read_bytes().splitlines()) for path in python_files(ROOT / folder)}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_module_has_a_vague_name() -> None:
    vague = [
        relative(path)
        for path in SOURCE.rglob("*")
        if path.stem.strip("_") in VAGUE_NAMES and (path.is_dir() or path.suffix == ".py")
    ]
    assert vague == []


@pytest.mark.parametrize(
    "text",
    [
        "--extra-index-url x",
        "export UV_INDEX=x",
        "https://mirror.example/simple/keten/",
        "https://files.pythonhosted.org/packages/x",
        "open('/home/anna/keten.toml')",
        "cp /root/key .",
    ],
)
def test_the_scan_knows_what_is_foreign(text: str) -> None:
    assert mentions(text) != []


@pytest.mark.parametrize(
    "text", ["$HOME/.config/keten", "{root}/home", "/usr/sbin/sshd", "a simple/small thing", "/var/lib/keten"]
)
def test_the_scan_knows_what_is_not(text: str) -> None:
    assert mentions(text) == []


def test_no_file_names_a_machine_or_an_index() -> None:
    own_path = f"{ROOT}/" if len(ROOT.parts) > 2 else None
    found = []
    for path in tracked_files():
        name = relative(path)
        text = path.read_bytes().decode("utf-8", errors="replace")
        if own_path is not None and own_path in text:
            found.append((name, "path of this checkout"))
        if name not in EXCEPTIONS:
            found.extend((name, kind) for kind in mentions(text))
    assert found == []


def test_each_exception_is_still_needed() -> None:
    for name in EXCEPTIONS:
        assert mentions((ROOT / name).read_text(encoding="utf-8")), name


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert script.stat().st_mode & 0o111
    assert lines[0].endswith("bash")
    assert "set -euo pipefail" in lines
    assert lines[-1] == "exec make test"


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f'__version__ = "{project["version"]}"' in (SOURCE / "__init__.py").read_text(encoding="utf-8")


def test_shell_scripts_are_what_they_say() -> None:
    for path in [ROOT / "keten", *sorted(Path(ROOT / "tools").glob("*.sh"))]:
        assert path.stat().st_mode & 0o111, path
        assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n"), path
