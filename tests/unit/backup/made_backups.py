"""What tests of backups share: an instance that was made, a backup of it, and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec


class Made(msgspec.Struct):
    """`home`: a stopped instance. `backup`: one of it. `identity`: the file that opens that."""

    home: Path
    backup: Path
    identity: Path
    recipient: str


def keten(*words: str) -> subprocess.CompletedProcess[str]:
    """A command, as a person gives it."""
    return subprocess.run([sys.executable, "-m", "keten", *words], capture_output=True, text=True, check=False)
