"""The published ledger and our proofs, checked by the Go checksum database's own packages."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger import erasing
from keten.ledger.cosignatures import Cosigner
from keten.ledger.merkle import Edge, leaf_hash
from keten.ledger.notes import Signer, checkpoint_text
from keten.ledger.prooffile import ProofFile
from keten.ledger.proofs import prove_consistency, prove_inclusion
from keten.ledger.publish import Publisher
from keten.ledger.succession import next_origin
from keten.ledger.tiles import TileReader
from tests.interop.ledger.exported import make_log
from tests.interop.ledger.gotools import build
from tests.made_ledger import MadeLedger
from tests.unit.ledger.published_log import Log

pytestmark = pytest.mark.needs("go")


@pytest.fixture(scope="session")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program."""
    return build("sumdb", tmp_path_factory.mktemp("go"))


def run(
    sumdb: Path, log: Log, old: Path | str | None = None, consistency: Path | None = None, proofs: Sequence[Path] = ()
) -> tuple[int, str]:
    """Exit code, and what it printed."""
    command = [sumdb, log.root, log.signer.verifier_key(), old or "-", consistency or "-", *proofs]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1),
        (1, 2),
        (2, 255),
        (255, 256),
        (256, 257),
        (255, 257),
        (100, 511),
        (256, 512),
        (512, 513),
        (257, 70_000),
        (65_535, 65_536),
        (65_536, 65_537),
        (69_999, 70_000),
    ],
)
def test_go_finds_the_tree_the_proofs_and_the_signatures_right(
    sumdb: Path, signer: Signer, tmp_path: Path, old: int, new: int
) -> None:
    log = make_log(tmp_path / "ledger", signer, sorted({old, new}))
    reader = TileReader(log.root, new, log.roots[new])
    old_checkpoint = tmp_path / "old"
    old_checkpoint.write_text(log.notes[old])
    consistency = tmp_path / "consistency"
    path = prove_consistency(reader, old).path
    consistency.write_text("\n".join(base64.b64encode(each).decode() for each in path))
    proofs = []
    for size, index in {(new, 0), (new, new - 1), (new, new // 2), (old, old - 1), (old, old // 3)}:
        proof = ProofFile(index, prove_inclusion(reader, index, size).path, log.notes[size], log.leaves[index])
        proofs.append(tmp_path / f"{size}-{index}.tlog-proof")
        proofs[-1].write_text(proof.encode())
    assert run(sumdb, log, old_checkpoint, consistency, proofs) == (0, str(new))


def test_go_follows_a_log_that_goes_on_under_another_key(sumdb: Path, signer: Signer, tmp_path: Path) -> None:
    """From a checkpoint by the key of before to the log of a restored instance: an ordinary consistency proof."""
    before = make_log(tmp_path / "before", signer, [300])
    successor = Signer(next_origin(signer.name), Ed25519PrivateKey.generate())
    after = Log(tmp_path / "after", successor)
    after.leaves, after.roots, after.notes = list(before.leaves), dict(before.roots), {}
    leaves = [*before.leaves, *(f"later {number}".encode() for number in range(200))]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    root = Edge().append_many(hashes).root()
    note = successor.sign(checkpoint_text(successor.name, len(leaves), root))
    publisher = Publisher(after.root)
    publisher.advance(leaves, hashes, 0, note, len(leaves), root)
    publisher.close()
    old = tmp_path / "old"
    old.write_text(before.notes[300])
    consistency = tmp_path / "consistency"
    path = prove_consistency(TileReader(after.root, len(leaves), root), 300).path
    consistency.write_text("\n".join(base64.b64encode(each).decode() for each in path))
    assert run(sumdb, after, f"{old},{signer.verifier_key()}", consistency) == (0, str(len(leaves)))
    assert run(sumdb, after, old, consistency)[0] == 1, "the key of before is another one"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Log:
    return make_log(tmp_path_factory.mktemp("go-small") / "ledger", signer, [300, 600])


@pytest.fixture
def copied(small: Log, tmp_path: Path) -> Log:
    copy = Log(tmp_path / "ledger", small.signer)
    copy.leaves, copy.notes, copy.roots = small.leaves, small.notes, small.roots
    shutil.copytree(small.root, copy.root)
    return copy


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "tile/0/000",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ],
)
def test_go_notices_a_flipped_byte(sumdb: Path, copied: Log, name: str) -> None:
    assert run(sumdb, copied) == (0, "600")
    path = copied.root / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert run(sumdb, copied)[0] == 1


def test_go_notices_another_key_and_another_history(sumdb: Path, copied: Log, tmp_path: Path) -> None:
    stranger = Signer(copied.signer.name, Ed25519PrivateKey.generate())
    (copied.root / "checkpoint").write_text(stranger.sign(checkpoint_text(stranger.name, 600, copied.roots[600])))
    code, said = run(sumdb, copied)
    assert code == 1
    assert "no verifiable signatures" in said
    (copied.root / "checkpoint").write_text(copied.notes[600])
    old, consistency = tmp_path / "old", tmp_path / "consistency"
    old.write_text(copied.signer.sign(checkpoint_text(copied.signer.name, 300, b"r" * 32)))
    consistency.write_text("")
    code, said = run(sumdb, copied, old, consistency)
    assert code == 1
    assert "consistency" in said


def test_go_reads_notes_with_other_signatures(sumdb: Path, copied: Log) -> None:
    note = copied.notes[600]
    for at in range(15):
        witness = Signer(f"witness-{at}.example", Ed25519PrivateKey.generate())
        note += witness.sign(copied.notes[600].rpartition("\n\n")[0] + "\n").rpartition("\n\n")[2]
    (copied.root / "checkpoint").write_text(note)
    assert run(sumdb, copied) == (0, "600")


def test_go_reads_notes_with_cosignatures(sumdb: Path, copied: Log) -> None:
    text = copied.notes[600].rpartition("\n\n")[0] + "\n"
    cosigners = [Cosigner(f"witness-{at}.example", Ed25519PrivateKey.generate()) for at in range(20)]
    lines = [one.line(text, 1_790_000_000 + at) for at, one in enumerate(cosigners)]
    (copied.root / "checkpoint").write_text(copied.notes[600] + "".join(lines))
    assert run(sumdb, copied) == (0, "600")


def test_go_finds_an_erased_ledger_as_right_as_before(sumdb: Path, tmp_path: Path) -> None:
    """A real ledger, from which payloads are erased: the head of before, and a proof of what is erased, still hold."""
    made = MadeLedger.create(tmp_path / "made")
    made.fill(600)
    made.publish()
    before = made.head()
    old = tmp_path / "old"
    old.write_text(before.note)
    with made.writing() as writing:
        gone = erasing.erase(writing, range(20, 320), "operator:anna", {}, "a test")
    assert gone
    made.publish()
    after = made.head()
    reader = TileReader(made.folder, after.size, after.root)
    consistency = tmp_path / "consistency"
    path = prove_consistency(reader, before.size).path
    consistency.write_text("\n".join(base64.b64encode(each).decode() for each in path))
    proofs = []
    for note, size in ((before.note, before.size), (after.note, after.size)):
        index = gone[-1].index
        proof = ProofFile(index, prove_inclusion(reader, index, size).path, note, reader.leaf(index))
        proofs.append(tmp_path / f"{size}.tlog-proof")
        proofs[-1].write_text(proof.encode())
    command = [sumdb, made.folder, made.key, old, consistency, *proofs]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout.strip()) == (0, str(after.size)), done.stderr
