"""What is remembered of a destination, in a small file of the worker's: apart from what sends, for who only looks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import msgspec

log = logging.getLogger(__name__)
STATE = "state.json"
_LARGEST = 2**62
Place = Annotated[int, msgspec.Meta(ge=-1, le=_LARGEST)]
Number = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
_DAMAGED = (OSError, msgspec.DecodeError, UnicodeDecodeError)


class State(msgspec.Struct):
    """What is remembered of a destination. cursor: index of the first entry that has not settled; -1 when it is new.

    sent: that of the first that was not sent. anchor: id of the entry before the cursor. delivered, left_out: events,
    since it is new. failing_since_us, error: what keeps it; 0 and "" when nothing does. moved_us: when the cursor
    moved. size: of the ledger, as seen last.
    """

    cursor: Place = -1
    sent: Place = 0
    anchor: str = ""
    delivered: Number = 0
    left_out: Number = 0
    failing_since_us: Number = 0
    error: str = ""
    moved_us: Number = 0
    size: Number = 0


def load_state(path: Path) -> State:
    """What is remembered; of a destination that is new, or whose file is damaged, nothing: all of it is sent again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except _DAMAGED as error:
        log.warning("%s cannot be read, and everything is sent again: %s", path, error)
        return State()


def seen_state(path: Path) -> State | None:
    """What is remembered, to be shown; None where it can't be read. Of a destination that is new: the beginning."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except _DAMAGED:
        return None
