"""The vault's verbs: put, read, destroy. They work inside a transaction of the one writer and never commit.

A verb checks everything before it writes anything, so one that raises leaves no trace in a shared transaction.
Blobs are deleted by the caller, from what a verb names as `removed`, once the transaction is durable: ciphertext
without a key may stay behind after a crash, a key without its entry never does.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from keten.core.errors import Busy, Conflict, Corrupt, NotFound, Unavailable
from keten.core.ids import new_id
from keten.core.storage import Store
from keten.ledger import bound
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.vault import entries, layouts, rules
from keten.vault.frames import FRAME_SIZE, HEADER_BYTES
from keten.vault.keys import Keys
from keten.vault.model import Destroyed, HoldsContent, Object, Put, Ready, Stored, Swept, WrappedKey
from keten.vault.tables import content_keys, dataset_keys, objects, puts

__all__ = [
    "FRAME_SIZE",
    "abort_put",
    "begin_put",
    "blobs_of",
    "check_stored",
    "commit_put",
    "content_key",
    "destroy_dataset_key",
    "destroy_object",
    "destroy_where",
    "has_key",
    "header_of",
    "held_by",
    "ids_where",
    "key_of",
    "keyless_objects",
    "made_key",
    "object",
    "objects_of",
    "present_in",
    "present_objects",
    "put_of",
    "stored_key",
]

REPLACED = "replaced"
KEYLESS = "dataset-key-destroyed"
AT_ONCE = 200  # objects destroyed in one transaction


# ---- reading -----------------------------------------------------------------------------------------------------


def object(connection: Connection, object_id: str) -> Object | None:  # noqa: A001 - said as vault.object(…)
    """An object by id, present or destroyed, checked; None when there is none.

    Raises `Corrupt` ("register-mismatch").
    """
    return bound.get(connection, objects, Object, object_id)


def objects_of(connection: Connection, dataset: str) -> list[Object]:
    """The objects present in a dataset, checked, oldest first. Raises `Corrupt` ("register-mismatch")."""
    return bound.find(connection, objects, Object, dataset=dataset, state="present")


def present_objects(connection: Connection) -> Iterator[Object]:
    """Every present object, by id, as its row says: not compared with the ledger."""
    chosen = select(objects.c.body).where(objects.c.state == "present").order_by(objects.c.id)
    for body in connection.execute(chosen.execution_options(yield_per=1000)).scalars():
        yield msgspec.json.decode(body, type=Object)


def keyless_objects(connection: Connection) -> list[str]:
    """The ids of present objects whose content key, or whose dataset's, is not there."""
    kept = objects.outerjoin(content_keys, content_keys.c.object == objects.c.id).outerjoin(
        dataset_keys, dataset_keys.c.dataset == objects.c.dataset
    )
    gone = content_keys.c.wrapped.is_(None) | dataset_keys.c.wrapped.is_(None)
    keyless = select(objects.c.id).select_from(kept).where((objects.c.state == "present") & gone)
    return list(connection.execute(keyless).scalars())


def held_by(connection: Connection, dataset: str) -> int:
    """How many objects are present in a dataset."""
    statement = select(func.count()).select_from(objects).where(present_in(dataset))
    return int(connection.execute(statement).scalar_one())


def has_key(connection: Connection, dataset: str) -> bool:
    """Whether a dataset has a key: not before its first content, and not after the key was destroyed."""
    statement = select(dataset_keys.c.wrapped).where(dataset_keys.c.dataset == dataset)
    return connection.execute(statement).scalar() is not None


def stored_key(connection: Connection, dataset: str, object_id: str = "") -> bytes | None:
    """The key of a dataset, or of one object, as it is stored: random bytes by which it can be found in a file."""
    if object_id:
        statement = select(content_keys.c.wrapped).where(content_keys.c.object == object_id)
    else:
        statement = select(dataset_keys.c.wrapped).where(dataset_keys.c.dataset == dataset)
    wrapped = connection.execute(statement).scalar()
    return None if wrapped is None else bytes(wrapped)


