"""Proof files: the bytes of c2sp.org/tlog-proof, and spoilt ones."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid
from keten.ledger.notes import NotSigned, SignatureWrong, Signer, Verifier
from keten.ledger.prooffile import (
    MAX_PROOF_BYTES,
    ProofFile,
    ProofMalformed,
    ProofWrong,
    parse_proof,
    verify_proof,
)
from keten.ledger.proofs import prove_inclusion
from keten.ledger.tiles import TileReader
from tests.unit.ledger.published_log import Log


@pytest.fixture(scope="session")
def verifier(signer: Signer) -> Verifier:
    return Verifier.parse(signer.verifier_key())


@pytest.fixture(scope="session")
def proof(large_log: Log) -> ProofFile:
    return proof_of(large_log, 12_345)


def proof_of(log: Log, index: int, size: int = 70_000) -> ProofFile:
    path = prove_inclusion(TileReader(log.root, size, log.roots[size]), index).path
    return ProofFile(index, path, log.notes[size], log.leaves[index])


def test_the_bytes_of_the_specification(large_log: Log, proof: ProofFile) -> None:
    head, _, rest = proof.encode().partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + base64.b64encode(large_log.leaves[12_345]).decode()
    assert lines[2] == "index 12345"
    assert [base64.b64decode(line) for line in lines[3:]] == list(proof.path)
    assert rest == large_log.notes[70_000]


def test_a_proof_comes_back_and_holds(large_log: Log, verifier: Verifier, proof: ProofFile) -> None:
    for text in (proof.encode(), proof.encode().encode()):
        assert parse_proof(text) == proof
    assert verify_proof(proof, verifier).root == large_log.roots[70_000]
    assert verify_proof(proof, verifier, large_log.leaves[12_345]).size == 70_000
    assert len(proof.encode()) <= 1500


def test_a_proof_without_extra_needs_the_leaf(large_log: Log, verifier: Verifier, proof: ProofFile) -> None:
    bare = parse_proof(ProofFile(proof.index, proof.path, proof.checkpoint).encode())
    assert bare.extra is None
    assert verify_proof(bare, verifier, large_log.leaves[12_345]).size == 70_000
    with pytest.raises(Invalid) as caught:
        verify_proof(bare, verifier)
    assert caught.value.code == "proof-no-leaf"


def test_the_only_entry_of_a_log_has_an_empty_path(log: Log, verifier: Verifier) -> None:
    log.grow([1])
    text = proof_of(log, 0, 1).encode()
    assert text.split("\n")[2:4] == ["index 0", ""]
    assert verify_proof(parse_proof(text), verifier).size == 1


def test_another_leaf_is_refused(large_log: Log, verifier: Verifier, proof: ProofFile) -> None:
    for leaf, file in (
        (large_log.leaves[1], proof),
        (large_log.leaves[12_345], ProofFile(proof.index, proof.path, proof.checkpoint, large_log.leaves[1])),
        (None, ProofFile(proof.index, proof.path, proof.checkpoint, large_log.leaves[1])),
        (large_log.leaves[1], ProofFile(proof.index, proof.path, proof.checkpoint)),
    ):
        with pytest.raises(ProofWrong) as caught:
            verify_proof(file, verifier, leaf)
        assert caught.value.code == "proof-wrong"


@pytest.mark.parametrize("index", [0, 12_344, 69_999, 70_000, 2**62])
def test_another_place_is_refused(verifier: Verifier, proof: ProofFile, index: int) -> None:
    with pytest.raises(ProofWrong):
        verify_proof(ProofFile(index, proof.path, proof.checkpoint, proof.extra), verifier)


def test_a_proof_in_an_older_head_holds_for_that_head_only(large_log: Log, verifier: Verifier) -> None:
    proof = proof_of(large_log, 300, 512)
    assert verify_proof(proof, verifier).size == 512
    with pytest.raises(ProofWrong):
        verify_proof(ProofFile(300, proof.path, large_log.notes[70_000], proof.extra), verifier)


def test_the_checkpoint_must_be_the_logs(verifier: Verifier, proof: ProofFile) -> None:
    stranger = Signer(verifier.name, Ed25519PrivateKey.generate())
    with pytest.raises(NotSigned):
        verify_proof(proof, Verifier.parse(stranger.verifier_key()))
    with pytest.raises(SignatureWrong):
        verify_proof(
            ProofFile(proof.index, proof.path, proof.checkpoint.replace("\n70000\n", "\n70001\n"), proof.extra),
            verifier,
        )


def test_every_flipped_bit_is_noticed(verifier: Verifier, proof: ProofFile) -> None:
    raw = proof.encode().encode()
    for at in range(len(raw)):
        spoilt = raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]
        with pytest.raises((Corrupt, Invalid)):
            verify_proof(parse_proof(spoilt), verifier)


H = base64.b64encode(b"h" * 32).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\n",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        " c2sp.org/tlog-proof@v1\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\nnote",
        "c2sp.org/tlog-proof@v1\nindex\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 00\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex +1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1_0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex  1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 9223372036854775808\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex " + "9" * 9999 + "\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra AAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra AAA\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{H} \n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{H[:-2]}h=\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + f"{H}\n" * 64 + "\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + f"{H}\n" * 30_000 + "\nnote",
        "x" * (MAX_PROOF_BYTES + 1),
        b"\xff\xfe\n\n",
        "\ud800\n\n",
    ],
)
def test_malformed_files(text: str | bytes) -> None:
    with pytest.raises(ProofMalformed) as caught:
        parse_proof(text)
    assert caught.value.code == "proof-malformed"


def test_the_deepest_proof_is_read() -> None:
    text = "c2sp.org/tlog-proof@v1\nindex 5\n" + f"{H}\n" * 63 + "\nnote"
    assert len(parse_proof(text).path) == 63


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400)))
def test_nothing_random_is_a_proof(text: str | bytes) -> None:
    with pytest.raises(ProofMalformed):
        parse_proof(text)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.one_of(st.none(), st.binary(min_size=1, max_size=500)),
)
def test_any_proof_comes_back(index: int, path: list[bytes], extra: bytes | None) -> None:
    proof = ProofFile(index, tuple(path), "log\n1\nroot\n\nsignatures\n", extra)
    assert parse_proof(proof.encode()) == proof
