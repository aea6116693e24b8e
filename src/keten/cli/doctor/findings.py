"""What a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from sqlalchemy import Engine

from keten.core.settings import Settings
from keten.keeper.protocol import Status

Severity = Literal["wrong", "weak", "note"]


class Finding(msgspec.Struct, frozen=True):
    """severity: wrong (it does not do what it should), weak (it could be safer), note (as it is, but know it).

    code: stable, one for each thing that can be found. what: one sentence. todo: what to do about it.
    """

    severity: Severity
    code: str
    what: str
    todo: str = ""


class Case(msgspec.Struct, frozen=True):
    """An instance to look at. status: what its keeper says, None when none answers. up: the ready line, if it runs."""

    settings: Settings
    engine: Engine
    status: Status | None
    up: dict[str, object] | None


Check = Callable[[Case], Iterator[Finding]]


def wrong(code: str, what: str, todo: str = "") -> Finding:
    """Something that does not do what it should."""
    return Finding("wrong", code, what, todo)


def weak(code: str, what: str, todo: str = "") -> Finding:
    """Something that could be safer."""
    return Finding("weak", code, what, todo)


def note(code: str, what: str, todo: str = "") -> Finding:
    """Something to know."""
    return Finding("note", code, what, todo)
