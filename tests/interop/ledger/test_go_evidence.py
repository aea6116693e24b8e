"""What a witness keeps against a log that was forked, judged by the Go checksum database's own packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.evidence import decode, encode, named_path, two_successors
from keten.ledger.merkle import consistency_path, is_complete
from keten.ledger.notes import Signer, to_base64
from keten.ledger.succession import Predecessor, link
from keten.witness.folder import WitnessFolder
from keten.witness.service import Service
from tests.interop.ledger.gotools import build
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

pytestmark = pytest.mark.needs("go")
SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x42" * 32))
KEY = SIGNER.verifier_key()
NEW = 19


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("evidence", tmp_path_factory.mktemp("go"))


def verdict(judge: Path, content: bytes, folder: Path) -> bool:
    file = folder / "e.json"
    file.write_bytes(content)
    done = subprocess.run([str(judge), str(file), KEY], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0 and done.stdout == "fork\n"


def history(folder: Path, size: int, *, changed: bool) -> Log:
    log = Log(folder, SIGNER)
    for each in (size, NEW):
        log.seal(each)
        if changed:
            log.leaves[0] = b"another"
            log.seal_anew()
    return log


@pytest.mark.parametrize("size", range(1, 19))
def test_evidence_from_every_size(size: int, judge: Path, tmp_path: Path) -> None:
    """As the worker asks: with a proof, and after a power of two with the root that the proof leaves out."""
    honest = history(tmp_path / "honest", size, changed=False)
    forked = history(tmp_path / "forked", size, changed=True)
    folder = WitnessFolder(tmp_path / "w")
    folder.create("witness.example/w")
    folder.add(KEY)
    service = Service(folder)
    assert service.add_checkpoint(f"old 0\n\n{honest.notes[size]}".encode()).status == 200
    hash_at = Naive().hash_at(forked.leaves)
    path = consistency_path(size, NEW, hash_at)
    shown = [path, *([named_path(size, path, hash_at)] if is_complete(size) else [])]
    for hashes in shown:
        lines = "".join(f"{to_base64(one)}\n" for one in hashes)
        assert service.add_checkpoint(f"old {size}\n{lines}\n{forked.notes[NEW]}".encode()).status == 422
    (file,) = (folder.path / "evidence").iterdir()
    assert verdict(judge, file.read_bytes(), tmp_path)
    found = decode(file.read_bytes())
    innocent = msgspec.structs.replace(found, kept_checkpoint=forked.notes[size])
    assert not verdict(judge, encode(innocent), tmp_path)


def test_two_logs_that_go_on_from_one(judge: Path, tmp_path: Path) -> None:
    log = history(tmp_path / "log", 5, changed=False)
    keys = [Signer(f"ledger.example/{name}", Ed25519PrivateKey.generate()).verifier_key() for name in ("one", "other")]
    one, other = (Predecessor(KEY, log.notes[5], link(SIGNER, 5, log.roots[5], key)) for key in keys)
    found = two_successors((one,), (other,), by="auditor", source="here")
    assert found is not None
    assert verdict(judge, encode(found), tmp_path)
    assert not verdict(judge, encode(msgspec.structs.replace(found, shown_link=found.kept_link)), tmp_path)
    elsewhere = link(SIGNER, NEW, log.roots[NEW], keys[1])
    assert not verdict(judge, encode(msgspec.structs.replace(found, shown_link=elsewhere)), tmp_path)
