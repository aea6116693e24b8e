"""Giving free memory back to the system.

The C library keeps what was freed for the next time, in the places where it lay. After frames of 1 MiB for many clients
at once, allocated in one thread and freed in another, that is several times what is in use (docs/decisions/0016).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

TRIM_SECONDS = 5.0


def give_back_now_and_then() -> None:
    """From now on, until the process ends, every few seconds. Where the C library has no `malloc_trim`, never."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # mallopt(3), malloc_trim(3): of the GNU C library
    if trim is not None:
        threading.Thread(target=_trim, args=(trim,), name="keten-memory", daemon=True).start()


def _trim(trim: Callable[[int], int]) -> None:
    pause = threading.Event()
    while not pause.wait(TRIM_SECONDS):
        trim(0)  # the interpreter goes on meanwhile; what is in use stays where it is
