"""Moving an instance's state to another database. The same log goes on there: no gap in the proof.

Two moments decide. Until `keten.toml` names the new database, it is a copy that nobody uses, and the move can be begun
again. From then on the instance is the new one; what is left (the entry that says so, and sealing the old database) is
done by the command, or by the keeper's next start.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, Table, delete, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from keten.budgets.checking import ChargesCheck
from keten.core.clock import wall_us
from keten.core.db import (
    insert_many,
    is_value,
    metadata,
    reading_engine,
    set_aside,
    take,
    translated,
    writing_engine,
)
from keten.core.errors import Conflict, Corrupt, Invalid, Unavailable
from keten.core.files import Files
from keten.core.places import Place
from keten.core.settings import Database, Settings, require_database
from keten.core.upgrade import SEALED, revision_of, upgrade
from keten.keeper import entries
from keten.keeper.instance import database_section
from keten.keeper.rootkey import RootKey
from keten.keeper.trusted import another, ledger_sealer, ledger_signer, read_origin
from keten.ledger.model import Draft
from keten.ledger.notes import Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.sealing import Head
from keten.ledger.verify import verify
from keten.ledger.writing import Writing, load_head
from keten.vault.checking import ContentCheck

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 2000
_SECTION = re.compile(r"^\[database\][^\n]*\n(?:(?!\s*\[)[^\n]*\n?)*", re.MULTILINE)

Progress = Callable[[int, int], None]


class Moved(msgspec.Struct, frozen=True):
    """What a move did. `entry`: the index of the entry that says so; `rows`: of all tables; `aside`: the old file."""

    source: str
    target: str
    size: int
    root: str
    rows: int
    entry: int
    aside: str


class Intent(msgspec.Struct, frozen=True):
    """`db/move.json`: there from just before `keten.toml` is switched until everything is done."""

    old: Database
    new: Database
    size: int
    root: str


def move(settings: Settings, root: RootKey, new: Database, actor: str, progress: Progress) -> Moved:
    """Move the state to the database that `new` names, which must be empty. No keeper may run on this instance.

    1. The new section of keten.toml can be written, and is not the present one.
    2. Nobody else records in the present database; its head is signed and what it has is of this version.
    3. Make the tables there. A database that holds another log, or more of this one, is refused; what an earlier move
       copied is replaced.
    4. Copy every table in one moment of the source and one transaction of the target, the head with it.
    5. Verify in the target: counts, head, tree, payloads, the register's bindings, published files, content.
    6. Write what is under way, then switch keten.toml: from here on the instance is the new one.
    7. The entry `keeper.database.moved`, first of all there; seal and set aside the old database.

    Raises `Invalid`, `Conflict` ("not-empty", "standing-by"), `Unavailable`, `Corrupt`; until step 6 nothing changed.
    """
    written = _switched(settings, new)  # 1
    target = msgspec.structs.replace(settings, database=new)
    if target.state == settings.state:
        raise Invalid("same-database", "The state is there already.")
    origin = read_origin(settings.paths.ledger / "key.pub")
    verifier = Verifier.parse(ledger_signer(root, origin).verifier_key())
    upgrade(settings.state)
    source = writing_engine(settings.state)
    try:
        with translated():
            if not take(source, origin):  # 2
                raise another()
            with source.connect() as connection:
                head = _head(connection, verifier, settings.state)
            upgrade(target.state)  # 3
            rows = _copy(source, target.state, head, verifier, progress)  # 4
        _verify(target, rows)  # 5
        intent = Intent(settings.database, new, head.size, head.root.hex())
        Files().write(_intent_path(settings), msgspec.json.encode(intent), mode=0o600)  # 6
        Files().write(settings.paths.settings, written.encode())
    finally:
        source.dispose()
    moved = finish(target, root, actor)  # 7
    if moved is None:
        raise Unavailable("move-unfinished", "The move is under way; it is finished when the keeper starts.")
    return msgspec.structs.replace(moved, rows=sum(rows.values()))


def finish(settings: Settings, root: RootKey, actor: str, engine: Engine | None = None) -> Moved | None:
    """Do what is left of a move once keten.toml is switched; None when none is under way.

    engine: the one that writes, where this process is the log's keeper already.
    """
    path = _intent_path(settings)
    try:
        intent = msgspec.json.decode(path.read_bytes(), type=Intent)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Corrupt("move-damaged", f"{path} cannot be read.", str(error)) from error
    if settings.database != intent.new:  # it was not switched: nothing happened
        path.unlink()
        return None
    origin = read_origin(settings.paths.ledger / "key.pub")
    old = msgspec.structs.replace(settings, database=intent.old).state
    writer = engine or writing_engine(settings.state)
    try:
        with translated():
            if engine is None and not take(writer, origin):
                raise another()
            _record(writer, settings, root, intent, actor)
    finally:
        if engine is None:
            writer.dispose()
    aside = _seal(old)
    path.unlink()
    Files().sync_folder(path.parent)
    return Moved(str(old), str(settings.state), intent.size, intent.root, 0, intent.size, aside)


def _intent_path(settings: Settings) -> Path:
    return settings.paths.database_folder / "move.json"


def _switched(settings: Settings, new: Database) -> str:
    """Step 1: the text of keten.toml with the new section. Raises `Invalid` where that can't be made by a program."""
    require_database(new, "keten move")
    path = settings.paths.settings
    before = path.read_text(encoding="utf-8")
    wanted = tomllib.loads(before)
    present = msgspec.convert(wanted.pop("database", {}), Database)
    if present != settings.database:
        raise Invalid("settings", "A KETEN_DATABASE variable names the database; unset it, or change it yourself.")
    after = without_database(before) + database_section(new)
    found = tomllib.loads(after)
    if msgspec.convert(found.pop("database", {}), Database) != new or found != wanted:
        raise Invalid("settings", f"{path}: give [database] a section of its own, which can then be replaced.")
    return after


