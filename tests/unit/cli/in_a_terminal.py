"""A command that somebody gives at a terminal, and what is typed there."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys

import msgspec


class Session(msgspec.Struct, frozen=True):
    """How the command ended, what it printed on stdout, and what stood on the terminal."""

    code: int
    out: str
    shown: str


def in_a_terminal(typed: bytes, *words: str) -> Session:
    """Run a command whose stdin and stderr are a terminal, and type something there."""
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "keten", *words]
    with subprocess.Popen(line, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as asking:
        os.close(theirs)
        os.write(ours, typed)
        out = asking.stdout.read().decode() if asking.stdout else ""
        code = asking.wait(60)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError as error:  # EIO: nobody has the other end any more
        if error.errno != errno.EIO:
            raise
    os.close(ours)
    return Session(code, out, shown.decode())
