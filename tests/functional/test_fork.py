"""Three instances that witness each other; one forks its log with its own key. Everybody outside notices, with evidence
that tools which are not ours confirm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT
from tests.interop.ledger.gotools import build

WHO = {"the-witness-north", "the-witness-south", "the-suppliers-keten-get", "an-auditor-on-the-instance"}


def confirmed(file: Path, key: str, go: Path) -> None:
    """Keten, its auditor's program and Go's packages all say that this proves a fork."""
    own = subprocess.run(
        [sys.executable, "-m", "keten", "ledger", "evidence", str(file), "--key", key, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert own.returncode == 0, own.stdout + own.stderr
    assert json.loads(own.stdout)["fork"] is True
    plain = [sys.executable, "-I", "-S", str(ROOT / "keten-verify.py"), "evidence", str(file), "--key", key]
    done = subprocess.run(plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PROVES a fork" in done.stdout
    judged = subprocess.run([str(go), str(file), key], capture_output=True, text=True, check=False)
    assert (judged.returncode, judged.stdout) == (0, "fork\n"), judged.stderr


@pytest.mark.slow
@pytest.mark.needs("go")
@pytest.mark.timeout(600)
def test_a_fork_is_noticed_by_everybody_outside(tmp_path: Path) -> None:
    go = build("evidence", tmp_path)
    kept = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-m", "keten", "drill", "fork", "--evidence", str(kept), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    board = json.loads(done.stdout)
    assert [line for line in board["lines"] if not line["held"]] == []
    assert (done.returncode, board["held"], board["drill"]) == (0, True, "fork"), done.stderr
    files = sorted(kept.glob("*.json"))
    assert {file.stem.partition("-")[2] for file in files} == WHO
    key = (kept / "key.pub").read_text().strip()
    for file in files:
        confirmed(file, key, go)
    refused = subprocess.run([str(go), str(files[0]), key.replace("+", "x+", 1)], capture_output=True, check=False)
    assert refused.returncode == 1
    assert [line["figures"]["seconds"] for line in board["lines"] if "seconds" in line["figures"]] != []
