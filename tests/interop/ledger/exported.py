"""An export as docs/formats/ledger.md describes it, and the auditor's tool run on it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from keten.ledger.notes import Signer
from keten.ledger.publish import Publisher
from tests.unit.ledger.published_log import Log

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "keten-verify.py"


def make_log(folder: Path, signer: Signer, sizes: Sequence[int]) -> Log:
    """A published log that grew by these sizes."""
    log = Log(folder, signer)
    log.grow(sizes)
    log.publisher.close()
    return log


def export(log: Log, target: Path, erased: Collection[int] = (), size: int | None = None) -> Path:
    """Export the log as of `size` (left out: all of it), as `keten ledger export` does."""
    end = len(log.leaves) if size is None else size
    publisher = Publisher(target)
    publisher.rebuild(lambda first, last: log.leaves[first:last], log.notes[end], end, log.roots[end])
    publisher.close()
    (target / ".publisher.lock").unlink()
    (target / ".staging").rmdir()
    (target / "key.pub").write_text(log.signer.verifier_key() + "\n")
    lines = [json.dumps(entry_of(log, index, index in erased), separators=(",", ":")) for index in range(end)]
    (target / "entries.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return target


def entry_of(log: Log, index: int, erased: bool = False) -> dict[str, Any]:
    """The object of an entry's line in entries.jsonl."""
    return {
        "index": index,
        "id": log.ids[index],
        "payload": None if erased else log.payloads[index],
        "salt": None if erased else base64.b64encode(log.salts[index]).decode(),
        "state": "erased" if erased else "present",
    }


def verify(*arguments: str | Path, python: str = sys.executable) -> tuple[int, dict[str, Any]]:
    """Run the tool as an auditor would: without our environment, without site packages; exit code and report."""
    command = [python, "-I", "-S", str(TOOL), "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def faults(report: dict[str, Any]) -> set[tuple[str, str]]:
    """What does not hold, and where."""
    return {(fault["what"], fault["where"]) for fault in report["faults"]}


def check(tool: ModuleType, folder: Path, key: str | None = None) -> Any:
    """The tool's report on an export, without a process."""
    report = tool.Report()
    options = tool.argparse.Namespace(folder=str(folder), checkpoint=[], proof=[])
    try:
        tool.check(options, tool.read_key(key) if key else None, report)
    except tool.TooMany:
        assert len(report.faults) + len(report.unreadable) == tool.MAX_FAULTS
    return report


def lines_of(folder: Path) -> list[str]:
    return (folder / "entries.jsonl").read_text().splitlines(keepends=True)


def write_lines(folder: Path, lines: list[str]) -> None:
    (folder / "entries.jsonl").write_text("".join(lines))


def change_entry(folder: Path, index: int, **changes: object) -> None:
    lines = lines_of(folder)
    lines[index] = json.dumps({**json.loads(lines[index]), **changes}) + "\n"
    write_lines(folder, lines)


def flip(path: Path, at: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)
