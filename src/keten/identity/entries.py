"""The kinds of entry of people and clients. Their proofs and sessions have theirs in `signin_entries.py`."""

from __future__ import annotations

from keten.ledger.kinds import Kind, kind

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
CONFIRMED = CHANGED | {"after": "the row with `confirm`: how often, and until when (microseconds UTC)"}
ENDED = CHANGED | {"after": "the row with `ended`: since when (microseconds UTC), why and by whom"}

ERASED = CHANGED | {
    "before": "null: it is not said any more",
    "after": "the row that is left: random ids, that it ended, and a keyed hash of the name it had",
}

PERSON_DECLARED = kind("identity.person.declared", "A person was entered into the register.", DECLARED)
PERSON_CHANGED = kind("identity.person.changed", "What the register says about a person changed.", CHANGED)
PERSON_CONFIRMED = kind(
    "identity.person.confirmed", "A person's roles were confirmed: they are still needed.", CONFIRMED
)
PERSON_ENDED = kind("identity.person.ended", "A person's access ended, for good.", ENDED)
PERSON_ERASED = kind("identity.person.erased", "What the register said about a person was erased.", ERASED)
CLIENT_DECLARED = kind("identity.client.declared", "A supplier's system account was entered.", DECLARED)
CLIENT_CHANGED = kind("identity.client.changed", "A system account changed, such as its keys.", CHANGED)
CLIENT_ENDED = kind("identity.client.ended", "A system account's access ended, for good.", ENDED)
CLIENT_ERASED = kind("identity.client.erased", "What the register said about a system account was erased.", ERASED)

_RESTRAINED = CHANGED | {"after": "the row with `restraint`: until when (microseconds UTC), why and by whom"}


def _restraints(noun: str, of: str) -> dict[str, Kind]:
    """The kinds of what a principal may not for a while, by what it is."""
    return {
        "suspended": kind(f"identity.{noun}.suspended", f"{of} gets no access until a moment.", _RESTRAINED),
        "slowed": kind(f"identity.{noun}.slowed", f"{of} may make so many requests a minute only.", _RESTRAINED),
        "signed_out": kind(f"identity.{noun}.signed_out", f"{of} has to sign in anew.", _RESTRAINED),
        "released": kind(f"identity.{noun}.released", f"{of} may again what it might not for a while.", _RESTRAINED),
    }


PERSON_RESTRAINED = _restraints("person", "A person")
CLIENT_RESTRAINED = _restraints("client", "A system account")