def without_database(text: str) -> str:
    """The text of keten.toml without its section [database]."""
    return _SECTION.sub("", text).rstrip("\n") + "\n"


def _head(connection: Connection, verifier: Verifier, place: Place) -> Head:
    head = load_head(connection, verifier)
    if head is None:
        raise Corrupt("head-missing", "The database has no signed head.", str(place))
    return head


def _tables(connection: Connection) -> list[Table]:
    """Every table there is, the one with the head last."""
    there = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if there != set(metadata.tables):
        strange = ", ".join(sorted(there ^ set(metadata.tables)))
        raise Unavailable("tables", "The database has other tables than this version.", strange)
    return sorted(metadata.sorted_tables, key=lambda table: table.name == "head")


def _copy(source: Engine, target: Place, head: Head, verifier: Verifier, progress: Progress) -> dict[str, int]:
    """Steps 3 and 4; how many rows each table has."""
    writer = writing_engine(target)
    counts: dict[str, int] = {}
    try:
        with source.connect() as reading, writer.begin() as writing:
            tables = _tables(reading)
            if not _replaceable(reading, writing, verifier, head):
                raise Conflict("not-empty", f"{target} holds a ledger already.")
            for table in _tables(writing):
                writing.execute(delete(table))  # what a move that was killed left there
            total = sum(_count(reading, table) for table in tables)
            done = 0
            for table in tables:
                counts[table.name] = 0
                chosen = select(table).order_by(*table.primary_key).execution_options(yield_per=_ROWS_AT_ONCE)
                for some in reading.execute(chosen).partitions():
                    insert_many(writing, table, [tuple(row) for row in some])
                    counts[table.name] += len(some)
                    done += len(some)
                    progress(done, total)
    except DBAPIError as error:
        if is_value(error):
            public = "A row cannot be copied; 'keten ledger verify' names what is damaged."
            raise Corrupt("row-damaged", public, str(error.orig)) from error
        raise
    finally:
        writer.dispose()
    return counts


def _replaceable(source: Connection, target: Connection, verifier: Verifier, head: Head) -> bool:
    """Whether the target has nothing that the source lacks: no log, or what an earlier move of this one copied.

    Each leaf holds a fresh salt's commitment, so two logs that have the same newest one have not parted before it.
    """
    if _count(target, metadata.tables["head"]) == 0:
        return True
    present = load_head(target, verifier)
    if present is None or present.size > head.size:
        return False
    entries_there = metadata.tables["entries"]
    newest = select(entries_there.c.leaf).where(entries_there.c.idx == present.size - 1)
    return source.execute(newest).scalar() == target.execute(newest).scalar()


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _verify(target: Settings, rows: dict[str, int]) -> None:
    """Step 5."""
    engine = reading_engine(target.state)
    try:
        with translated(), engine.connect() as connection:
            for table in _tables(connection):
                found = _count(connection, table)
                if found != rows[table.name]:
                    what = f"{table.name}: {found} rows, {rows[table.name]} copied"
                    raise Corrupt("copy-differs", "The copy is not what was copied; nothing was switched.", what)
    finally:
        engine.dispose()
    paths = target.paths
    report = verify(target.state, paths.ledger, checks=(ChargesCheck(), ContentCheck(paths.store)))
    if not report.ok:
        what = "; ".join(map(str, report.faults[:3]))
        raise Corrupt("copy-faults", "What was copied does not verify, here or before; nothing was switched.", what)


def _record(engine: Engine, settings: Settings, root: RootKey, intent: Intent, actor: str) -> None:
    """Step 7, once: the first entry in the new database."""
    origin = read_origin(settings.paths.ledger / "key.pub")
    sealer = ledger_sealer(root, origin)
    verifier = Verifier.parse(ledger_signer(root, origin).verifier_key())
    old = msgspec.structs.replace(settings, database=intent.old).state
    details = {"from": str(old), "to": str(settings.state), "size": intent.size, "root": intent.root}
    with engine.begin() as connection:
        head = _head(connection, verifier, settings.state)
        if head.size > intent.size:
            return
        writing = Writing(connection, sealer, head, wall_us())
        writing.record(Draft(entries.DATABASE_MOVED, actor, details=details))
        writing.seal()
    reader = reading_engine(settings.state)
    Publishing(settings.paths.ledger, verifier, reader).catch_up()
    reader.dispose()


def _seal(old: Place) -> str:
    """The old database refuses to start from now on; the file's new name, "" for one on a server."""
    if isinstance(old, Path) and not old.exists():  # done before
        return ""
    engine = writing_engine(old)
    try:
        with translated(), engine.begin() as connection:
            if SEALED not in inspect(connection).get_table_names():
                revision_of(connection, old)
                connection.execute(text(f"ALTER TABLE alembic_version RENAME TO {SEALED}"))
    finally:
        engine.dispose()
    return set_aside(old, Files())