def blobs_of(connection: Connection, dataset: str) -> tuple[str, ...]:
    """The storage keys of a dataset's destroyed objects. Their blobs are gone, unless that failed."""
    gone = (objects.c.dataset == dataset) & (objects.c.state == "destroyed")
    return tuple(connection.execute(select(objects.c.storage).where(gone)).scalars())


def header_of(found: Object) -> bytes:
    """What an object's blob must begin with."""
    return layouts.header_of(found.id, found.media_type)


def key_of(connection: Connection, found: Object) -> WrappedKey:
    """An object's content key as stored. It holds until the register changes.

    Raises `NotFound` ("absent": destroyed; "key-destroyed": its dataset's key was) and `Corrupt` ("key-missing").
    """
    statement = (
        select(
            objects.c.state,
            content_keys.c.dataset,
            content_keys.c.wrapped,
            dataset_keys.c.dataset,
            dataset_keys.c.wrapped,
        )
        .select_from(
            objects.outerjoin(content_keys, content_keys.c.object == objects.c.id).outerjoin(
                dataset_keys, dataset_keys.c.dataset == objects.c.dataset
            )
        )
        .where(objects.c.id == found.id)
    )
    row = connection.execute(statement).first()
    if found.state != "present" or row is None or row[0] != "present":
        raise NotFound("absent", "There is no such object.", f"object {found.id} is destroyed")
    _state, owner, wrapped, dataset, dataset_key = row
    if dataset is not None and dataset_key is None:
        raise NotFound("key-destroyed", "There is no such object.", f"the key of dataset {found.dataset} is destroyed")
    if wrapped is None or dataset_key is None:
        missing = f"object {found.id}" if wrapped is None else f"dataset {found.dataset}"
        raise Corrupt("key-missing", "A stored key is missing.", missing)
    if owner != found.dataset:
        raise Corrupt("key-damaged", "A stored key is damaged.", f"object {found.id}: its key is of another dataset")
    return WrappedKey(found.dataset, found.id, dataset_key, wrapped)


def content_key(connection: Connection, keys: Keys, found: Object) -> bytes:
    """The key to an object's content: step 6 of an access, after its entry is durable and never before.

    Raises as `key_of` does, and `Corrupt` ("key-damaged").
    """
    return keys.content_key(key_of(connection, found))


# ---- putting -----------------------------------------------------------------------------------------------------


def begin_put(  # noqa: PLR0913 - what an operator says of new content, each by its name
    writing: Writing,
    keys: Keys,
    dataset: HoldsContent,
    *,
    name: str,
    media_type: str,
    digest: str,
    size: int,
    replace: bool,
    actor: str,
) -> Ready:
    """A place and a key for new content. Nothing can be read of it before `commit_put`.

    `digest` "" and `size` -1: not known beforehand. Raises `Invalid` (file-name, media-type, digest, size,
    content-too-large), `Conflict` (name-taken, name-collides, key-destroyed), `Busy` ("put-under-way").

    1. Check what is said; normalise the name.
    2. The dataset's key: once it was destroyed, nothing is put into the dataset any more.
    3. The same content under the same name: nothing to do. Other content: only to replace it.
    4. Make the dataset's key when this is its first content.
    5. A fresh id, storage key and content key, remembered before anything is written to the store.
    """
    name = rules.normal_name(name)  # 1
    media_type = rules.check_media_type(media_type)
    if digest:
        rules.check_digest(digest)
    if size != -1:
        rules.check_size(size)
    dataset_key = _dataset_key(writing.connection, dataset.id)  # 2
    taken = _taken(writing, dataset.id, name, replace=replace, digest=digest, size=size)  # 3
    if taken is not None and _same(taken, digest, size):
        return Ready(taken.id, taken.storage, b"", unchanged=True)
    if dataset_key is None:  # 4
        dataset_key = made_key(writing, keys, dataset.id, actor)
    object_id, storage = new_id(), new_id()  # 5
    key, wrapped = keys.new_content_key(dataset.id, dataset_key, object_id)
    put = Put(
        object_id,
        dataset.id,
        storage,
        name,
        media_type,
        size,
        digest,
        replace,
        dataset.retention_days,
        writing.time_us,
        wrapped,
    )
    writing.connection.execute(insert(puts).values(msgspec.structs.asdict(put)))
    return Ready(object_id, storage, key)


