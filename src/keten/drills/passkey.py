"""A passkey in software: what an authenticator and a browser make of WebAuthn's options, honest or told to lie."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor


def encode(raw: bytes) -> str:
    """base64url without padding, as browsers write it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """What `encode` made."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One discoverable ES256 credential (WebAuthn Level 3, §6). origin: of the page that the browser shows."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.counter = 0
        self.credential = os.urandom(32)
        self.user = b""
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: str, **lies: Any) -> str:
        """Make the credential (`navigator.credentials.create`); lies: what differs from an honest answer."""
        asked = json.loads(options)
        self.user = decode(asked["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        key = encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential + key
        data = self._data(lies.get("rp", asked["rp"]["id"]), 0x40, lies) + attested
        client = self._client("webauthn.create", asked, lies)
        made = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._said({"clientDataJSON": encode(client), "attestationObject": encode(made)})

    def get(self, options: str, **lies: Any) -> str:
        """Show the credential (`navigator.credentials.get`)."""
        asked = json.loads(options)
        self.counter = lies.get("counter", self.counter + 1)
        data = self._data(lies.get("rp", asked["rpId"]), 0, lies)
        client = self._client("webauthn.get", asked, lies)
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._said(
            {
                "clientDataJSON": encode(client),
                "authenticatorData": encode(data),
                "signature": encode(lies.get("signature", signature)),
                "userHandle": encode(lies.get("user", self.user)),
            }
        )

    def _data(self, rp: str, more: int, lies: dict[str, Any]) -> bytes:
        flags = 0x01 | (0x04 if lies.get("verified", True) else 0) | more
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + struct.pack(">I", self.counter)

    def _client(self, kind: str, asked: dict[str, Any], lies: dict[str, Any]) -> bytes:
        challenge = lies.get("challenge", asked["challenge"])
        said = {"type": kind, "challenge": challenge, "origin": lies.get("origin", self.origin)}
        return json.dumps(said | {"crossOrigin": lies.get("framed", False)}).encode()

    def _said(self, response: dict[str, str]) -> str:
        name = encode(self.credential)
        said = {"id": name, "rawId": name, "type": "public-key", "response": response}
        return json.dumps(said | {"clientExtensionResults": {}})
