"""What a figure was measured on, and what processes used meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def described(folder: Path) -> str:
    """Cores, memory, kernel, processor, and the file system under `folder`."""
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    filesystem = subprocess.run(
        ["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    system = f"Linux {platform.release()}, {filesystem}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {system}"


def fsync_ms(folder: Path, times: int = 50) -> float:
    """The median time of an append of 4 KiB with fdatasync, in milliseconds: what the disk is good for."""
    path = folder / "fsync-probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return sorted(taken)[times // 2] * 1000


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, with the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def resident_mib(pid: int) -> float:
    """Memory of a process's own, in MiB: what it shares with the page cache (a mapped database) is not counted."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


def children(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="utf-8").split():
            found += children(int(child))
    return found
