"""The drills, as a newcomer runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import typer

from keten.cli.operator import drilling
from keten.core.errors import Unavailable
from keten.drills import cluster
from keten.drills.cluster import programs
from keten.drills.helpdesk import Helpdesk
from keten.drills.scoreboard import Line, Scoreboard


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_contract_end() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keten", "drill", "contract-end", "--json"], capture_output=True, text=True, check=False
    )
    board = json.loads(done.stdout)
    missed = [line for line in board["lines"] if not line["held"]]
    # How many milliseconds and bytes is measured in bench/, on a quiet machine; what else happened must hold anywhere.
    assert [line for line in missed if "milliseconds" not in line["figures"]] == []
    assert len(board["lines"]) >= 11
    assert done.returncode == (1 if missed else 0), done.stderr


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_restore() -> None:
    """A backup under load, restored on an empty home, moved to a database server; and an auditor's way through it."""
    done = subprocess.run(
        [sys.executable, "-m", "keten", "drill", "restore", "--json"], capture_output=True, text=True, check=False
    )
    board = json.loads(done.stdout)
    assert [line for line in board["lines"] if not line["held"]] == [], done.stderr
    installed = programs() is not None
    assert bool(board["skipped"]) is not installed
    assert done.returncode == (0 if installed else 3), done.stderr
    assert len(board["lines"]) == (11 if installed else 7)


def test_where_no_server_is_installed_the_drill_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "DEBIAN", tmp_path / "absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as absent:
        cluster.Cluster()
    assert absent.value.code == "not-installed"
    skipped = Scoreboard("restore", [Line("a", "b", "c", held=True)], "why")
    monkeypatch.setattr(drilling, "_board", lambda _name, _language, **_options: skipped)
    called = cast("typer.Context", SimpleNamespace(obj=SimpleNamespace(language="en")))
    with pytest.raises(typer.Exit) as left:
        drilling.drill(called, "restore")
    assert left.value.exit_code == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nobody_wins_a_key_at_the_helpdesk(tmp_path: Path) -> None:
    board = Helpdesk(lambda _text: None, tmp_path).run()
    assert board.held, [line for line in board.lines if not line.held]
    assert len(board.lines) == 6
    assert not any(line.figures.get("keys") or line.figures.get("codes") for line in board.lines)