def put_of(connection: Connection, object_id: str) -> Put | None:
    """A put under way, None when there is none of that id."""
    row = connection.execute(select(puts).where(puts.c.object == object_id)).mappings().first()
    return None if row is None else Put(**row)


def check_stored(store: Store, put: Put, size: int) -> None:
    """Check that the store holds a blob of the right size with this object's header; to be done before `commit_put`.

    Raises `Corrupt` (content-missing, content-damaged), `Unavailable` ("content-unreadable").
    """
    blob = store.open(put.storage)
    try:
        begins = blob.read_at(0, HEADER_BYTES)
    except OSError as error:
        raise Unavailable("content-unreadable", "The content cannot be read at this moment.", str(error)) from error
    finally:
        blob.close()
    expected = layouts.blob_size(rules.check_size(size), put.media_type)
    if blob.size != expected or not begins.startswith(layouts.header_of(put.object, put.media_type)):
        what = f"object {put.object}: the blob has {blob.size} bytes instead of {expected}, or another header"
        raise Corrupt("content-damaged", "The content of an object is damaged.", what)


def commit_put(
    writing: Writing, keys: Keys, *, object_id: str, size: int, digest: str, records: int, actor: str
) -> Stored:
    """The ciphertext is durable in the store: from the entry on, the object is there.

    Raises `NotFound` ("put-unknown"), `Invalid` (digest, size, records), `Conflict` (put-committed, content-changed,
    name-taken, name-collides, key-destroyed), `Busy` ("put-under-way"), `Corrupt` ("key-damaged").

    1. Find the put; what is committed is what was begun.
    2. Its key still opens: the dataset's key was not destroyed meanwhile.
    3. The name may have been taken meanwhile: the same content is kept once, other content only replaced when asked.
    4. What is replaced is destroyed in this same transaction.
    5. The row with its entry, and the key.
    """
    put = put_of(writing.connection, object_id)  # 1
    if put is None:
        if object(writing.connection, object_id) is not None:
            raise Conflict("put-committed", "This put was committed already.", object_id)
        raise NotFound("put-unknown", "There is no such put under way; begin again.", object_id)
    rules.check_digest(digest)
    rules.check_size(size)
    rules.check_records(records)
    if put.digest not in ("", digest) or put.size not in (-1, size):
        public = f"The content of {put.name!r} changed while it was put; put it again."
        raise Conflict("content-changed", public, object_id)
    dataset_key = _dataset_key(writing.connection, put.dataset)  # 2
    if dataset_key is None:
        raise Corrupt("key-missing", "A stored key is missing.", f"dataset {put.dataset}")
    keys.content_key(WrappedKey(put.dataset, object_id, dataset_key, put.wrapped))
    taken = _taken(writing, put.dataset, put.name, replace=put.replaces, digest=digest, size=size)  # 3
    refs = {"dataset": put.dataset, "object": object_id}
    if taken is not None and _same(taken, digest, size):
        writing.connection.execute(delete(puts).where(puts.c.object == object_id))
        dropped = Draft(entries.PUT_DROPPED, actor, refs=refs | {"object": taken.id}, details={"digest": digest})
        return Stored(writing.record(dropped), taken, (put.storage,), unchanged=True)
    removed = _destroy(writing, taken, REPLACED, actor).removed if taken is not None else ()  # 4
    stored = Object(  # 5
        id=object_id,
        name=put.name,
        dataset=put.dataset,
        storage=put.storage,
        size=size,
        digest=digest,
        media_type=put.media_type,
        records=records,
        put_us=writing.time_us,
        expires_us=rules.expires_us(writing.time_us, put.retention_days),
    )
    details = {"replaces": taken.id} if taken is not None else {}
    index = writing.write(objects, None, stored, entries.OBJECT_STORED, actor, refs=refs, details=details)
    writing.connection.execute(delete(puts).where(puts.c.object == object_id))
    writing.connection.execute(
        insert(content_keys).values(
            object=object_id, dataset=put.dataset, name_key=rules.name_key(put.name), wrapped=put.wrapped
        )
    )
    return Stored(index, stored, removed)


