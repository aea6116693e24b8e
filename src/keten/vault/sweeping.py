"""What the keeper tidies up by itself: content past its retention, puts that were never finished, blobs of nobody.

Every sweep takes a limit, so that no transaction grows without end; call it again until it has nothing more to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, delete, select, update

from keten.core.errors import Corrupt
from keten.core.storage import Store
from keten.ledger.writing import Writing
from keten.vault import entries, rules, service
from keten.vault.model import Swept
from keten.vault.tables import content_keys, dataset_keys, objects, puts

EXPIRED = "retention-over"
ABANDONED_AFTER_US = 24 * 3600 * 1_000_000
_KEYS_AT_ONCE = 500


def expired_objects(
    connection: Connection, now_us: int, limit: int = 1000, held: Collection[str] = ()
) -> list[str]:
    """The ids of present objects whose retention is over, longest past first. held: datasets that must be kept."""
    return service.ids_where(connection, _expired(now_us, held), limit)


def destroy_expired(
    writing: Writing, now_us: int, actor: str = "keeper", limit: int = service.AT_ONCE, held: Collection[str] = ()
) -> Swept:
    """Destroy content whose retention is over, each with its entry; an object whose row does not hold is named.

    held: datasets whose content must be kept all the same.
    """
    return service.destroy_where(writing, _expired(now_us, held), EXPIRED, actor, limit)


def destroy_keyless(writing: Writing, actor: str = "keeper", limit: int = service.AT_ONCE) -> Swept:
    """Give the objects of datasets whose key was destroyed their own end: row, entry, blob."""
    gone = select(dataset_keys.c.dataset).where(dataset_keys.c.wrapped.is_(None))
    condition = (objects.c.state == "present") & objects.c.dataset.in_(gone)
    return service.destroy_where(writing, condition, service.KEYLESS, actor, limit)


def reschedule(writing: Writing, dataset: str, retention_days: int, actor: str) -> Swept:
    """A dataset's retention is `retention_days` from now on, also for what it holds already.

    What it would destroy at once stays for a week (`rules.moved_us`): whoever sees the entry can stop it. Each object
    whose end moves gets an entry; `Swept.objects` are those.
    """
    writing.connection.execute(update(puts).where(puts.c.dataset == dataset).values(retention_days=retention_days))
    moved: list[str] = []
    damaged: list[str] = []
    for object_id in service.ids_where(writing.connection, service.present_in(dataset)):
        try:
            found = service.object(writing.connection, object_id)
        except Corrupt:
            damaged.append(object_id)
            continue
        if found is None:
            continue
        expires_us = rules.moved_us(found.expires_us, found.put_us, retention_days, writing.time_us)
        if found.expires_us != expires_us:
            after = msgspec.structs.replace(found, expires_us=expires_us)
            refs = {"dataset": dataset, "object": object_id}
            details = {"retention_days": retention_days}
            writing.write(objects, found, after, entries.OBJECT_RESCHEDULED, actor, refs=refs, details=details)
            moved.append(object_id)
    return Swept(tuple(moved), (), tuple(damaged))


def abandon_puts(writing: Writing, before_us: int, limit: int = 1000) -> tuple[str, ...]:
    """Forget puts begun before `before_us` and never finished, with their keys; returns the blobs to delete."""
    statement = (
        select(puts.c.object, puts.c.storage).where(puts.c.begun_us < before_us).order_by(puts.c.begun_us).limit(limit)
    )
    found = writing.connection.execute(statement).all()
    for start in range(0, len(found), _KEYS_AT_ONCE):
        some = [row.object for row in found[start : start + _KEYS_AT_ONCE]]
        writing.connection.execute(delete(puts).where(puts.c.object.in_(some)))
    return tuple(row.storage for row in found)


def orphans(engine: Engine, store: Store) -> Iterator[str]:
    """Storage keys of blobs that belong to no present object and no put under way.

    The store is read before the rows, in a transaction of their own: a put has its row before its first byte, so a
    blob that was seen and has no row afterwards is a leftover (of a crash between a commit and the deletion after it).
    What still has a content key is left, whatever its row says.
    """
    keys = iter(store.keys())
    while some := list(islice(keys, _KEYS_AT_ONCE)):
        with engine.connect() as connection:
            has_key = objects.c.id.in_(select(content_keys.c.object))
            owned = select(objects.c.storage).where(
                objects.c.storage.in_(some), (objects.c.state == "present") | has_key
            )
            owned_by_puts = select(puts.c.storage).where(puts.c.storage.in_(some))
            known = set(connection.execute(owned.union_all(owned_by_puts)).scalars())
        yield from (key for key in some if key not in known)


def _expired(now_us: int, held: Collection[str]) -> ColumnElement[bool]:
    over = (objects.c.state == "present") & (objects.c.expires_us > 0) & (objects.c.expires_us <= now_us)
    return over & objects.c.dataset.not_in(sorted(held)) if held else over
