"""Events to send, and where to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.ledger.model import Entry, Payload
from keten.watch.export.drivers.driver import Record
from keten.watch.export.ocsf import Telling, event_of
from keten.watch.export.sorting import sort_of
from tests.receivers import Trust
from tests.unit.watch.export.rigs import RIGS, Rig

TIME_US = 1_790_000_000_000_000


def record(index: int, kind: str = "exchange.object.opened") -> Record:
    """An event of the entry at an index."""
    at_us = TIME_US + index * 1_000_000
    details = {"outcome": "allow", "severity": "high", "detector": "miss-heavy"}
    payload = Payload("", kind, "c" * 26, (), {"dataset": "d" * 26}, details)
    entry = Entry(index, f"uid{index:023}", at_us, kind, payload)
    event = event_of(entry, {"d" * 26: "voters"}, Telling())
    return Record(entry.id, index, at_us, kind, sort_of(kind), event)


def records(start: int, stop: int, kind: str = "exchange.object.opened") -> list[Record]:
    return [record(index, kind) for index in range(start, stop)]


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """An authority that nobody trusts."""
    return Trust(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A webhook's secret, which will do as any token."""
    path = tmp_path / "secret"
    path.write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, trust: Trust, secret: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path, trust, secret) as made:
        yield made
