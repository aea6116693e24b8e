"""What is said on the operator's socket about backups, restores and moves."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.keeper.protocol import Nothing, Recorded


class BackupBegin(msgspec.Struct, frozen=True):
    """A backup begins. `folder`: where it will be, absolute. `recipients`: who can open it; empty: in the clear.

    move: it is the last thing that this instance does here; nothing is recorded after it, and it never starts again.
    """

    folder: str
    recipients: tuple[str, ...]
    move: bool = False


class BackupBegun(msgspec.Struct, frozen=True):
    """The backup's random id, when it was begun (microseconds), how large the ledger is, and the entry that says so."""

    id: str
    made_us: int
    size: int
    entry: str


class BackupOf(msgspec.Struct, frozen=True):
    """A backup by its id (or its folder)."""

    id: str


class BackupKeys(msgspec.Struct, frozen=True):
    """The data part of a backup is written. data: its SHA-256 in hexadecimal."""

    id: str
    data: str = ""


class BackupFinish(msgspec.Struct, frozen=True):
    """The data part is written and verified: the details of the entry that says so."""

    id: str
    size: int
    root: str
    data: str
    objects: int
    absent: int


class BackupInfo(msgspec.Struct, frozen=True):
    """A backup that is known. `reachable`: whether its folder can be seen by the keeper now."""

    id: str
    folder: str
    recipients: tuple[str, ...]
    made_us: int
    size: int
    state: str
    reachable: bool


class Backups(msgspec.Struct, frozen=True):
    """All of them."""

    backups: tuple[BackupInfo, ...]


class Renewed(msgspec.Struct, frozen=True):
    """Backups whose keys were written anew, and those that could not be reached: (folder, why)."""

    done: tuple[str, ...]
    unreached: tuple[tuple[str, str], ...]


Says = Literal["continues", "older", "contradicts", "unknown"]


class Outsider(msgspec.Struct, frozen=True):
    """What a witness, or a checkpoint that was kept, says of the head at which a restored ledger goes on.

    who: the witness's name in the policy, or the file's. says: that it continues what is known there; is older than
    that; contradicts it; or that this is not known. size: how many entries are known there.
    """

    who: str
    says: Says
    size: int = 0


class Confirm(msgspec.Struct, frozen=True):
    """Let a restored instance serve. `plan_only`: say what it would give out. `outside`: what the operator was told.

    despite: also when an outsider contradicts it.
    """

    plan_only: bool = False
    outside: tuple[Outsider, ...] = ()
    despite: bool = False


class Confirmed(msgspec.Struct, frozen=True):
    """What will be live, by kind: names. `evidence`: the newest that outsiders saw, as known here, a sentence each.

    entry: "" for a plan, or when there was nothing to confirm (`needed` false).
    """

    needed: bool
    live: dict[str, tuple[str, ...]]
    evidence: tuple[str, ...]
    entry: str = ""


class Recover(msgspec.Struct, frozen=True):
    """Proof files (c2sp.org/tlog-proof) with their leaf."""

    proofs: tuple[str, ...]


class Recovery(msgspec.Struct, frozen=True):
    """What came of each proof, in order: its entry's `index` and `id`, `entry` that records it, or what is wrong.

    already: it was recorded before. lost: false when the entry is in this ledger, and nothing had to be recorded.
    evidence: a file's content, when what is wrong is that the proof is of another history (keten.ledger.evidence).
    """

    index: int
    id: str
    entry: str
    wrong: str = ""
    already: bool = False
    lost: bool = True
    evidence: str = ""


class Recoveries(msgspec.Struct, frozen=True):
    """All of them."""

    proofs: tuple[Recovery, ...]


BACKUP_VERBS: dict[str, tuple[type, type]] = {
    "backup.begin": (BackupBegin, BackupBegun),
    "backup.keys": (BackupKeys, Nothing),
    "backup.finish": (BackupFinish, Recorded),
    "backup.list": (Nothing, Backups),
    "backup.forget": (BackupOf, Recorded),
    "backup.renew": (Nothing, Renewed),
    "backup.confirm": (Confirm, Confirmed),
    "backup.recover": (Recover, Recoveries),
}
