"""What a system is. Where it is, and who may sign in there, is in settings: no part of the register."""

from __future__ import annotations

from typing import Literal

from keten.identity.model import EndableRow

Kind = Literal["postgres", "sqlite"]
KINDS: tuple[Kind, ...] = ("postgres", "sqlite")


class System(EndableRow, frozen=True, kw_only=True):
    """A database of the organisation's.

    title: what people call it. kind: one of `KINDS`. owner: random id of one of the organisation's people.
    """

    title: str
    kind: str
    owner: str