def abort_put(writing: Writing, object_id: str) -> tuple[str, ...]:
    """Forget a put, with its key; returns the blobs to delete. A put that is not there is no error."""
    put = put_of(writing.connection, object_id)
    if put is None:
        return ()
    writing.connection.execute(delete(puts).where(puts.c.object == object_id))
    return (put.storage,)


# ---- destroying --------------------------------------------------------------------------------------------------


def destroy_object(writing: Writing, object_id: str, reason: str, actor: str) -> Destroyed:
    """Destroy an object's content key, with the entry that says so; again is no error and no entry.

    Raises `NotFound` ("absent"), `Invalid` ("reason"), `Corrupt` ("register-mismatch").
    """
    reason = rules.check_reason(reason)
    found = _current(writing, object_id)
    if found is None:
        raise NotFound("absent", "There is no such object.", object_id)
    if found.state == "destroyed":
        return Destroyed(None, (found.storage,))
    return _destroy(writing, found, reason, actor)


def destroy_where(
    writing: Writing, condition: ColumnElement[bool], reason: str, actor: str, limit: int = AT_ONCE
) -> Swept:
    """Destroy up to `limit` objects of a condition on `objects`; those whose row does not hold are named and left.

    Damaged ones stay in front of the order; they are skipped, so that they hold up nothing.
    """
    destroyed: list[str] = []
    removed: list[str] = []
    damaged: list[str] = []
    while len(destroyed) < limit:
        some = ids_where(writing.connection, condition, limit - len(destroyed), len(damaged))
        if not some:
            break
        for object_id in some:
            try:
                done = destroy_object(writing, object_id, reason, actor)
            except Corrupt:
                damaged.append(object_id)
                continue
            destroyed.append(object_id)
            removed.extend(done.removed)
    return Swept(tuple(destroyed), tuple(removed), tuple(damaged))


def ids_where(
    connection: Connection, condition: ColumnElement[bool], limit: int | None = None, skip: int = 0
) -> list[str]:
    """The ids of objects of a condition, those that expire first in front."""
    ordered = select(objects.c.id).where(condition).order_by(objects.c.expires_us, objects.c.id)
    return list(connection.execute(ordered.limit(limit).offset(skip)).scalars())


def present_in(dataset: str) -> ColumnElement[bool]:
    """The condition on `objects` that they are present in a dataset."""
    return (objects.c.dataset == dataset) & (objects.c.state == "present")


def made_key(writing: Writing, keys: Keys, dataset: str, actor: str) -> bytes:
    """A dataset's key, wrapped; made, with its entry, when it never had one. Raises `Conflict` ("key-destroyed")."""
    known = _dataset_key(writing.connection, dataset)
    if known is not None:
        return known
    made = keys.new_dataset_key(dataset)
    writing.connection.execute(insert(dataset_keys).values(dataset=dataset, wrapped=made))
    writing.record(Draft(entries.KEY_MADE, actor, refs={"dataset": dataset}))
    return made


