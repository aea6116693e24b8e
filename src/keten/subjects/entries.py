"""The kinds of entry of requests, holds, and of what was read or erased of a subject. Nothing personal is in them."""

from __future__ import annotations

from keten.identity.entries import CHANGED, DECLARED
from keten.ledger.kinds import Kind, kind

TRACED = kind(
    "subjects.subject.traced",
    "An operator read what is known of a person or client, and where it went: recorded before it was shown.",
    {"opened": "what was opened with the subject's key: email, addresses"},
)
ERASED = kind(
    "subjects.subject.erased",
    "Everything that may be erased of a person or client is gone: the last entry of an erasure.",
    CHANGED
    | {
        "asked_by": "who asked",
        "approved_by": "who approved",
        "approvers": "how many people it took: 1 where the settings say so",
        "signed_by": "the people who signed by a passkey: none before people do that here",
        "basis": "the law that it was asked by, in the asker's words",
        "payloads": "how many payloads were destroyed",
        "indexes": "of which entries: [first, last] of each run",
        "kept": "entries about it that stay, by kind",
        "unreached": "what could not be erased, and why",
    },
)
HOLD_SET = kind("subjects.hold.set", "A legal hold was set: what it is on must be kept.", DECLARED)
HOLD_RELEASED = kind("subjects.hold.released", "A legal hold was released by two people.", CHANGED)


UNSIGNED = kind(
    "subjects.request.unsigned",
    "What takes two people was approved, or done, by users of the operating system: people do not sign here yet.",
    {"what": "what it was", "people": "how many of the organisation's own people ever had a passkey: fewer than two"},
)


def _family(noun: str, of: str) -> dict[str, Kind]:
    """The kinds of requests of one sort."""
    return {
        "waiting": kind(f"subjects.{noun}.requested", f"Somebody asked for {of}; another has to approve.", DECLARED),
        "signed": kind(f"subjects.{noun}.signed", f"A person signed for {of} by a passkey; another has to.", CHANGED),
        "approved": kind(f"subjects.{noun}.approved", f"Another person approved {of}; it is carried out.", CHANGED),
        "refused": kind(f"subjects.{noun}.refused", f"A request for {of} was refused.", CHANGED),
        "lapsed": kind(f"subjects.{noun}.lapsed", f"Nobody approved {of} in time.", CHANGED),
    }


_ERASURE = _family("erasure", "the erasure of a person or client")
_RELEASE = _family("release", "the release of a legal hold")
_READING = _family("reading", "reading where a client called from")
_DESTRUCTION = _family("destruction", "the destruction of content")
_WHO = {
    "asked_by": "who asked",
    "approved_by": "who approved",
    "approvers": "how many people it took",
    "signed_by": "the people who signed by a passkey: none before people do that here",
    "basis": "by which law, in the asker's words",
}
RELEASE_DONE = kind("subjects.release.done", "A request to release a hold was carried out.", CHANGED | _WHO)
READING_DONE = kind(
    "subjects.reading.done", "The addresses of a client may be read for an hour: two people signed.", CHANGED | _WHO
)
DESTRUCTION_DONE = kind("subjects.destruction.done", "A request to destroy content was carried out.", CHANGED | _WHO)


def kinds_of(what: str) -> dict[str, Kind]:
    """The kinds of a request, by the state that it comes into."""
    if what == "erase":
        return _ERASURE | {"done": ERASED}
    if what == "read":
        return _READING | {"done": READING_DONE}
    if what == "release":
        return _RELEASE | {"done": RELEASE_DONE}
    return _DESTRUCTION | {"done": DESTRUCTION_DONE}
