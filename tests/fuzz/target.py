"""What is fuzzed: a parser that faces outside, what must hold whatever bytes it gets, and good examples of them."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from keten.core.errors import KetenError

ROOT = Path(__file__).resolve().parents[2]


class Target(NamedTuple):
    """A parser and its property.

    check: gives bytes to the parser; whether they were taken. An `AssertionError` says that the property does not
    hold; any other exception, that the parser raised what it does not declare.
    seeds: bytes that are taken, to begin with.
    words: what mutations put in, beside what the seeds have.
    longest: bytes of an input that is made by chance.
    calls, memory: the most calls (of Python or C) and bytes of memory for an input, each for a byte of it and beside.
    """

    name: str
    check: Callable[[bytes], bool]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[bytes] = ()
    longest: int = 2048
    calls: tuple[int, int] = (60, 20_000)
    memory: tuple[int, int] = (80, 4 << 20)


class Work(NamedTuple):
    """What an input took: counted, not timed, so it is the same on every machine."""

    calls: int
    memory: int


def work(check: Callable[[bytes], bool], data: bytes) -> Work:
    """How many calls a check makes, and how much memory it takes at most."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(count)
    try:
        check(data)
    finally:
        sys.setprofile(None)
    tracemalloc.start()
    try:
        check(data)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return Work(calls, memory)


def refused(error: KetenError, *codes: str) -> bool:
    """False: the bytes were not taken, and with an error that is declared."""
    assert error.code in codes, error
    return False


def text_of(data: bytes) -> str:
    """Bytes as a text that can be any: what is no UTF-8 becomes halves of surrogate pairs."""
    return data.decode("utf-8", "surrogateescape")


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
