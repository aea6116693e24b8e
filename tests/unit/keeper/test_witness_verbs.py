"""What a keeper signs again at its start, of what outsiders signed: a head that is published, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.keeper.witness_verbs import WitnessVerbs
from keten.ledger.merkle import root_at
from keten.ledger.notes import Signer
from keten.ledger.outside import Outside, Signed
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x41" * 32))


@pytest.mark.parametrize(("size", "ours", "signed"), [(3, True, [3]), (3, False, []), (9, False, [])])
def test_only_a_published_head_is_signed_again(
    size: int, ours: bool, signed: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write in the database, and has a witness sign another root, has not the ledger's key sign it, too."""
    log = Log(tmp_path / "ledger", SIGNER)
    log.seal(5)
    log.publish(5, 0)
    root = root_at(size, Naive().hash_at(log.leaves)) if ours else bytes(32)
    witnessed = Signed(size, root, 1, ("w",), ("a line\n",))
    monkeypatch.setattr(WitnessVerbs, "_read", lambda _self: Outside(witnessed, None, {}, 0, 0))
    found: list[int] = []

    def checkpoint(of: int, _root: bytes) -> str:
        found.append(of)
        return "a note\n"

    settings = SimpleNamespace(witnesses=SimpleNamespace(policy=""), paths=SimpleNamespace(ledger=tmp_path / "ledger"))
    trusted: Any = SimpleNamespace(
        settings=settings,
        verifier_key=SIGNER.verifier_key(),
        sealer=SimpleNamespace(checkpoint=checkpoint),
        publishing=SimpleNamespace(offer_cosigned=lambda _note, **_how: None),
    )
    WitnessVerbs(trusted)
    assert found == signed
