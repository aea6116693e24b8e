"""What outsiders signed of this ledger, in the database: cosignatures of checkpoints, and time stamps.

Whether a signature holds is looked at whenever it is read; who owns the database can take one away, not make one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, delete, insert, inspect, select

from keten.core.clock import SECOND, rfc3339
from keten.core.errors import Corrupt
from keten.ledger.cosignatures import Cosignature, cosignatures
from keten.ledger.entries import CHECKPOINT_STAMPED, CHECKPOINT_WITNESSED, QUIET
from keten.ledger.merkle import HASH_BYTES
from keten.ledger.model import Draft
from keten.ledger.notes import Checkpoint, checkpoint_text, to_base64
from keten.ledger.quorum import Policy
from keten.ledger.tables import cosignatures as kept_lines
from keten.ledger.tables import entries, stamps
from keten.ledger.writing import Writing

MOST_ROWS = 10_000  # of cosignatures that are looked at: they are thinned out, so there are a few for each witness


class Signed(msgspec.Struct, frozen=True):
    """A head that outsiders signed: by whom (keys as name+hash), and when at last (microseconds, their clocks)."""

    size: int
    root: bytes
    time_us: int
    by: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


class Outside(msgspec.Struct, frozen=True):
    """What outsiders signed.

    witnessed: the newest head with enough cosignatures. stamped: the newest that was stamped. last: the newest head
    that each witness's key cosigned. waiting_us: the time of the oldest entry beyond both that calls for a signature;
    0 when nothing waits. unstamped_us: likewise, beyond the stamped one.
    """

    witnessed: Signed | None
    stamped: Signed | None
    last: dict[str, Signed]
    waiting_us: int
    unstamped_us: int

    @property
    def signed_us(self) -> int:
        """When somebody outside signed at last; 0: nobody ever did."""
        return max((one.time_us for one in (self.witnessed, self.stamped) if one is not None), default=0)


class Kept(msgspec.Struct, frozen=True):
    """What keeping cosignatures came to. `index`: of the entry, None without one. `signed`: all of that size."""

    signed: Signed
    enough: bool
    index: int | None


def read_outside(connection: Connection, origin: str, policy: Policy | None) -> Outside:
    """What outsiders signed of the log `origin`; `policy` says whose cosignatures count, and how many are enough."""
    heads = list(_heads(connection, origin, policy)) if policy is not None else []
    enough = [one for one in heads if policy is not None and one.by and policy.satisfied(one.by)]
    last: dict[str, Signed] = {}
    for one in heads:  # the newest come first
        for label in one.by:
            last.setdefault(label, one)
    witnessed = enough[0] if enough else None
    stamped = _newest_stamp(connection)
    covered = max((one.size for one in (witnessed, stamped) if one is not None), default=0)
    unstamped = _oldest_waiting(connection, stamped.size if stamped is not None else 0)
    return Outside(witnessed, stamped, last, _oldest_waiting(connection, covered), unstamped)


def keep_cosignatures(
    writing: Writing, checkpoint: Checkpoint, found: Sequence[Cosignature], policy: Policy
) -> Kept:
    """Keep cosignatures of a checkpoint of this log, in the writer's transaction. The caller has verified all of them.

    1. A witness's newer cosignature of the same size takes the place of its older one.
    2. When they are enough now, and were not before, and the checkpoint covers entries that call for a signature and
       that no witnessed one covered: an entry says so. An entry that says only that is no reason for another one, so
       an instance at rest comes to rest, with its newest head cosigned. Rows of its size and another root count for
       nothing.
    3. Older ones of the same witnesses are dropped: what is kept covers all that they did.
    """
    connection, size = writing.connection, checkpoint.size
    before = read_outside(connection, checkpoint.origin, policy)
    known = _of(connection, checkpoint, policy)
    had = policy.satisfied(known.by) if known is not None else policy.satisfied(())
    for one in found:  # 1
        connection.execute(delete(kept_lines).where(kept_lines.c.size == size, kept_lines.c.name == one.label))
        row = {"size": size, "name": one.label, "root": checkpoint.root, "line": one.line}
        connection.execute(insert(kept_lines).values(row | {"time_us": one.time * SECOND}))
    signed = _of(connection, checkpoint, policy) or Signed(size, checkpoint.root, 0)
    enough = policy.satisfied(signed.by)
    index = None
    since = before.witnessed.size if before.witnessed is not None else 0
    if enough and not had and _oldest_waiting(connection, since, size):  # 2
        index = writing.record(_witnessed(signed, found))
    if enough and (before.witnessed is None or size >= before.witnessed.size):  # 3
        connection.execute(delete(kept_lines).where(kept_lines.c.size < size, kept_lines.c.name.in_(signed.by)))
    return Kept(signed, enough, index)


def _witnessed(signed: Signed, found: Sequence[Cosignature]) -> Draft:
    times = {one.label: rfc3339(one.time * SECOND) for one in found}
    details = {
        "size": signed.size,
        "root": to_base64(signed.root),
        "witnesses": {label: times.get(label, rfc3339(signed.time_us)) for label in signed.by},
    }
    return Draft(CHECKPOINT_WITNESSED, "keeper", details=details)


def keep_stamp(writing: Writing, checkpoint: Checkpoint, stamp: bytes, time_us: int, authority: str) -> int:
    """Keep a verified stamp of a checkpoint of this log, with its entry; returns the entry's index."""
    connection = writing.connection
    connection.execute(delete(stamps).where(stamps.c.size == checkpoint.size))
    row = {"size": checkpoint.size, "root": checkpoint.root, "note": checkpoint.note, "stamp": stamp}
    connection.execute(insert(stamps).values(row | {"time_us": time_us}))
    details = {
        "size": checkpoint.size,
        "root": to_base64(checkpoint.root),
        "time": rfc3339(time_us),
        "authority": authority,
        "sha256": sha256(stamp).hexdigest(),
    }
    return writing.record(Draft(CHECKPOINT_STAMPED, "keeper", details=details))


