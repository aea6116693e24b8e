"""A passkey in software: the drills' own."""

from keten.drills.passkey import Authenticator, decode, encode

__all__ = ["Authenticator", "decode", "encode"]
