"""When a witness is asked again: at once, later, much later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.clock import wall_us
from keten.core.errors import Invalid
from keten.core.settings import Settings, Witnesses
from keten.keeper.client import KeeperClient
from keten.keeper.witness_protocol import AskOutside, Cosigned, CosignedKept, Heard, OutsideState
from keten.ledger.cosignatures import Cosigner
from keten.ledger.notes import Checkpoint, Signer, Verifier, checkpoint_text, parse_checkpoint
from keten.witness.folder import WitnessFolder
from keten.witness.service import Answer, Service
from keten.worker.asking import Given
from keten.worker.rounds import FIRST_PAUSE, LONGEST_PAUSE, Rounds
from tests.unit.ledger.published_log import Log

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
    assert not rounds.due(8)
    assert not rounds.due(9, last=9)  # as large by now, and the head that it has cosigned
    assert rounds.due(9)  # or another one: its answer will tell a fork from a mistake
    assert rounds.due(10)
    rounds.hears("fork", there=9)
    assert not rounds.due(11)
    rounds.at += LONGEST_PAUSE + 1
    assert rounds.due(11)


class Answering:
    """A witness behind a server of its own, that answers when `may` is set."""

    def __init__(self, answer: Callable[[bytes], Answer]) -> None:
        self.may = threading.Event()
        witness = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.may.wait(20)
                found = answer(body)
                self.send_response(found.status)
                self.send_header("Content-Length", str(len(found.body.encode())))
                self.end_headers()
                self.wfile.write(found.body.encode())

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_slow_witness_holds_back_no_other_ones_signature(tmp_path: Path) -> None:
    """It answers only when the other one's is with the keeper."""
    Log(tmp_path / "ledger", SIGNER).grow([3])
    (tmp_path / "ledger" / "key.pub").write_text(SIGNER.verifier_key() + "\n")
    opened = WitnessFolder(tmp_path / "w")
    cosigner = opened.create("witness.example/quick")
    opened.add(SIGNER.verifier_key())
    quick, slow = Answering(Service(opened).add_checkpoint), Answering(lambda _body: Answer(500, ""))
    quick.may.set()
    lines = [f"witness quick {cosigner.key.verifier_key()} {quick.url}"]
    lines += [f"witness slow {COSIGNER.key.verifier_key()} {slow.url}", "quorum quick", ""]
    (tmp_path / "p").write_text("\n".join(lines))
    told: list[Cosigned] = []

    class Keeper:
        def call(self, _verb: str, body: object, _answer: type) -> object:
            if isinstance(body, AskOutside):
                return OutsideState(3, 0, 0, 0, 0, 1, 1, {}, [])
            assert isinstance(body, Cosigned)
            told.append(body)
            slow.may.set()
            return CosignedKept(3, enough=True)

    try:
        Rounds(Settings(home=str(tmp_path), witnesses=Witnesses(policy="p"))).run(cast("KeeperClient", Keeper()))
    finally:
        quick.close()
        slow.close()
    assert [(len(one.lines), [heard.code for heard in one.heard]) for one in told] == [(1, []), (0, ["refused"])]


def test_a_malformed_policy_is_said_at_once(rounds: Turning, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("nonsense")
    with pytest.raises(Invalid, match="p:1"):
        Rounds(rounds._settings)
