"""Which driver asks a system."""

from __future__ import annotations

from pathlib import Path

from keten.connector.drivers.driver import Driver
from keten.core.sources import SystemPlace
from keten.systems.model import SQLITE


def driver_of(place: SystemPlace, home: Path) -> Driver:
    """A new connection. Raises `Unavailable` (system-unavailable, password-file, no-driver)."""
    if place.kind == SQLITE:
        from keten.connector.drivers.sqlite import SqliteDriver  # noqa: PLC0415  # only what is configured is loaded

        return SqliteDriver(place.file(home), place.seconds)
    from keten.connector.drivers.postgres import PostgresDriver  # noqa: PLC0415

    return PostgresDriver(place, place.password(home), place.seconds)
