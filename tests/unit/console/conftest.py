"""A fresh instance for each test, and the console's clock held at a moment of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.console import overview
from tests.unit.console.house import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An instance without a register; the wall clock is that of its newest entry."""
    made = House(tmp_path / "instance")
    monkeypatch.setattr(overview, "wall_us", lambda: made.now_us)
    yield made
    made.engine.dispose()
    made.reader.dispose()
