"""Compact JWS: what is taken apart can be put together in one way only, and it is the text that came."""

from __future__ import annotations

from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, encode_base64url, split, strict_header
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import ASSERTION, PROOF, PROOF_ES256


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        taken = split(text, "fuzzed")
        strict_header(taken.header, "fuzzed")
    except Refused:
        return False
    header, claims, signature = text.split(".")
    for segment in (header, claims, signature):
        assert encode_base64url(decode_base64url(segment, "fuzzed")) == segment, "one spelling"
    assert taken.signature == decode_base64url(signature, "fuzzed")
    assert taken.signed == f"{header}.{claims}".encode()
    return True


TARGET = Target(
    "jws",
    check,
    lambda: [text.encode() for text in (ASSERTION, PROOF, PROOF_ES256)],
    words=(b"eyJ", b"e30", b"bnVsbA", b"eyJhIjoxfQ", b"eyJjcml0IjpbXX0"),
    longest=5000,
)
