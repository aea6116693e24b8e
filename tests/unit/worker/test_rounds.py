"""When a witness is asked again: at once, later, much later."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.clock import wall_us
from keten.core.errors import Invalid
from keten.core.settings import Settings, Witnesses
from keten.keeper.witness_protocol import Heard, OutsideState
from keten.ledger.cosignatures import Cosigner
from keten.ledger.notes import Checkpoint, Signer, Verifier, checkpoint_text, parse_checkpoint
from keten.worker.asking import Given
from keten.worker.rounds import FIRST_PAUSE, LONGEST_PAUSE, Rounds

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x81" * 32))
COSIGNER = Cosigner("witness.example/w", Ed25519PrivateKey.from_private_bytes(b"\x82" * 32))
LABEL = COSIGNER.key.label


class Turning(Rounds):
    """Rounds with a clock of their own."""

    def __init__(self, settings: Settings) -> None:
        self.at = 1000.0
        super().__init__(settings, lambda: self.at)
        assert self._policy is not None
        (self.witness,) = self._policy.witnesses

    def due(self, size: int, last: int = 0, ago_us: int = 0) -> bool:
        """Whether the witness is to be asked about a head, when it cosigned another one so long ago."""
        state = OutsideState(size, 0, 0, 0, 0, 1, 1, {LABEL: (last, wall_us() - ago_us)} if last else {}, [])
        return self._is_due(self.witness, head(size), state)

    def hears(self, code: str, there: int = 0) -> None:
        self._remember(self.witness, Given("", Heard("w", code, code, 5, there), there))


def head(size: int) -> Checkpoint:
    note = SIGNER.sign(checkpoint_text(SIGNER.name, size, b"r" * 32))
    found = parse_checkpoint(note, Verifier.parse(SIGNER.verifier_key()))
    assert found.size == size
    return found


@pytest.fixture
def rounds(tmp_path: Path) -> Turning:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "key.pub").write_text(SIGNER.verifier_key() + "\n")
    (tmp_path / "p").write_text(f"witness w {COSIGNER.key.verifier_key()} http://w.example\nquorum w\n")
    return Turning(Settings(home=str(tmp_path), witnesses=Witnesses(policy="p", limit="1h")))


def test_a_new_head_is_asked_about_and_an_old_signature_renewed(rounds: Turning) -> None:
    assert rounds.due(3)
    assert rounds.due(4, last=3)
    assert not rounds.due(4, last=4)
    assert not rounds.due(4, last=4, ago_us=29 * 60_000_000)
    assert rounds.due(4, last=4, ago_us=31 * 60_000_000)
    assert rounds.pause == 10.0


def test_one_that_fails_is_left_alone_longer_each_time(rounds: Turning) -> None:
    pause = FIRST_PAUSE
    for _time in range(12):
        rounds.hears("unreachable")
        rounds.at += pause - 0.5
        assert not rounds.due(3)
        rounds.at += 1
        assert rounds.due(3)
        pause = min(pause * 2, LONGEST_PAUSE)
    assert pause == LONGEST_PAUSE
    rounds._remember(rounds.witness, Given("line", None, 3))
    assert rounds.due(4, last=3)
    rounds.hears("refused")
    rounds.at += FIRST_PAUSE + 1
    assert rounds.due(4)


def test_an_alarm_is_no_retry_until_the_question_is_another_one(rounds: Turning) -> None:
    rounds.hears("ahead", there=9)
    rounds.at += LONGEST_PAUSE - 1
    assert not rounds.due(5)
    assert not rounds.due(9)
    assert rounds.due(10)  # as large by now: its answer will tell a fork from a mistake
    rounds.hears("fork", there=9)
    assert not rounds.due(11)
    rounds.at += LONGEST_PAUSE + 1
    assert rounds.due(11)


def test_a_malformed_policy_is_said_at_once(rounds: Turning, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("nonsense")
    with pytest.raises(Invalid, match="p:1"):
        Rounds(rounds._settings)
