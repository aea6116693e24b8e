"""The register of kinds of entry. A kind is registered once, by its room, and its name is never reused."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_SHAPE = re.compile(r"[a-z]+\.[a-z_]+\.[a-z_]+\Z")
_KINDS: dict[str, Kind] = {}


class Kind(msgspec.Struct, frozen=True):
    """A kind of entry: `room.noun.verb`, one English sentence, and what its `details` hold (name → meaning)."""

    name: str
    summary: str
    details: Mapping[str, str]


def kind(name: str, summary: str, details: Mapping[str, str] | None = None) -> Kind:
    """Register a kind. `ValueError` when the name is malformed or taken."""
    if not _SHAPE.match(name):
        raise ValueError(f"a kind is room.noun.verb, not {name!r}")
    if name in _KINDS:
        raise ValueError(f"the kind {name!r} is registered already")
    made = Kind(name, summary, dict(details or {}))
    _KINDS[name] = made
    return made


def kinds() -> Mapping[str, Kind]:
    """Every kind registered so far, by name."""
    return _KINDS
