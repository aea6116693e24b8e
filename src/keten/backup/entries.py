"""The kinds of entry of backups, restores and moves."""

from __future__ import annotations

from keten.ledger.kinds import kind
from keten.ledger.succession import CONTINUED

BEGUN = kind(
    "backup.copy.begun",
    "An operator began a backup: recorded before anything is copied.",
    {
        "backup": "its random id",
        "folder": "the name of its folder",
        "recipients": "public keys that can open it (age); empty for one in the clear",
        "plain": "whether it is in the clear",
    },
)
FINISHED = kind(
    "backup.copy.finished",
    "A backup is complete and was verified.",
    {
        "backup": "its random id",
        "size": "entries in it",
        "root": "the ledger's root at that size, in hexadecimal",
        "data": "SHA-256 of its data file, in hexadecimal",
        "objects": "files whose content it has",
        "absent": "files of the register whose content it has not, because it was destroyed meanwhile",
    },
)
FORGOTTEN = kind(
    "backup.copy.forgotten",
    "An operator said that a backup is gone: ends and erasures are not carried to it any more.",
    {"backup": "its random id"},
)
CONTINUED_KIND = kind(
    CONTINUED,
    "A restored instance opened this log, which goes on from another: all entries before this one are that log's.",
    {
        "origin": "the name of the log that it goes on from",
        "key": "that log's verifier key",
        "size": "how many of its entries are known here; what it recorded beyond them is lost, or comes back by proof",
        "root": "its root at that size, in hexadecimal",
        "note": "its signed head at that size",
        "backup": "the backup's random id",
        "made": "when the backup was begun (RFC 3339)",
        "ended": "rows that ended after the backup and were ended here too",
        "ended_state": "whether the list of those is whole: whole, shortened, damaged or missing",
        "destroyed": "files whose key was destroyed after the backup, and which were destroyed here too",
        "changed": "rows that changed after the backup, and are here as before: [kind, id, when], the first thousand",
        "missing": "files whose content the backup has not, or has damaged",
        "unreadable": "entries whose payload cannot be opened any more, for a subject's key was destroyed: ranges",
        "rows": "rows that cannot be opened any more, likewise: ids",
        "budgets": "what became of the budgets of running windows: spent or kept",
    },
)
CONFIRMED = kind(
    "keeper.restore.confirmed",
    "An operator looked at what a restored instance would give out, and let it serve.",
    {
        "live": "how many rows were live by then, by kind",
        "recovered": "entries recovered from proofs by then",
        "outside": "witnesses that were asked and checkpoints that were given: who, what it says of the head at which "
        "this log goes on (continues, older, contradicts, unknown), and how many entries it knows",
    },
)
RECOVERED = kind(
    "ledger.entry.recovered",
    "Somebody proved that the log before this one had recorded an entry that this one does not have.",
    {
        "origin": "the log that had it",
        "index": "its index there",
        "id": "its id",
        "leaf": "its leaf, as it stood there",
        "note": "the signed head of that log that the proof leads to",
    },
)
MOVED = kind(
    "keeper.instance.moved",
    "The instance moves to another machine: this is the last entry of this log that is made here.",
    {"backup": "the random id of the backup that takes it there"},
)
ARRIVED = kind(
    "keeper.instance.arrived",
    "The instance goes on here, after it was moved.",
    {"backup": "the random id of the backup that brought it"},
)
