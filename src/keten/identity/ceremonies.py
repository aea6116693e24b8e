"""Passkey ceremonies under way: in memory only, each once, for five minutes. A restart of the keeper ends them all."""

from __future__ import annotations

import os
from collections import OrderedDict
from hashlib import sha256
from typing import Literal

import msgspec

from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.identity.errors import Refused, too_many
from keten.identity.passkeys import Relying
from keten.identity.roles import Face

LASTS_US = 300 * SECOND
MAX_CEREMONIES = 20_000
MAX_OF_NETWORK = 500
What = Literal["sign-in", "enrol", "recover", "add-key", "step-up", "provider"]


class Of(msgspec.Struct, frozen=True):
    """What a ceremony belongs to: a link (random id), a session (its hash), a person (random id), an act (`act_of`).

    parts: of the code of a recovery, in memory for as long as the ceremony.
    then: the page where one wanted to go, for a sign-in that leads through another site.
    """

    link: str = ""
    session: str = ""
    person: str = ""
    act: bytes = b""
    parts: tuple[str, ...] = ()
    then: str = ""


NOTHING = Of()


class Ceremony(msgspec.Struct, frozen=True):
    """What was begun. relying: for whom; browser, network: where; nonce: of 32 bytes."""

    id: str
    what: What
    face: Face
    relying: Relying
    browser: str
    network: str
    expires_us: int
    nonce: bytes
    of: Of = NOTHING

    @property
    def began_us(self) -> int:
        """When it was begun."""
        return self.expires_us - LASTS_US

    @property
    def challenge(self) -> bytes:
        """What the authenticator signs: from the nonce, and bound to purpose and act."""
        return challenge_of(self.nonce, self.what, self.of.act)


def act_of(verb: str, body: bytes) -> bytes:
    """SHA-256 of the verb, a zero byte, and its body."""
    return sha256(verb.encode() + b"\0" + body).digest()


def challenge_of(nonce: bytes, what: What, act: bytes) -> bytes:
    """The challenge of 32 bytes for a nonce of 32 bytes, a purpose and an act (empty, or of 32 bytes)."""
    return sha256(b"keten-ceremony\0" + what.encode() + b"\0" + nonce + act).digest()


class Ceremonies:
    """Those under way. Used in the event loop."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Ceremony] = OrderedDict()
        self._of_network: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(
        self,
        what: What,
        face: Face,
        relying: Relying,
        browser: str,
        network: str,
        now_us: int,
        of: Of = NOTHING,
    ) -> Ceremony:
        """Begin one. Raises `Busy` ("too-many-ceremonies") when there are too many, here or of this network."""
        self._forget(now_us)
        if len(self._open) >= MAX_CEREMONIES or self._of_network.get(network, 0) >= MAX_OF_NETWORK:
            raise too_many("too-many-ceremonies", f"{len(self._open)} are under way")
        expires_us = now_us + LASTS_US
        made = Ceremony(new_id(), what, face, relying, browser, network, expires_us, os.urandom(32), of)
        self._open[made.id] = made
        self._of_network[network] = self._of_network.get(network, 0) + 1
        return made

    def take(self, name: str, what: tuple[What, ...], face: Face, browser: str, now_us: int) -> Ceremony:
        """The ceremony with this name, used up by asking for it, whatever comes of it.

        Raises `Refused` ("ceremony-over") when there is none, or of another purpose, face or browser.
        """
        self._forget(now_us)
        found = self._open.get(name)
        if found is None or found.face != face:  # another face's stays: nobody there may end it
            raise Refused("ceremony-over", "there is no such ceremony under way")
        self._drop(name)
        if found.what not in what or found.browser != browser:
            raise Refused("ceremony-over", "it is of another browser or purpose", client_id=found.of.person)
        return found

    def _drop(self, name: str) -> None:
        gone = self._open.pop(name)
        left = self._of_network[gone.network] - 1
        if left:
            self._of_network[gone.network] = left
        else:
            del self._of_network[gone.network]

    def _forget(self, now_us: int) -> None:
        while self._open:
            name, oldest = next(iter(self._open.items()))
            if now_us < oldest.expires_us:
                return
            self._drop(name)