def is_kept(connection: Connection) -> bool:
    """Whether this database has a place for outside signatures; one of before its upgrade has none."""
    return inspect(connection).has_table(kept_lines.name)


def kept_stamps(connection: Connection) -> Iterator[tuple[int, bytes, str, bytes, int]]:
    """Every stamp: size, root, the note that was stamped, the stamp, its time in microseconds; oldest first."""
    chosen = select(stamps.c.size, stamps.c.root, stamps.c.note, stamps.c.stamp, stamps.c.time_us)
    for row in connection.execute(chosen.order_by(stamps.c.size)):
        yield row.size, row.root, row.note, row.stamp, row.time_us


def _newest_stamp(connection: Connection) -> Signed | None:
    chosen = select(stamps.c.size, stamps.c.root, stamps.c.time_us).order_by(stamps.c.size.desc()).limit(1)
    row = connection.execute(chosen).first()
    return None if row is None else Signed(row.size, row.root, row.time_us)


def _heads(connection: Connection, origin: str, policy: Policy) -> Iterator[Signed]:
    """The cosigned heads, the newest first, with the cosignatures by the policy's keys that hold."""
    chosen = select(kept_lines).order_by(kept_lines.c.size.desc(), kept_lines.c.name).limit(MOST_ROWS)
    by_head: dict[tuple[int, bytes], list[str]] = {}
    for row in connection.execute(chosen):
        by_head.setdefault((row.size, row.root), []).append(row.line)
    for (size, root), lines in by_head.items():
        found = _holding(origin, size, root, lines, policy)
        times = tuple(one.time * SECOND for one in found)
        yield Signed(
            size, root, max(times, default=0), tuple(one.label for one in found), tuple(one.line for one in found)
        )


def _of(connection: Connection, checkpoint: Checkpoint, policy: Policy) -> Signed | None:
    """What is kept of this very head: a row of its size with another root is none of ours, whoever wrote it."""
    wanted = (checkpoint.size, checkpoint.root)
    return next((one for one in _heads(connection, checkpoint.origin, policy) if (one.size, one.root) == wanted), None)


def _holding(origin: str, size: int, root: bytes, lines: Sequence[str], policy: Policy) -> list[Cosignature]:
    if len(root) != HASH_BYTES:
        return []
    text = checkpoint_text(origin, size, root)
    found: list[Cosignature] = []
    for line in lines:
        try:
            found += cosignatures(f"{text}\n{line}", policy.keys)
        except Corrupt:
            continue  # somebody changed the row
    return found


def _oldest_waiting(connection: Connection, first: int, end: int | None = None) -> int:
    """The time of the oldest entry from `first` on (before `end`) that calls for an outside signature; 0 for none."""
    chosen = select(entries.c.time_us).where(entries.c.idx >= first, entries.c.kind.not_in(QUIET))
    if end is not None:
        chosen = chosen.where(entries.c.idx < end)
    return int(connection.execute(chosen.order_by(entries.c.idx).limit(1)).scalar() or 0)
