"""DPoP proofs: none is taken but the one that the token's key signed, whatever is changed in it."""

from __future__ import annotations

from keten.core.errors import KetenError
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import ASSERTION, ATH, DPOP_KEY, PROOF, PROOF_ES256, URL, fresh_proofs
from tests.unit.identity.signing import NOW


def check(data: bytes) -> bool:
    text = text_of(data)
    proofs = fresh_proofs()
    try:
        found = proofs.check(text, "GET", URL, NOW, ATH, DPOP_KEY.thumbprint())
    except KetenError:
        return False
    assert text == PROOF, "only what was signed, and by the token's key"
    assert found.jkt == DPOP_KEY.thumbprint()
    return True


TARGET = Target(
    "dpop", check, lambda: [PROOF.encode()], words=(PROOF_ES256.encode(), ASSERTION.encode(), b","), longest=5000
)
