"""What people sign in with: passkeys, and the one-time links that make them."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.identity.model import EndableRow
from keten.identity.roles import Face
from keten.ledger.bound import BoundRow

Purpose = Literal["first", "more", "recovery"]


class Passkey(EndableRow, frozen=True, kw_only=True):
    """A person's passkey (WebAuthn Level 3).

    person: random id. known_by: SHA-256 (hex) of the credential id, to find it by. credential, public_key: the
    credential id, and the COSE key, in base64url. rp: the relying party it was made for. synced: it may be copied
    between devices (backup eligible). added_us: microseconds UTC.
    """

    person: str
    known_by: str
    credential: str
    public_key: str
    rp: str
    synced: bool
    added_us: int


class Link(BoundRow, frozen=True, kw_only=True):
    """A one-time link for a person. hash: SHA-256 (hex) of its secret part (law 9). used_us: 0 while it was not."""

    person: str
    hash: str
    purpose: Purpose
    made_us: int
    expires_us: int
    used_us: int = 0


class Signed(msgspec.Struct, frozen=True, gc=False):
    """What a person signed for with a passkey, once the keeper has verified it.

    person, passkey: random ids. act: SHA-256 (hex) of the verb, a zero byte and its body (`ceremonies.act_of`).
    """

    person: str
    passkey: str
    act: str

    @property
    def actor(self) -> str:
        """As entries name it."""
        return f"person:{self.person}"


class PersonSession(msgspec.Struct, frozen=True, gc=False):
    """An open session. hash: SHA-256 (hex) of its secret; id: its public name; idle_us: how long it may lie still.

    passkey: random id; "": the organisation's provider vouched. browser: hash of what tells browsers apart. network: as
    `strangers.network_of` writes it. asserted_us: when a passkey was last shown; 0: none was.
    """

    hash: str
    id: str
    person: str
    passkey: str
    face: Face
    browser: str
    network: str
    began_us: int
    asserted_us: int
    used_us: int
    idle_us: int
    expires_us: int

    def over_at(self, now_us: int) -> bool:
        """Whether it has ended by itself: lain still too long, or come to its end."""
        return now_us >= self.expires_us or now_us >= self.used_us + self.idle_us
