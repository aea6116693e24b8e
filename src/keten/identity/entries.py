"""The kinds of entry of people and clients. Their proofs and sessions have theirs in `signin_entries.py`."""

from __future__ import annotations

from keten.ledger.kinds import kind

DECLARED = {
    "table": "the table of the register",
    "row": "the row's random id",
    "before": "null: it was not there",
    "after": "the row as declared",
}
CHANGED = {
    "table": "the table of the register",
    "row": "the row's random id",
    "before": "the row until then",
    "after": "the row from then on",
}
ENDED = CHANGED | {"after": "the row with `ended`: since when (microseconds UTC), why and by whom"}

ERASED = CHANGED | {
    "before": "null: it is not said any more",
    "after": "the row that is left: random ids, that it ended, and a keyed hash of the name it had",
}

PERSON_DECLARED = kind("identity.person.declared", "A person was entered into the register.", DECLARED)
PERSON_CHANGED = kind("identity.person.changed", "What the register says about a person changed.", CHANGED)
PERSON_ENDED = kind("identity.person.ended", "A person's access ended, for good.", ENDED)
PERSON_ERASED = kind("identity.person.erased", "What the register said about a person was erased.", ERASED)
CLIENT_DECLARED = kind("identity.client.declared", "A supplier's system account was entered.", DECLARED)
CLIENT_CHANGED = kind("identity.client.changed", "A system account changed, such as its keys.", CHANGED)
CLIENT_ENDED = kind("identity.client.ended", "A system account's access ended, for good.", ENDED)
CLIENT_ERASED = kind("identity.client.erased", "What the register said about a system account was erased.", ERASED)
