"""What a supplier's client does: makes keys, assertions, proofs and SSH signatures; well, or wrongly as a test asks."""

from __future__ import annotations

import json
import os
import struct
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.identity.jws import encode_base64url
from keten.identity.keys import PublicKey, ec_thumbprint, from_raw, okp_thumbprint
from keten.identity.model import Client
from keten.keeper.protocol import HttpProof, SshSignIn, TokenRequest

NOW_S = 1_795_334_400  # 22 November 2026
NOW = NOW_S * SECOND
ISSUER = "https://delen.gemeente.example"
TOKEN_URL = f"{ISSUER}/token"
OBJECT_URL = f"{ISSUER}/v1/objects/abcdefghijklmnopqrstuvwxya"


def text(value: object) -> str:
    """A JSON value as a segment."""
    return encode_base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


class ClientKey:
    """A client's Ed25519 key."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.public: PublicKey = from_raw(self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def compact(self, header: object, claims: object) -> str:
        signed = f"{text(header)}.{text(claims)}"
        return f"{signed}.{encode_base64url(self.sign(signed.encode()))}"

    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(self.public.raw)}

    def thumbprint(self) -> bytes:
        return okp_thumbprint(self.jwk()["x"])


class EcKey(ClientKey):
    """A DPoP key on P-256."""

    def __init__(self) -> None:
        super().__init__()
        self.ec = ec.generate_private_key(ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.ec.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def jwk(self) -> dict[str, str]:
        numbers = self.ec.public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": encode_base64url(numbers.x.to_bytes(32, "big")),
            "y": encode_base64url(numbers.y.to_bytes(32, "big")),
        }

    def thumbprint(self) -> bytes:
        return ec_thumbprint(self.jwk()["x"], self.jwk()["y"])


def client_of(*keys: ClientKey) -> Client:
    return Client(id=new_id(), name="drukwerk-batch", supplier=new_id(), keys=tuple(key.public.line for key in keys))


def assertion_claims(client_id: str, **changed: Any) -> dict[str, Any]:
    """Claims of a good assertion; `changed` replaces, and None leaves out."""
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "exp": NOW_S + 120,
        "iat": NOW_S,
        "jti": new_id(),
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def assertion(key: ClientKey, client_id: str, **changed: Any) -> str:
    return key.compact({"alg": "EdDSA", "typ": "JWT"}, assertion_claims(client_id, **changed))


def proof_claims(token: str = "", **changed: Any) -> dict[str, Any]:
    claims: dict[str, Any] = {"jti": new_id(), "htm": "GET", "htu": OBJECT_URL, "iat": NOW_S}
    if token:
        claims["ath"] = encode_base64url(sha256(token.encode()).digest())
    return {name: value for name, value in (claims | changed).items() if value is not None}


def proof_header(key: ClientKey, **changed: Any) -> dict[str, Any]:
    alg = "ES256" if isinstance(key, EcKey) else "EdDSA"
    header: dict[str, Any] = {"typ": "dpop+jwt", "alg": alg, "jwk": key.jwk()}
    return {name: value for name, value in (header | changed).items() if value is not None}


def proof(key: ClientKey, token: str = "", **changed: Any) -> str:
    return key.compact(proof_header(key), proof_claims(token, **changed))


def token_request(key: ClientKey, client_id: str, dpop_key: ClientKey, /, **changed: Any) -> TokenRequest:
    made = TokenRequest(
        client_id,
        assertion(key, client_id),
        proof(dpop_key, htm="POST", htu=TOKEN_URL),
        ISSUER,
        TOKEN_URL,
        "192.0.2.7",
    )
    return msgspec.structs.replace(made, **changed)


def http_proof(dpop_key: ClientKey, token: str, **changed: Any) -> HttpProof:
    return HttpProof(token, proof(dpop_key, token, **changed), "GET", OBJECT_URL)


def string(raw: bytes) -> bytes:
    """RFC 4251 §5."""
    return struct.pack(">I", len(raw)) + raw


def userauth(user: bytes, key: bytes, /, **changed: bytes) -> bytes:
    """SSH_MSG_USERAUTH_REQUEST as signed; `changed` replaces fields by their raw bytes."""
    fields = {
        "number": b"\x32",
        "user": string(user),
        "service": string(b"ssh-connection"),
        "method": string(b"publickey"),
        "has_signature": b"\x01",
        "algorithm": string(b"ssh-ed25519"),
        "key": string(key),
        "after": b"",
    }
    return b"".join((fields | changed).values())


def ssh_sign_in(key: ClientKey, user: str, session_id: bytes = b"", **changed: Any) -> SshSignIn:
    """A good sign-in; `changed` replaces what is said, not what was signed."""
    session_id = session_id or os.urandom(32)
    signed = userauth(user.encode(), key.public.blob)
    signature = string(b"ssh-ed25519") + string(key.sign(string(session_id) + signed))
    made = SshSignIn(user, key.public.blob, session_id, signed, signature, "192.0.2.7")
    return msgspec.structs.replace(made, **changed)
