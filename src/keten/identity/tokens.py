"""Access tokens: opaque to everyone else, stored nowhere. What a token says is sealed in it under a key of the keeper.

Text: base64url of  version 1 ‖ day (4 bytes) ‖ nonce (12) ‖ AES-256-GCM(claims) ‖ tag (16); 188 characters.
Each day has a key of its own, derived from the root, so that random nonces never come near their bound (2^32 a key).
"""

from __future__ import annotations

import os
import struct
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keten.core.clock import SECOND, TOLERANCE_US
from keten.core.crypto import NONCE_BYTES, derive
from keten.core.errors import Invalid
from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, encode_base64url
from keten.identity.keys import fingerprint_bytes, fingerprint_text

TOKEN_CHARACTERS = 188
MAX_LIFETIME_S = 3600
MAX_OPENED = 4096
SERIAL_BYTES = 10
_DAY_US = 86_400 * SECOND
_HEAD = struct.Struct(">BI")
_CLAIMS = struct.Struct(">26s32s32sQ10s")
_VERSION = 1
_CONTEXT = b"keten/access-token"


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a token says.

    jkt: RFC 7638 thumbprint of the DPoP key that it is bound to. fingerprint: of the client's key at sign-in.
    expires_us: exclusive. serial: of the sign-in, 20 hex digits, also in its entry. ath: the token's own hash as
    proofs name it.
    """

    client_id: str
    jkt: bytes
    fingerprint: str
    expires_us: int
    serial: str
    ath: str


def token_hash(token: str) -> str:
    """`ath`: base64url of the SHA-256 of the token's ASCII (RFC 9449 §4.2)."""
    return encode_base64url(sha256(token.encode("utf-8", "surrogatepass")).digest())


def new_serial() -> str:
    """A fresh random serial."""
    return os.urandom(SERIAL_BYTES).hex()


class Tokens:
    """Makes and opens tokens. `lifetime_s`: seconds, at most an hour. Raises `Invalid` ("settings") for others."""

    def __init__(self, root: bytes, lifetime_s: int) -> None:
        if not 0 < lifetime_s <= MAX_LIFETIME_S:
            raise Invalid("settings", f"[limits] token_seconds must be 1 to {MAX_LIFETIME_S}.")
        self._root = root
        self.lifetime_s = lifetime_s
        self._ciphers: dict[int, AESGCM] = {}
        self._opened: dict[str, Claims] = {}  # what tokens that were shown before say; the oldest goes first

    def issue(self, client_id: str, fingerprint: str, jkt: bytes, serial: str, now_us: int) -> str:
        """A token of `lifetime_s` from now on."""
        expires_us = now_us + self.lifetime_s * SECOND
        head = _HEAD.pack(_VERSION, expires_us // _DAY_US)
        claims = _CLAIMS.pack(
            client_id.encode("ascii"), jkt, fingerprint_bytes(fingerprint), expires_us, bytes.fromhex(serial)
        )
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher(expires_us // _DAY_US, now_us).encrypt(nonce, claims, _CONTEXT + head)
        return encode_base64url(head + nonce + sealed)

    def open(self, token: str, now_us: int) -> Claims:
        """What a token says.

        1. It has the one length and spelling that tokens have.
        2. Its day is this one or a neighbour: no key is derived because a stranger says so.
        3. It was sealed under that day's key, head included.
        4. It is not over: valid before `expires_us`. Nor does it end later than one that is made now: that comes from
           a clock that was ahead.

        1 to 3 hold for ever once they held, and are remembered.

        Raises `Refused`: "token-invalid", "token-expired" (with the client's id).
        """
        claims = self._opened.get(token)
        if claims is None:
            claims = self._unseal(token, now_us)
            if len(self._opened) >= MAX_OPENED:
                del self._opened[next(iter(self._opened))]
            self._opened[token] = claims
        if now_us >= claims.expires_us:  # 4
            raise Refused("token-expired", "the token is over", client_id=claims.client_id)
        if claims.expires_us > now_us + self.lifetime_s * SECOND + TOLERANCE_US:
            raise _invalid("made by a clock that was ahead")
        return claims

    def _unseal(self, token: str, now_us: int) -> Claims:
        """Steps 1 to 3 of `open`."""
        if len(token) != TOKEN_CHARACTERS:  # 1
            raise _invalid("not the length of a token")
        try:
            raw = decode_base64url(token, "token")
        except Refused as error:
            raise _invalid("not the spelling of a token") from error
        version, day = _HEAD.unpack_from(raw)
        if version != _VERSION or abs(day - now_us // _DAY_US) > 1:  # 2
            raise _invalid("of another version, or long over")
        start = _HEAD.size + NONCE_BYTES
        try:  # 3
            plain = self._cipher(day, now_us).decrypt(
                raw[_HEAD.size : start], raw[start:], _CONTEXT + raw[: _HEAD.size]
            )
        except InvalidTag as error:
            raise _invalid("not sealed by this keeper") from error
        client, jkt, key, expires_us, serial = _CLAIMS.unpack(plain)
        return Claims(client.decode("ascii"), jkt, fingerprint_text(key), expires_us, serial.hex(), token_hash(token))

    def _cipher(self, day: int, now_us: int) -> AESGCM:
        cipher = self._ciphers.get(day)
        if cipher is None:
            today = now_us // _DAY_US
            self._ciphers = {each: kept for each, kept in self._ciphers.items() if abs(each - today) <= 1}
            cipher = AESGCM(derive(self._root, f"identity/tokens/{day}"))
            self._ciphers[day] = cipher
        return cipher


def _invalid(reason: str) -> Refused:
    return Refused("token-invalid", reason)
