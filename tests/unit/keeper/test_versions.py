"""Two versions side by side: what one says, the other understands, as far as both know it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.keeper.frames import KEPT, bodies, example

FRAMES = json.loads(KEPT.read_text(encoding="utf-8"))


def _kept(name: str) -> bytes:
    return bytes.fromhex(FRAMES[name])


def test_everything_that_is_said_is_written_down() -> None:
    """Otherwise: `python -m tests.unit.keeper.frames`. What nobody says any more stays: an older process says it."""
    assert set(bodies()) <= set(FRAMES)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_what_an_older_process_says_is_understood(name: str) -> None:
    """A new field without a default, a field that is gone or of another type fails here."""
    said = msgspec.msgpack.decode(_kept(name))
    understood = _without_raw(msgspec.msgpack.decode(_kept(name), type=bodies()[name]))
    heard = msgspec.to_builtins(understood, builtin_types=(bytes,))
    assert _part(said, heard)


def _part(said: Any, heard: Any) -> bool:
    """Whether everything that was said was heard; what was heard beside it is defaults."""
    if isinstance(said, dict) and isinstance(heard, dict):
        return all(name in heard and _part(value, heard[name]) for name, value in said.items())
    if isinstance(said, list) and isinstance(heard, list | tuple):
        return len(said) == len(heard) and all(map(_part, said, heard))
    return bool(said == heard) or (said == {"raw": 1} and heard == b"")


@pytest.mark.parametrize("name", sorted(bodies()))
def test_what_a_newer_process_says_besides_is_ignored(name: str) -> None:
    said = example(bodies()[name])
    alone = msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=bodies()[name])
    heard = msgspec.msgpack.decode(msgspec.msgpack.encode(_with_more(said)), type=bodies()[name])
    assert msgspec.structs.astuple(_without_raw(heard)) == msgspec.structs.astuple(_without_raw(alone))


def _with_more(said: Any) -> Any:
    if isinstance(said, dict):
        free = any(each in said for each in ("one", "raw", 7))  # a mapping of any keys
        more = {} if free else {"of_a_later_version": [1, {"a": 2}]}
        return {name: _with_more(value) for name, value in said.items()} | more
    return [_with_more(each) for each in said] if isinstance(said, list) else said


def _without_raw(heard: msgspec.Struct) -> msgspec.Struct:
    raw = {name: b"" for name in heard.__struct_fields__ if isinstance(getattr(heard, name), msgspec.Raw)}
    return msgspec.structs.replace(heard, **raw)
