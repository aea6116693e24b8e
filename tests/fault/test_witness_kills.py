"""A witness that is killed at any moment never cosigns two histories, and its sizes never go back."""

from __future__ import annotations

import random
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.drills.neighbours import WitnessProcess, until
from keten.ledger.merkle import Edge, HashAt, consistency_path, leaf_hash
from keten.ledger.notes import Signer, to_base64, unverified_checkpoint
from tests.unit.ledger.published_log import Log

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x51" * 32))
SIZES = range(1, 400)
KILLS = 12
SEED = 20261128


def history(folder: Path, changed: int | None = None) -> Log:
    log = Log(folder, SIGNER)
    for size in SIZES:
        log.seal(size)
        if changed == size - 1:
            log.leaves[changed] = b"another"
            log.seal_anew()
    return log


def reader(log: Log, size: int) -> HashAt:
    """The complete subtrees of a log, from its leaves."""

    def hash_at(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size
        return Edge().append_many(list(map(leaf_hash, log.leaves[index << level : (index + 1) << level]))).root()

    return hash_at


class Presses:
    """Shows a witness two histories of one log at once, and notes what it cosigned."""

    def __init__(self, witness: WitnessProcess, histories: list[Log]) -> None:
        self._witness = witness
        self._histories = histories
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.signed: list[tuple[int, bytes]] = []

    def run(self, more: int, seconds: float) -> None:
        """Press until it has cosigned so many more, and for a moment longer; then kill it."""
        self._stop.clear()
        wanted = len(self.signed) + more
        threads = [threading.Thread(target=self._press, args=(log,)) for log in self._histories]
        for thread in threads:
            thread.start()
        assert until(lambda: len(self.signed) >= wanted)
        time.sleep(seconds)
        self._witness.kill()
        self._stop.set()
        for thread in threads:
            thread.join()

    def _press(self, log: Log) -> None:
        old = 0
        while not self._stop.is_set():
            new = min(old + 1, SIZES[-1])
            path = consistency_path(old, new, reader(log, new)) if old else []
            hashes = "".join(f"{to_base64(one)}\n" for one in path)
            body = f"old {old}\n{hashes}\n{log.notes[new]}".encode()
            try:
                connection = HTTPConnection(self._witness.url.removeprefix("http://"), timeout=10)
                connection.request("POST", "/add-checkpoint", body)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
            except OSError:
                return
            if answer.status == 200:
                with self._lock:
                    self.signed.append((new, log.roots[new]))
                old = new
            elif answer.status == 409:
                old = min(int(content), SIZES[-1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whenever_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    histories = [history(tmp_path / "a"), history(tmp_path / "b", changed=4)]
    with WitnessProcess(tmp_path / "w", "w") as witness:
        witness.add(SIGNER.verifier_key())
        presses = Presses(witness, histories)
        for _kill in range(KILLS):
            before = max((size for size, _root in presses.signed), default=0)
            witness.start()
            presses.run(chance.randint(1, 6), chance.uniform(0, 0.03))
            kept = _kept(witness)
            assert kept >= max((size for size, _root in presses.signed), default=0) >= before
    roots: dict[int, set[bytes]] = {}
    for size, root in presses.signed:
        roots.setdefault(size, set()).add(root)
    assert all(len(found) == 1 for found in roots.values())
    last = max(roots)
    (of,) = [log for log in histories if log.roots[last] in roots[last]] if last > 4 else histories[:1]
    assert all(of.roots[size] in found for size, found in roots.items())


def _kept(witness: WitnessProcess) -> int:
    """The size that is durable in its folder."""
    from keten.witness.folder import WitnessFolder

    (watched,) = WitnessFolder(witness.folder).logs()
    return unverified_checkpoint(watched.note).size if watched.note else 0
