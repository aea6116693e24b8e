"""Trying again: what a restart of the instance, or a network that comes and goes, takes away for a moment."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from keten.cli.output import say
from keten.cli.supplier.wire import Broken
from keten.core.errors import Busy, KetenError, Unavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
LONGEST_ASKED = 60.0
_SECONDS = re.compile(r"[0-9]{1,5}\Z")
T = TypeVar("T")


def passes(error: KetenError) -> bool:
    """Whether an error may be over in a moment: a broken connection, too much at once, an instance that restarts."""
    return isinstance(error, Broken | Busy) or (isinstance(error, Unavailable) and error.code == "instance")


def retry_after(error: KetenError) -> float:
    """Seconds that the instance asked us to wait (RFC 9110 §10.2.3), within reason."""
    asked = str(getattr(error, "retry_after", ""))
    return min(float(asked), LONGEST_ASKED) if _SECONDS.match(asked) else 0.0


def patiently(seconds: float, action: Callable[[], T]) -> T:
    """Do something, again for up to `seconds` when it fails with an error that passes. Raises the last error."""
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    told = False
    while True:
        try:
            return action()
        except KetenError as error:
            wait = max(pause, retry_after(error))
            if not passes(error) or time.monotonic() + wait > deadline:
                raise
            if not told:
                say(f"{error.public} Trying again for {seconds:.0f} s.")
                told = True
        time.sleep(wait)
        pause = min(pause * 2, LONGEST_PAUSE)
