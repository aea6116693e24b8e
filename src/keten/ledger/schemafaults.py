"""What the database says of its tables, held against what this version says of them."""

from __future__ import annotations

from collections.abc import Iterator
from warnings import catch_warnings, simplefilter

from sqlalchemy import Connection, Inspector, Table, UniqueConstraint, inspect
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from keten.core.db import metadata
from keten.ledger.faults import Fault

SCHEMA = "schema"  # where these faults are


def schema_faults(connection: Connection) -> Iterator[Fault]:
    """Tables that are missing, and columns, keys and indexes that are not as they were made.

    A constraint that is gone lets in later what the keeper relies on never being there.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in there:
            yield Fault(SCHEMA, "the table is missing", table=table.name)
            continue
        with catch_warnings():
            simplefilter("ignore", SAWarning)  # a damaged type is named below
            for what, found, made in (
                ("columns", _columns(connection, inspector, table), _made_columns(connection, table)),
                ("primary key", _key(inspector, table), [column.name for column in table.primary_key.columns]),
                ("indexes", _indexes(inspector, table), _made_indexes(table)),
            ):
                if found != made:
                    yield Fault(SCHEMA, f"its {what} are not as they were made", table=table.name)


def _key(inspector: Inspector, table: Table) -> list[str]:
    return list(inspector.get_pk_constraint(table.name)["constrained_columns"])


def _columns(connection: Connection, inspector: Inspector, table: Table) -> dict[str, tuple[str, bool]]:
    return {
        str(one["name"]): (_type(connection, one["type"]), bool(one["nullable"]))
        for one in inspector.get_columns(table.name)
    }


def _made_columns(connection: Connection, table: Table) -> dict[str, tuple[str, bool]]:
    return {column.name: (_type(connection, column.type), bool(column.nullable)) for column in table.columns}


def _type(connection: Connection, kind: TypeEngine[object]) -> str:
    return str(kind.compile(dialect=connection.dialect))


def _indexes(inspector: Inspector, table: Table) -> set[tuple[tuple[str | None, ...], bool]]:
    """Columns of each index, and whether it lets a value in once only; a unique constraint is one, too."""
    found = {(tuple(one["column_names"]), bool(one["unique"])) for one in inspector.get_indexes(table.name)}
    return found | {(tuple(one["column_names"]), True) for one in inspector.get_unique_constraints(table.name)}


def _made_indexes(table: Table) -> set[tuple[tuple[str | None, ...], bool]]:
    made: set[tuple[tuple[str | None, ...], bool]] = {
        (tuple(column.name for column in index.columns), bool(index.unique)) for index in table.indexes
    }
    unique = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    return made | {(tuple(column.name for column in one.columns), True) for one in unique}
