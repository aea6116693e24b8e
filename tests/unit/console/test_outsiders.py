"""What the overview says of those outside: who signed, who did not, and who disagrees."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.console.page import overview
from keten.core.settings import Timestamps, Witnesses
from keten.ledger.cosignatures import Cosigner, cosignatures
from keten.ledger.entries import WITNESS_DISAGREED
from keten.ledger.notes import parse_checkpoint
from keten.ledger.outside import keep_cosignatures, keep_stamp
from keten.ledger.quorum import load_policy
from keten.ledger.tilefaults import read_verifier
from keten.pages.rendering import Frame
from tests.unit.console.house import House

COSIGNER = Cosigner("witness.example/w", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))


@pytest.fixture
def watched(house: House) -> House:
    """A house with a witness."""
    text = f"witness north {COSIGNER.key.verifier_key()}\nquorum north\n"
    (house.home.home / "w.policy").write_text(text)
    house.settings = msgspec.structs.replace(house.settings, witnesses=Witnesses(policy="w.policy"))
    house.declare()
    house.publish()
    return house


def sign(house: House) -> None:
    """The witness cosigns what is published, and an authority stamps it."""
    verifier, _faults = read_verifier(house.home.ledger, "")
    policy = load_policy(house.settings)
    assert verifier is not None
    assert policy is not None
    head = parse_checkpoint((house.home.ledger / "checkpoint").read_text(), verifier)
    text = head.note.rpartition("\n\n")[0] + "\n"
    line = COSIGNER.line(text, house.now_us // 1_000_000)
    found = cosignatures(head.note + line, policy.keys)
    house.write(lambda writing: keep_cosignatures(writing, head, found, policy))
    house.write(lambda writing: keep_stamp(writing, head, b"stamp", house.now_us, "https://tsa.example"))
    (house.home.ledger / "checkpoint").write_text(head.note + line)


def said(house: House, language: str) -> str:
    return overview(house.overview(), Frame(language=language), refreshing=False).decode()


def test_nobody_signed_yet(watched: House) -> None:
    proof = watched.overview().proof
    assert (proof.watched, proof.witnessed, proof.stamped) == (True, None, None)
    assert proof.waiting_us > 0
    assert "nobody has signed yet" in said(watched, "en")
    assert "nog niemand heeft ondertekend" in said(watched, "nl")
    assert "outside-late" not in watched.codes()
    watched.now_us += 3_700_000_000
    assert "outside-late" in watched.codes()


def test_who_signed(watched: House) -> None:
    size = watched.size()
    sign(watched)
    proof = watched.overview().proof
    assert (proof.witnessed, proof.cosigners, proof.stamped, proof.waiting_us) == (size, 1, size, 0)
    assert proof.outside == ()
    assert "1 witness cosigned" in said(watched, "en")
    assert "1 getuige heeft" in said(watched, "nl")
    assert "gestempeld" in said(watched, "nl")
    watched.now_us += 3_700_000_000
    assert "outside-late" not in watched.codes()  # an instance at rest waits for nothing


def test_a_witness_that_disagrees_until_it_signs_again(watched: House) -> None:
    details = {"witness": "north", "key": COSIGNER.key.label, "what": "x", "size": 3}
    watched.record(WITNESS_DISAGREED, "keeper", {}, details)
    assert "witness-disagrees" in watched.codes()
    assert "north" in said(watched, "en")
    watched.now_us += 60_000_000
    watched.publish()
    sign(watched)
    assert "witness-disagrees" not in watched.codes()


def test_a_policy_that_cannot_be_read(watched: House) -> None:
    (watched.home.home / "w.policy").write_text("nonsense\n")
    assert "head-faults" in watched.codes()
    assert any("w.policy:1" in one for one in watched.overview().proof.faults)


def test_an_authority_alone_may_take_twice_its_time(house: House) -> None:
    stamping = Timestamps(url="https://tsa.example", ca="x", every="7d")
    house.settings = msgspec.structs.replace(house.settings, timestamps=stamping)
    house.declare()
    house.publish()
    house.now_us += 13 * 86_400_000_000
    assert "outside-late" not in house.codes()
    house.now_us += 2 * 86_400_000_000
    assert "outside-late" in house.codes()
