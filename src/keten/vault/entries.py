"""The kinds of entry of the vault."""

from __future__ import annotations

from keten.ledger.kinds import kind

_ROW = {
    "table": "objects",
    "row": "the object's id",
    "before": "the object before",
    "after": "the object since then",
}

OBJECT_STORED = kind(
    "vault.object.stored",
    "Content was put into a dataset; from here on it can be fetched.",
    _ROW | {"replaces": "id of the object of the same name that this one took the place of (absent otherwise)"},
)
OBJECT_DESTROYED = kind(
    "vault.object.destroyed",
    "An object's content key was destroyed, so that its content cannot be opened by anyone any more.",
    _ROW | {"reason": "why"},
)
OBJECT_RESCHEDULED = kind(
    "vault.object.rescheduled",
    "The retention of a dataset changed, and with it the moment at which this object will be destroyed.",
    _ROW | {"retention_days": "the retention from now on, in days; 0 is no limit"},
)
PUT_DROPPED = kind(
    "vault.put.dropped",
    "The same content was put under the same name twice at once; the first was kept, the second dropped.",
    {"digest": "of the content"},
)
KEY_MADE = kind("vault.key.made", "A dataset got the key under which the keys of its content are wrapped.")
KEY_DESTROYED = kind(
    "vault.key.destroyed",
    "A dataset's key was destroyed, and with it all content that the dataset held.",
    {"objects": "how many objects it held", "reason": "why"},
)
