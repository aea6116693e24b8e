"""The preloaded library, as Python sees it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from tests.fault.campaigns.keeping import NotHereError

SOURCE = Path(__file__).with_name("seam.c")
CALLS = ("write", "pwrite", "fsync", "fdatasync", "rename", "create", "ftruncate", "mkdir", "unlink", "any")


def built(folder: Path) -> Path:
    """Compile it. Raises `NotHereError` where there is no C compiler for it, or another C library."""
    library = folder / "seam.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHereError("there is no C compiler (cc)")
    words = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHereError(f"the library cannot be compiled here: {done.stderr[:500]}")
    return library


def environment(library: Path) -> dict[str, str]:
    """The environment of a process that has it before its calls."""
    return os.environ | {"LD_PRELOAD": str(library)}


class Seam:
    """It, from within a process that was started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.seam_count.restype = ctypes.c_long
        self._library.seam_arm.argtypes = [
            *(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p),
            *(ctypes.c_long, ctypes.c_int),
        ]
        self._library.seam_mark.argtypes = [ctypes.c_char_p]

    def arm(self, root: Path, *, log: Path | None = None, call: str = "", number: int = 0, error: int = 0) -> None:
        """From now on look at what is done below `root`; make the `number`-th `call` fail; record into `log`."""
        self._library.seam_arm(
            os.fsencode(root), b"" if log is None else os.fsencode(log), call.encode(), number, error
        )

    def counts(self) -> dict[str, int]:
        """How often each was called since it was armed, in this process or one that was forked from it."""
        return {call: int(self._library.seam_count(call.encode())) for call in CALLS}

    def mark(self, text: str) -> None:
        """Write a line of one's own into the log."""
        self._library.seam_mark(text.encode())
