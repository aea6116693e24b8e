"""A command that somebody gives at a terminal, and what is typed there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys


def in_a_terminal(typed: bytes, *words: str) -> tuple[int, str]:
    """Run a command whose stdin and stderr are a terminal; its exit code and what it printed on stdout."""
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "keten", *words]
    with subprocess.Popen(line, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as asking:
        os.close(theirs)
        os.write(ours, typed)
        said = asking.stdout.read().decode() if asking.stdout else ""
        code = asking.wait(60)
    os.close(ours)
    return code, said
