"""Campaigns go on where they were, and only with what is theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fault.campaigns.keeping import Asked, Case, Kept, table


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    kept = Kept(path, "power", 7)
    kept.add(Case("0", "load", (), {"given": 3}))
    kept.add(Case("2", "load", ("lost",), {"given": 4}))
    with path.open("ab") as stream:
        stream.write(b'{"key": "4", "wh')  # it was killed
    again = Kept(path, "power", 7)
    assert list(Asked(5, 7, frozenset(again.cases)).numbers()) == [1, 3, 4]
    again.add(Case("4", "put"))
    assert set(Kept(path, "power", 7).cases) == {"0", "2", "4"}
    assert table(again.cases.values()).splitlines() == [
        "what  cases  faulty  given",
        "load  2      1       7    ",
        "put   1      0            ",
    ]


@pytest.mark.parametrize(("campaign", "seed"), [("power", 8), ("kills", 7)])
def test_a_file_of_another_campaign_is_refused(tmp_path: Path, campaign: str, seed: int) -> None:
    Kept(tmp_path / "kept.jsonl", "power", 7)
    with pytest.raises(ValueError, match="is of"):
        Kept(tmp_path / "kept.jsonl", campaign, seed)


def test_the_command_says_what_was_found(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.fault.campaigns", "damage", "--count", "4", "--seed", "2", "--json"]
    resumed = ["--resume", str(tmp_path / "kept.jsonl")]
    for _attempt in range(2):
        done = subprocess.run([*words, *resumed], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["campaign"], said["seed"], said["cases"], said["faulty"]) == ("damage", 2, 4, 0)