def destroy_dataset_key(
    writing: Writing, keys: Keys, dataset: str, reason: str, actor: str, limit: int = AT_ONCE
) -> Destroyed:
    """Destroy a dataset's key: none of its content can ever be opened again, and no new key takes its place.

    The objects' own rows end in the same transaction, as far as `limit` goes but at least one of them, so that every
    cache of the register lets go; the others follow by `sweeping.destroy_keyless`. Again is no error and no entry.
    Raises `NotFound` ("dataset-key-missing") when the dataset never had a key, `Invalid` ("reason").
    """
    reason = rules.check_reason(reason)
    row = writing.connection.execute(select(dataset_keys.c.wrapped).where(dataset_keys.c.dataset == dataset)).first()
    if row is None:
        raise NotFound("dataset-key-missing", "This dataset has no key.", dataset)
    if row.wrapped is None:
        return Destroyed(None)
    count = held_by(writing.connection, dataset)
    writing.connection.execute(update(dataset_keys).where(dataset_keys.c.dataset == dataset).values(wrapped=None))
    keys.forget(dataset)
    details = {"objects": count, "reason": reason}
    index = writing.record(Draft(entries.KEY_DESTROYED, actor, refs={"dataset": dataset}, details=details))
    return Destroyed(index, destroy_where(writing, present_in(dataset), KEYLESS, actor, max(1, limit)).removed)


# ---- inside a transaction ------------------------------------------------------------------------------------------


def _current(writing: Writing, object_id: str) -> Object | None:
    """An object as this transaction has it: what it changed itself has no entry to be checked against yet."""
    row = writing.connection.execute(select(objects.c.body, objects.c.entry).where(objects.c.id == object_id)).first()
    if row is None:
        return None
    first = writing.next_index - writing.mark()[0]
    if row.entry >= first:
        return msgspec.json.decode(row.body, type=Object)
    return object(writing.connection, object_id)


def _taken(writing: Writing, dataset: str, name: str, *, replace: bool, digest: str, size: int) -> Object | None:
    """The present object that has this name, when it is the same or may be replaced; None when the name is free."""
    statement = select(content_keys.c.object).where(
        content_keys.c.dataset == dataset, content_keys.c.name_key == rules.name_key(name)
    )
    object_id = writing.connection.execute(statement).scalar()
    if object_id is None:
        return None
    taken = _current(writing, object_id)
    if taken is None:  # stored earlier in this same transaction
        raise Busy("put-under-way", f"Another put of {name!r} is being finished; try again.", object_id)
    if taken.name != name:
        raise Conflict(
            "name-collides",
            f"The dataset holds {taken.name!r}, which some systems take for the same name as {name!r}.",
            object_id,
        )
    if not replace and not _same(taken, digest, size):
        public = f"The dataset holds other content named {name!r}; say so to replace it."
        raise Conflict("name-taken", public, object_id)
    return taken


def _same(taken: Object, digest: str, size: int) -> bool:
    return taken.digest == digest and size in (-1, taken.size)


def _dataset_key(connection: Connection, dataset: str) -> bytes | None:
    """A dataset's wrapped key, None when it never had one. Raises `Conflict` ("key-destroyed")."""
    row = connection.execute(select(dataset_keys.c.wrapped).where(dataset_keys.c.dataset == dataset)).first()
    if row is None:
        return None
    if row.wrapped is None:
        raise Conflict("key-destroyed", "The key of this dataset was destroyed; nothing can be put into it.", dataset)
    return bytes(row.wrapped)


def _destroy(writing: Writing, found: Object, reason: str, actor: str) -> Destroyed:
    after = msgspec.structs.replace(found, state="destroyed", reason=reason)
    refs = {"dataset": found.dataset, "object": found.id}
    index = writing.write(objects, found, after, entries.OBJECT_DESTROYED, actor, refs=refs, details={"reason": reason})
    writing.connection.execute(delete(content_keys).where(content_keys.c.object == found.id))
    return Destroyed(index, (found.storage,))
