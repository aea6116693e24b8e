"""One statement in an instance's database behind the keeper's back, whichever engine it is."""

from __future__ import annotations

from typing import Any

from keten.core.db import writing_engine
from keten.core.places import Place


def run(place: Place, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run it, with a `?` for each value, and commit; the rows that it gives, or one row with how many it changed."""
    engine = writing_engine(place)
    try:
        with engine.begin() as connection:
            text = statement if engine.dialect.paramstyle == "qmark" else statement.replace("?", "%s")
            result = connection.exec_driver_sql(text, values)
            return [tuple(row) for row in result] if result.returns_rows else [(result.rowcount,)]
    finally:
        engine.dispose()
