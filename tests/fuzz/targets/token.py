"""Access tokens: only the very text that the keeper made opens."""

from __future__ import annotations

from keten.identity.errors import Refused
from keten.identity.tokens import Tokens
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import CLIENT_ID, DPOP_KEY, ROOT_KEY, TOKEN
from tests.unit.identity.signing import NOW


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        claims = Tokens(ROOT_KEY, 300).open(text, NOW)
    except Refused:
        return False
    assert text == TOKEN, "only what was issued"
    assert (claims.client_id, claims.jkt) == (CLIENT_ID, DPOP_KEY.thumbprint())
    return True


TARGET = Target("token", check, lambda: [TOKEN.encode()])
