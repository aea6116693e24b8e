"""What holds for every command: exit codes, errors without tracebacks, help with an example, JSON."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from keten.cli import exits, main
from keten.cli.output import Output, printable
from keten.core import errors
from tests.architecture.checkout import ROOT
from tests.unit.cli.conftest import Keten


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its name, groups opened."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inside = getattr(command, "commands", None)
        if inside is None:
            yield name, command
            return
        for each, one in inside.items():
            yield from walk(f"{name} {each}", one)

    yield from walk("keten", typer.main.get_command(main.build()))


def test_every_category_of_error_has_an_exit_code() -> None:
    assert set(errors.BY_CATEGORY) <= set(exits.BY_CATEGORY)
    assert errors.KetenError.category in exits.BY_CATEGORY


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Denied, 1),
        (errors.NotFound, 1),
        (errors.Invalid, 2),
        (errors.Conflict, 2),
        (errors.Busy, 3),
        (errors.Unavailable, 3),
        (errors.FsyncFailed, 3),
        (errors.Corrupt, 4),
        (errors.KetenError, 3),
    ],
)
def test_exit_codes_are_those_of_the_contract(
    kind: type[errors.KetenError], code: int, keten: Keten, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_words: object) -> None:
        raise kind("some-code", "What is wrong.", "why")

    monkeypatch.setattr("keten.cli.operator.instance.Output", fail)
    done = keten("version")
    assert (done.code, done.out) == (code, "")
    assert done.err == "keten: What is wrong.\n       why\n"


def test_a_mistake_of_ours_is_not_the_answer_no(keten: Keten, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_words: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("keten.cli.operator.instance.Output", fail)
    done = keten("version")
    assert done.code == 3
    assert "ZeroDivisionError" in done.err
    assert "report" in done.err


def test_help_shows_no_value_behind_a_switch_and_breaks_no_line_twice(
    keten: Keten, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("login",), ("ledger",), ("ledger", "verify"), ("drill", "contract-end")):
        done = keten(*words, "--help")
        assert done.code == 0
        assert "--help" in done.out
        assert "<bool>" not in done.out
    lines = [line.strip() for line in keten("login", "--help").out.splitlines()]
    start = next(at for at, line in enumerate(lines) if line.startswith("The key stays in its file"))
    paragraph = lines[start : lines.index("", start)]
    assert all(len(line) > 60 for line in paragraph[:-1]), paragraph


def test_interrupted(keten: Keten, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("keten.cli.operator.instance.Output", fail)
    done = keten("version")
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "words", [(), ("nonsense",), ("put",), ("version", "--nonsense"), ("revoke", "planet", "x", "--reason", "y")]
)
def test_wrong_use(words: tuple[str, ...], keten: Keten) -> None:
    done = keten(*words)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_an_instance_must_be_named_and_be_there(keten: Keten, tmp_path: Any) -> None:
    assert keten("status").code == 2
    missing = keten("status", "--home", str(tmp_path / "nothing"))
    assert missing.code == 3
    assert "keten init" in missing.err
    by_variable = keten("status", home=str(tmp_path / "nothing"))
    assert by_variable.err == missing.err


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_explains_itself(name: str, command: Any) -> None:
    text = command.help or ""
    assert f"Example: {name}" in text
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("words", [[*name.split()[1:], "--help"] for name, _ in commands()])
def test_help_can_be_printed(words: list[str], keten: Keten) -> None:
    done = keten(*words)
    assert done.code == 0
    assert "Example" in done.out


@pytest.mark.parametrize("words", [["version"], ["_keeper", "--home", "/nowhere"]])
def test_a_broken_installation_is_not_the_answer_no(words: list[str]) -> None:
    script = (
        "import sys\nsys.modules['keten.cli.surroundings'] = sys.modules['keten.core.settings'] = None\n"
        f"sys.argv = ['keten', *{words!r}]\nfrom keten.app import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Error" in done.stderr


@pytest.mark.parametrize("language", ["en", "nl"])
def test_the_manual_has_every_command(language: str) -> None:
    manual = (ROOT / "docs" / "manual" / language / "commands.md").read_text(encoding="utf-8")
    missing = [name for name, _ in commands() if f"`{name}" not in manual and f"`{name.split()[-1]}`" not in manual]
    assert missing == []


def test_version(keten: Keten) -> None:
    said = keten("version", "--json").json()["version"]
    assert said in keten("version").out
    assert said in keten("--version").out


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    script = (
        "import os\nfrom keten.cli.output import Output, ReaderGone\n"
        "try:\n for _ in range(100000): Output(json=False).line('x' * 100)\n"
        "except ReaderGone: os._exit(7)\n"  # what is left in Python's own buffer is the command's to let go of
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.read(100)
    writer.stdout.close()
    assert writer.wait(30) == 7


def test_the_command_itself_ends_well_when_its_reader_does(home: Any) -> None:
    command = f"'{sys.executable}' -m keten ledger show --home '{home}' | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_comes_from_outside_does_not_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\nc"
    Output(json=False).table(("name",), [("x\x1b]0;title\x07[bold]y",)])
    out, _err = capfd.readouterr()
    assert "\x1b" not in out
    assert "[bold]" in out


def test_help_and_the_keeper_start_without_what_they_do_not_need() -> None:
    script = (
        "import sys\nfrom keten.cli.main import build\nimport typer\ntyper.main.get_command(build())\n"
        "print(*sorted({n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"sqlalchemy", "cryptography", "polars", "asyncssh", "starlette", "uvicorn", "httpx2", "alembic", "yaml"}
    assert not heavy & set(done.stdout.split())
    script = "import sys\nimport keten.app\nprint(*sorted({n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"typer", "rich", "msgspec"} & set(done.stdout.split())
