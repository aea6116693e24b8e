"""The one family of errors.

An expected outcome (`Allow`, `Deny`, `Skipped`) is a value; a failure is a `KetenError`. Each face has one table
from `category` to its own form (problem+json, SFTP status, exit code). The public text may be shown to anyone;
the private reason goes to the ledger and the operator only.

    KetenError
    ├── Denied       the answer is no
    ├── NotFound     absent, or forbidden to know
    ├── Invalid      the request is wrong; saying it again won't help
    ├── Conflict     the state does not allow it now
    ├── Busy         too much at once; try again later
    ├── Unavailable  a part that is needed is not there; nothing was changed
    │   └── FsyncFailed  the disk may have lost what was written: the process must stop (law 13)
    └── Corrupt      stored data is not what it must be
"""

from __future__ import annotations

from typing import ClassVar


class KetenError(Exception):
    """A failure with a stable `code`, a `public` sentence and a `reason` for the operator and the ledger only."""

    category: ClassVar[str] = "internal"

    def __init__(self, code: str, public: str, reason: str = "") -> None:
        super().__init__(code, public, reason)
        self.code = code
        self.public = public
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.public} ({self.code})" + (f": {self.reason}" if self.reason else "")


class Denied(KetenError):
    """The caller may not; `code` is one of docs/formats/reasons.md."""

    category = "denied"


class NotFound(KetenError):
    """Absent, or forbidden to know: both look the same outside."""

    category = "not-found"


class Invalid(KetenError):
    """The request itself is wrong."""

    category = "invalid"


class Conflict(KetenError):
    """Right as such, but not in the present state."""

    category = "conflict"


class Busy(KetenError):
    """Too much at once."""

    category = "busy"


class Unavailable(KetenError):
    """Something that is needed is not there; nothing was changed."""

    category = "unavailable"


class FsyncFailed(Unavailable):
    """An fsync failed, so what the disk holds is unknown: stop the process and start again from disk (law 13)."""


class Corrupt(KetenError):
    """Stored data does not hold; the message names what and where."""

    category = "corrupt"


BY_CATEGORY: dict[str, type[KetenError]] = {
    kind.category: kind for kind in (Denied, NotFound, Invalid, Conflict, Busy, Unavailable, Corrupt)
}


def rebuild(category: str, code: str, public: str, reason: str = "") -> KetenError:
    """The error that another process reported, as the same type here (unknown categories become `Unavailable`)."""
    return BY_CATEGORY.get(category, Unavailable)(code, public, reason)
