"""Keys: wrapping (AES-256-GCM, SP 800-38D), derivation (HKDF, RFC 5869), sealing by a passphrase (scrypt, RFC 7914).

And Ed25519 signatures (RFC 8032) of callers: by libsodium, which takes half the time of OpenSSL's
(docs/decisions/0011-writing-in-the-loop.md) and refuses keys and points of small order by itself.
"""

from __future__ import annotations

import functools
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_PUBLICKEYBYTES,
)
from nacl.exceptions import BadSignatureError

from keten.core.errors import Corrupt, Denied

KEY_BYTES = 32
NONCE_BYTES = 12
_SCRYPT_N = 2**17
_SEALED_MAGIC = b"keten-sealed-1\n"


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(KEY_BYTES)


def derive(root: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """A key for one purpose from a root key (HKDF-SHA256; `purpose` is the info string)."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"keten/" + purpose.encode()).derive(root)


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature of 64 bytes over a message holds under a public key of 32 bytes."""
    # The library reads so many bytes, whatever there are.
    if len(public) != crypto_sign_PUBLICKEYBYTES or len(signature) != crypto_sign_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


@functools.lru_cache(maxsize=4096)
def is_ed25519_key(public: bytes) -> bool:
    """Whether 32 bytes are a key that only its owner can sign for (RFC 8032 §5.1.5).

    A point of the curve in its canonical encoding, of the large prime order: a private key gives no other. The answers
    are remembered: it costs as much as a signature, and callers show the same keys again and again.
    """
    return len(public) == crypto_sign_PUBLICKEYBYTES and bool(crypto_core_ed25519_is_valid_point(public))


class Wrapper:
    """Encrypts small secrets under one key, bound to a context such as the id of what they belong to."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Nonce ‖ ciphertext ‖ tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, context)

    def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """The secret; `Corrupt` when the blob was changed or belongs to another context."""
        try:
            return self._aead.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise Corrupt("key-damaged", "A stored key is damaged.", f"context {context[:40]!r}") from error


def seal_by_passphrase(secret: bytes, passphrase: bytes) -> bytes:
    """`secret` under a passphrase: magic ‖ salt ‖ nonce ‖ ciphertext. scrypt with N=2^17, r=8, p=1 (128 MiB)."""
    salt = os.urandom(16)
    return _SEALED_MAGIC + salt + Wrapper(_stretch(passphrase, salt)).wrap(secret, _SEALED_MAGIC)


def open_by_passphrase(blob: bytes, passphrase: bytes) -> bytes:
    """What `seal_by_passphrase` sealed; `Denied` ("wrong-passphrase") or `Corrupt`."""
    head = len(_SEALED_MAGIC)
    if not blob.startswith(_SEALED_MAGIC) or len(blob) < head + 16 + NONCE_BYTES + 16:
        raise Corrupt("sealed-key-damaged", "The sealed key file is damaged.")
    try:
        return Wrapper(_stretch(passphrase, blob[head : head + 16])).unwrap(blob[head + 16 :], _SEALED_MAGIC)
    except Corrupt as error:
        raise Denied("wrong-passphrase", "The passphrase does not open the keeper's key.") from error


def is_sealed(blob: bytes) -> bool:
    """Whether a key file is sealed by a passphrase."""
    return blob.startswith(_SEALED_MAGIC)


def _stretch(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=_SCRYPT_N, r=8, p=1).derive(passphrase)
