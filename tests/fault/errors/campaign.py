"""The campaign: how often each call comes is counted in a run without failures; then each of them fails once."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.errors.play import Failure, Played
from tests.fault.seam.loaded import CALLS, built, environment

SUBJECTS = ("init", "upgrade", "put", "gateway", "keeper")
ERRORS = ("EIO", "ENOSPC", "EDQUOT")


class Playing:
    """The process that plays."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def play(self, failure: Failure) -> Played:
        """One run with one failure."""
        out, back = self._process.stdin, self._process.stdout
        assert out is not None
        assert back is not None
        out.write(msgspec.json.encode(failure) + b"\n")
        out.flush()
        return msgspec.json.decode(back.readline(), type=Played)


@contextmanager
def playing() -> Iterator[Playing]:
    """Start it. Raises `NotHereError` without a C compiler."""
    with tempfile.TemporaryDirectory(prefix="ke-") as name:
        folder = Path(name)
        library = built(folder)
        (folder / "town").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.errors.play", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(library),
        )
        try:
            yield Playing(process)
        finally:
            process.communicate()


def failures(counts: dict[str, dict[str, int]]) -> list[Failure]:
    """Every call of every subject with every error."""
    return [
        Failure(subject, call, number, error)
        for subject in counts
        for call in CALLS
        for number in range(1, counts[subject][call] + 1)
        for error in (ERRORS if call != "any" else ERRORS[:1])
    ]


def cases(asked: Asked, subjects: tuple[str, ...] = SUBJECTS) -> Iterator[Case]:
    """Every failure in turn, or `asked.count` of them, drawn by the seed."""
    with playing() as player:
        counts = {}
        for subject in subjects:
            played = player.play(Failure(subject))
            counts[subject] = played.counts
            if played.faults:
                yield Case(f"{subject}/none", f"{subject} without a failure", played.faults)
        every = failures(counts)
        if asked.count < len(every):
            every = random.Random(asked.seed).sample(every, asked.count)
        for failure in every:
            key = f"{failure.subject}/{failure.call}/{failure.number}/{failure.error}"
            if key in asked.done:
                continue
            played = player.play(failure)
            ended = {"0": "served on", "74": "stopped"}.get(played.ended, "refused")
            counted = {ended: 1, "not_reached": int(not played.fired)}
            yield Case(key, f"{failure.subject} {failure.call}", played.faults, counted)
