"""Client assertions: none is taken but the one that the client's key signed, whatever is changed in it."""

from __future__ import annotations

from keten.core.errors import KetenError
from keten.identity.assertions import check_assertion, claimed_client
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import ASSERTION, CLIENT_ID, KEY, PROOF
from tests.unit.identity.signing import ISSUER, NOW


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        claimed = claimed_client(text)
        found = check_assertion(text, CLIENT_ID, ISSUER, [KEY.public], NOW)
    except KetenError:
        return False
    assert claimed == CLIENT_ID
    assert (found.key is not None) == (text == ASSERTION), "only what was signed"
    return found.key is not None


TARGET = Target("assertion", check, lambda: [ASSERTION.encode()], words=(PROOF.encode(),), longest=5000)
