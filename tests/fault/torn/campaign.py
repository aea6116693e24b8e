"""The campaign: the states are tried in a process of its own, which has the seam before its calls."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.seam.loaded import built, environment


def cases(asked: Asked) -> Iterator[Case]:
    """All states, or `asked.count` of them. Raises `NotHereError` without a C compiler."""
    with tempfile.TemporaryDirectory(prefix="kt-") as name:
        library = built(Path(name))
        (Path(name) / "town").mkdir()
        file = Path(name) / "asked.json"  # what was done already is more than fits in a command line
        file.write_bytes(msgspec.json.encode(asked))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.torn.play", name, str(file)],
            stdout=subprocess.PIPE,
            env=environment(library),
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield msgspec.json.decode(line, type=Case)
        finally:
            process.terminate()
            process.stdout.close()
            code = process.wait()
        assert code in (0, -15), f"the player ended with {code}"
