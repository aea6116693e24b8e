"""Memory and handles of processes over time, and whether they stay as they are."""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

PAGE = os.sysconf("SC_PAGESIZE")
MIB = 1 << 20
GROWN_MIB, GROWN_SHARE = 6.0, 0.05
GROWN_HANDLES = 8.0


class Sample(msgspec.Struct, frozen=True):
    """One look at a process, at a second of the run: its own resident bytes (no mapped files), and open handles."""

    at: float
    pid: int
    resident: int
    handles: int


class Sampler(threading.Thread):
    """Looks at processes every `seconds`. `pids` gives their ids by name, as they are at the moment."""

    def __init__(self, pids: Callable[[], dict[str, int]], clock: Callable[[], float], seconds: float) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._clock = clock
        self._seconds = seconds
        self.stop = threading.Event()
        self.samples: dict[str, list[Sample]] = {}

    def run(self) -> None:
        """Until `stop`."""
        while not self.stop.wait(self._seconds):
            for name, pid in self._pids().items():
                with suppress(OSError, ValueError):
                    _size, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
                    handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    self.samples.setdefault(name, []).append(
                        Sample(self._clock(), pid, (int(resident) - int(shared)) * PAGE, handles)
                    )


def growing(name: str, samples: list[Sample]) -> list[str]:
    """What grows: the slope (least squares) over the second half of the run, times its length.

    Flat is: less than 6 MiB or 5 % of its mean, whichever is more, and fewer than 8 handles. A process that was
    started again within that half is not flat.
    """
    if not samples:
        return [f"{name}: never seen"]
    half = samples[-1].at / 2
    late = [one for one in samples if one.at >= half]
    if len(late) < 4:
        return [f"{name}: seen {len(late)} times only"]
    if len({one.pid for one in late}) > 1:
        return [f"{name}: it was started again in the second half"]
    times = [one.at for one in late]
    span = times[-1] - times[0]
    memory = statistics.linear_regression(times, [one.resident / MIB for one in late]).slope * span
    handles = statistics.linear_regression(times, [float(one.handles) for one in late]).slope * span
    most = max(GROWN_MIB, GROWN_SHARE * statistics.fmean(one.resident / MIB for one in late))
    faults = [f"{name}: its memory grew by {memory:.1f} MiB in {span:.0f} s"] if memory > most else []
    return faults + ([f"{name}: its handles grew by {handles:.1f}"] if handles > GROWN_HANDLES else [])
