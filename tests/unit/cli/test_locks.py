from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keten.cli.locks import Lock, command_lock, is_up, up_lock
from keten.core.errors import Unavailable
from keten.core.settings import Paths


def test_one_alone_or_several_together(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.take()
    assert not second.take()
    assert not second.take(shared=True)
    first.give_back()
    assert second.take(shared=True)
    assert first.take(shared=True)
    first.give_back()
    assert not first.take()
    second.give_back()
    second.give_back()
    assert first.take()
    first.give_back()


def test_waiting_for_it(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom keten.cli.locks import Lock\n"
        "held = Lock(Path(sys.argv[1]))\nheld.take()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder, holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        waiting = Lock(tmp_path / "lock")
        assert not waiting.take(seconds=0.2)
        holder.kill()
        holder.wait()
        assert waiting.take(seconds=10)  # the kernel gave it back
        waiting.give_back()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        Lock(tmp_path / "nothing" / "lock").take()


def test_whether_up_runs(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir()
    assert not is_up(paths)
    held = up_lock(paths)
    assert held.take()
    assert is_up(paths)
    held.give_back()
    assert not is_up(paths)
    assert command_lock(paths).take()
