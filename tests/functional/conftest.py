"""A running instance with real processes, as a supplier and an operator see it. Nothing is mocked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.town import Town


@pytest.fixture(scope="module")
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A running town for one file of tests."""
    made = Town(tmp_path_factory.mktemp("town"), watched=_watched(request))
    with made.keten:
        made.start()
        yield made


@pytest.fixture
def fresh_town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A running town for one test that changes it."""
    made = Town(tmp_path, watched=_watched(request))
    with made.keten:
        made.start()
        yield made


def _watched(request: pytest.FixtureRequest) -> bool:
    """Whether a file of tests says that it is about the watch."""
    return bool(getattr(request.module, "WATCHED", False))
