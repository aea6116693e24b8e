"""What the keeper hands to the worker, on the worker's socket: letters to people about their own accounts.

A letter holds a one-time secret, so it goes this way and no other: the keeper says it to the one process that sends
mail. No socket of the keeper's has a verb that answers with one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_FRAME = 64 * 1024
What = Literal["opened", "code", "done", "changed", "asked", "key-added", "key-ended", "unusual", "rights"]


class Letter(msgspec.Struct, frozen=True):
    """One letter. uid: the same when the same is sent again. to: an address. person: as the organisation calls it.

    what: a case was opened; a part of its code; a passkey was made with it; the person's addresses changed; a case of
    that person waits for whoever gets this letter; a passkey was added, or ended; something unusual happened; rights
    wait to be confirmed. link: where one says "this is not me" (opened, done), uses the code (code) or signs in (asked
    and the last four). part: of the code. moment_us: not before it (opened), until then (code, done), or when it was
    (the last four). zone: of moments. why: what was unusual, of `to_tell.UNUSUAL`.
    """

    uid: str
    what: What
    to: str
    organisation: str
    person: str
    zone: str
    link: str = ""
    part: str = ""
    moment_us: int = 0
    why: str = ""


class Handed(msgspec.Struct, frozen=True):
    """The mail server took it."""


LETTER_VERBS: dict[str, tuple[type, type]] = {"mail.letter": (Letter, Handed)}
"""What the keeper says on the worker's socket."""
