"""The demo's folder: made anew, and never anybody else's."""

from __future__ import annotations

import json
import shlex
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keten.cli.demo import estate, stage
from keten.cli.demo.folder import MARK, Folder, default_path
from keten.cli.demo.try_it import things
from keten.core.errors import Conflict, Invalid
from keten.suppliers.reading import parse
from tests.unit.suppliers.instances import key_line

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def begun(path: Path) -> Folder:
    """A demo's folder that was begun and ended."""
    folder = Folder(path)
    folder.begin()
    folder.end()
    return folder


@pytest.mark.parametrize("before", ["absent", "empty", "deep"])
def test_a_new_folder(tmp_path: Path, before: str) -> None:
    path = tmp_path / "a" / "b" if before == "deep" else tmp_path / "demo"
    if before == "empty":
        path.mkdir()
    folder = begun(path)
    assert folder.content.is_dir()
    assert (path / ".gitignore").read_text() == "*\n"
    assert json.loads((path / MARK).read_text()) == {"keten": "demo"}


def test_an_earlier_demo_is_removed_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "demo"
    folder = begun(path)
    (folder.content / "old.csv").write_text("x")
    (path / "link").symlink_to(tmp_path)
    begun(path)
    assert list(folder.content.iterdir()) == []
    assert not (path / "link").exists()
    assert tmp_path.exists()
    assert "Removing the earlier demo" in capsys.readouterr().err


FOREIGN = {  # what is in the way: files by their path in the folder; "" is the folder's own place
    "something": {"thesis.doc": "years of work"},
    "an instance": {"ledger/key.pub": "x", "keten.toml": ""},
    "a file": {"": "x"},
    "a broken mark": {MARK: "{"},
    "another mark": {MARK: '{"keten": "production"}'},
    "a list": {MARK: "[]"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_a_demo_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "demo"
    for name, content in FOREIGN[kind].items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises(Conflict) as caught:
        Folder(path).begin()
    assert caught.value.code == "not-a-demo"
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


def test_a_link_to_a_demo_is_not_followed(tmp_path: Path) -> None:
    begun(tmp_path / "demo")
    (tmp_path / "link").symlink_to(tmp_path / "demo")
    with pytest.raises(Conflict):
        Folder(tmp_path / "link").begin()


def test_a_running_demo_is_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "demo")
    folder.begin()
    (folder.content / "kept").touch()
    with pytest.raises(Conflict) as caught:
        Folder(tmp_path / "demo").begin()
    assert caught.value.code == "demo-already"
    assert (folder.content / "kept").exists()
    folder.end()


def test_a_path_too_long_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 90)
    with pytest.raises(Invalid) as caught:
        Folder(path).begin()
    assert caught.value.code == "home-too-long"
    assert not path.exists()


def test_it_is_in_the_checkout_by_default() -> None:
    assert default_path() == Path(__file__).resolve().parents[3] / ".keten-demo"


# ---- the estate and what is printed --------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 39, 70, 98, 128, 365, 1000])  # new year, and both changes of the clock
def test_the_estate_can_be_applied_on_any_day(days: int) -> None:
    now = NOW + timedelta(days=days)
    keys = {client: key_line(client) for client in estate.SUPPLIERS}
    found = parse(estate.text(keys, now, now + timedelta(minutes=2)).encode(), "estate.yaml")
    assert len(found.suppliers) == 3
    assert len(found.grants) == 6


def test_what_is_printed_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "it's a demo; $(really) `x`")
    three = things(folder, NOW)
    assert len(three) == 3
    for one in three:
        for command in one["commands"]:
            words = shlex.split(command)
            assert any(str(folder.path) in word for word in words), command
            assert "\n" not in command


def test_a_taken_port_is_said_and_another_is_picked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setitem(stage.PORTS, "console", port)
        assert stage._port("console") == 0
        assert f"Port {port}" in capsys.readouterr().err
    assert stage._port("console") == port


def test_a_port_that_is_taken_between_looking_and_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path / "demo")
    folder.begin()
    made = stage.Stage(folder)
    made.operator("init")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(stage, "_port", lambda name: taken.getsockname()[1] if name == "console" else 0)
        try:
            made.start()
            ready = made.wait()
        finally:
            made.stop()
            folder.end()
    assert ready["ready"]
    assert ready["console"].startswith("http://localhost:")
    assert "taken meanwhile" in capsys.readouterr().err
