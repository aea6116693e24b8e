"""Signed notes and checkpoints: the bytes of the specifications, and hostile ones."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import EMPTY_ROOT
from keten.ledger.notes import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Checkpoint,
    NoteMalformed,
    NotSigned,
    OriginWrong,
    SignatureWrong,
    Signer,
    Verifier,
    checkpoint_text,
    is_key_name,
    open_note,
    parse_checkpoint,
    unverified_checkpoint,
)

DASH = "\u2014"
ROOT = bytes(range(32))


def other_signer(name: str = "witness.example", fill: int = 9) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([fill]) * 32))


def signature_lines(note: str) -> str:
    return note.rpartition("\n\n")[2]


@pytest.fixture
def verifier(signer: Signer) -> Verifier:
    return Verifier.parse(signer.verifier_key())


@pytest.fixture
def note(signer: Signer) -> str:
    return signer.sign(checkpoint_text(signer.name, 5, ROOT))


def test_a_checkpoint_has_exactly_the_bytes_of_the_specification(signer: Signer, note: str) -> None:
    text, _, signatures = note.rpartition("\n\n")
    assert text + "\n" == f"{signer.name}\n5\n{base64.b64encode(ROOT).decode()}\n"
    dash, name, encoded = signatures.removesuffix("\n").split(" ")
    raw = base64.b64decode(encoded)
    assert (dash, name, len(raw)) == (DASH, signer.name, 4 + 64)
    assert raw[:4].hex() == signer.verifier_key().split("+")[1]
    assert note.encode().count("\u2014".encode()) == 1


def test_the_public_example_of_the_specification_opens() -> None:
    key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        f"{DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"  # noqa: E501  # one line of the format
    )
    assert open_note(note, [Verifier.parse(key)]).verified == ("PeterNeumann+c74f20a3",)


def test_a_checkpoint_comes_back(signer: Signer, verifier: Verifier, note: str) -> None:
    expected = Checkpoint(signer.name, 5, ROOT, note)
    assert parse_checkpoint(note, verifier) == expected
    assert parse_checkpoint(note.encode(), verifier) == expected
    assert unverified_checkpoint(note) == expected


def test_the_empty_log_has_a_checkpoint(signer: Signer, verifier: Verifier) -> None:
    note = signer.sign(checkpoint_text(signer.name, 0, EMPTY_ROOT))
    assert parse_checkpoint(note, verifier).root == EMPTY_ROOT


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, ROOT),
        ("two words", 1, ROOT),
        ("a+b", 1, ROOT),
        ("line\nbreak", 1, ROOT),
        ("half\ud800", 1, ROOT),
        ("log", -1, ROOT),
        ("log", 2**63, ROOT),
        ("log", 1, ROOT[:31]),
        ("log", 0, ROOT),
    ],
)
def test_what_cannot_be_a_checkpoint_is_not_signed(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        checkpoint_text(origin, size, root)
    assert caught.value.code == "checkpoint-text"


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "bell\x07\n", "cr\r\n", "half\udfff\n"])
def test_a_signer_refuses_texts_that_no_note_can_hold(signer: Signer, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        signer.sign(text)
    assert caught.value.code == "note-text"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\u00a0b", "a\x1fb", "a\x00b", "\ud800"])
def test_key_names(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(Invalid) as caught:
        Signer(name, Ed25519PrivateKey.generate())
    assert caught.value.code == "key-name"


def test_a_verifier_key_comes_back(signer: Signer) -> None:
    key = signer.verifier_key()
    for spelling in (key, key + "\n", key.replace(key.split("+")[1], key.split("+")[1].upper(), 1)):
        assert Verifier.parse(spelling).id.hex() == key.split("+")[1]
    assert Verifier.parse(key).name == signer.name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:0],
        lambda key: key + "\n\n",
        lambda key: " " + key,
        lambda key: key + " ",
        lambda key: key.rpartition("+")[0],
        lambda key: "x" + key,
        lambda key: key[:-4] + "AAA=",
        lambda key: key.replace("+", " + "),
        lambda key: "+" + key.partition("+")[2],
        lambda key: key + "A" * 5000,
        lambda key: "\ud800" + key,
        lambda key: "ledger.example/keten+" + "00000000" + "+" + key.split("+", 2)[2],
        lambda key: "ledger.example/keten+0x123456+" + key.split("+", 2)[2],
    ],
)
def test_malformed_verifier_keys(signer: Signer, spoil: Callable[[str], str]) -> None:
    with pytest.raises(Invalid) as caught:
        Verifier.parse(spoil(signer.verifier_key()))
    assert caught.value.code == "verifier-key"


@pytest.mark.parametrize(("kind", "length"), [(b"\x01", 31), (b"\x01", 33), (b"\x04", 32), (b"\x06", 1312)])
def test_other_kinds_of_key_are_named(kind: bytes, length: int) -> None:
    from keten.ledger.notes import key_id

    public = b"p" * length
    key = f"log+{key_id('log', public, kind).hex()}+{base64.b64encode(kind + public).decode()}"
    with pytest.raises(Invalid) as caught:
        Verifier.parse(key)
    assert caught.value.code == "verifier-key-type"


def test_every_flipped_bit_is_noticed(verifier: Verifier, note: str) -> None:
    raw = note.encode()
    for at in range(len(raw)):
        for bit in range(8):
            spoilt = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            with pytest.raises(Corrupt):
                parse_checkpoint(spoilt, verifier)


def test_every_truncation_is_noticed(verifier: Verifier, note: str) -> None:
    for end in range(len(note)):
        with pytest.raises(Corrupt):
            parse_checkpoint(note[:end], verifier)


def test_a_changed_text_says_that_the_signature_is_wrong(verifier: Verifier, note: str) -> None:
    with pytest.raises(SignatureWrong) as caught:
        parse_checkpoint(note.replace("\n5\n", "\n6\n"), verifier)
    assert caught.value.code == "note-signature-wrong"


def test_a_note_by_others_only_is_not_signed(note: str) -> None:
    stranger = Verifier.parse(other_signer().verifier_key())
    with pytest.raises(NotSigned) as caught:
        parse_checkpoint(note, stranger)
    assert caught.value.code == "note-not-signed"


def test_the_same_name_with_another_key_is_another_key(signer: Signer, note: str) -> None:
    impostor = Verifier.parse(other_signer(signer.name).verifier_key())
    with pytest.raises(NotSigned):
        parse_checkpoint(note, impostor)


def test_a_checkpoint_of_another_log_by_the_same_key_is_refused(signer: Signer, verifier: Verifier) -> None:
    note = signer.sign(checkpoint_text("another.example/log", 5, ROOT))
    with pytest.raises(OriginWrong) as caught:
        parse_checkpoint(note, verifier)
    assert caught.value.code == "checkpoint-origin"


@pytest.mark.parametrize("before", [True, False])
def test_unknown_signatures_are_passed_over(verifier: Verifier, note: str, before: bool) -> None:
    text, _, ours = note.rpartition("\n\n")
    others = "".join(signature_lines(other_signer(f"w{at}", at + 1).sign(text + "\n")) for at in range(15))
    pq = f"{DASH} pq.example {base64.b64encode(b'k' * 4 + b's' * 4700).decode()}\n"
    signed = f"{text}\n\n{others + pq + ours if before else ours + others + pq}"
    checkpoint = parse_checkpoint(signed, verifier)
    assert checkpoint.size == 5
    assert checkpoint.note == signed
    opened = open_note(signed, [verifier, Verifier.parse(other_signer("w3", 4).verifier_key())])
    assert len(opened.verified) == 2
    assert len(opened.unknown) == 15


def test_a_wrong_signature_of_a_known_key_spoils_the_note_even_beside_a_right_one(
    verifier: Verifier, note: str
) -> None:
    wrong = f"{DASH} {verifier.name} {base64.b64encode(verifier.id + b'x' * 64).decode()}\n"
    for signatures in (wrong + signature_lines(note), signature_lines(note) + wrong):
        with pytest.raises(SignatureWrong):
            parse_checkpoint(f"{note.rpartition(chr(10) * 2)[0]}\n\n{signatures}", verifier)


def test_the_same_signature_twice_is_one(verifier: Verifier, note: str) -> None:
    opened = open_note(note + signature_lines(note), [verifier])
    assert len(opened.verified) == 1


def test_a_short_signature_of_a_known_key_does_not_hold(verifier: Verifier, note: str) -> None:
    line = f"{DASH} {verifier.name} {base64.b64encode(verifier.id + b'x').decode()}\n"
    with pytest.raises(SignatureWrong):
        parse_checkpoint(note + line, verifier)


@pytest.mark.parametrize(
    "line",
    [
        "- a AAAAAAAA",
        f"{DASH}a AAAAAAAA",
        f"{DASH} a",
        f"{DASH} a ",
        f"{DASH}  AAAAAAAA",
        f"{DASH} a AAAAAAAA AAAAAAAA",
        f"{DASH} a AAAA",
        f"{DASH} a AAAAAA==",
        f"{DASH} a AAAAAAA",
        f"{DASH} a AAAAAAB=",
        f"{DASH} a AAAA=AAA",
        f"{DASH} a AAAA AAA",
        f"{DASH} a AAAAAAé=",
        f"{DASH} a+b AAAAAAAA",
        f"{DASH} a\u2003b AAAAAAAA",
        f"{DASH} a \u0661AAAAAAA",
        "",
        "text",
        "\ufeff",
    ],
)
def test_malformed_signature_lines_spoil_the_note(verifier: Verifier, note: str, line: str) -> None:
    with pytest.raises((NoteMalformed, NotSigned, SignatureWrong)):
        parse_checkpoint(f"{note}{line}\n", verifier)
    with pytest.raises((NoteMalformed, NotSigned, SignatureWrong)):
        parse_checkpoint(note.rpartition("\n\n")[0] + f"\n\n{line}\n{signature_lines(note)}", verifier)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\n",
        b"\n\n",
        b"\n\n\n",
        b"\xff\xfe",
        b"a\n1\n\n\xe2\x80 a AAAAAAAA\n",
        b"\x00" * 100,
        b"a\n" * 100_000,
        b"\n" * 100_000,
        b"a" * (MAX_NOTE_BYTES + 1),
        "\ud800",
        "é" * (MAX_NOTE_BYTES // 2 + 1),
        f"a\n\n{DASH} a AAAAAAAA\n" + f"{DASH} a AAAAAAAA\n" * MAX_SIGNATURES,
    ],
)
def test_hostile_notes_are_malformed(verifier: Verifier, hostile: str | bytes) -> None:
    with pytest.raises(NoteMalformed) as caught:
        parse_checkpoint(hostile, verifier)
    assert caught.value.code == "note-malformed"
    with pytest.raises(NoteMalformed):
        unverified_checkpoint(hostile)


ROOT64 = base64.b64encode(ROOT).decode()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\n",
        "{origin}\n",
        "{origin}\n5\n",
        "\n5\n" + ROOT64 + "\n",
        "{origin}\n05\n" + ROOT64 + "\n",
        "{origin}\n+5\n" + ROOT64 + "\n",
        "{origin}\n-5\n" + ROOT64 + "\n",
        "{origin}\n5 \n" + ROOT64 + "\n",
        "{origin}\n\u0665\n" + ROOT64 + "\n",
        "{origin}\n5_0\n" + ROOT64 + "\n",
        "{origin}\n9223372036854775808\n" + ROOT64 + "\n",
        "{origin}\n" + "9" * 5000 + "\n" + ROOT64 + "\n",
        "{origin}\n00\n" + ROOT64 + "\n",
        "{origin}\n0\n" + ROOT64 + "\n",
        "{origin}\n5\n" + ROOT64[:-1] + "\n",
        "{origin}\n5\n" + ROOT64[:-2] + "9=\n",
        "{origin}\n5\n" + ROOT64[:-4] + "\n",
        "{origin}\n5\n" + ROOT64 + "AAAA\n",
        "{origin}\n5\n " + ROOT64 + "\n",
        "{origin}\n5\n" + ROOT64.replace("+", "-").replace("/", "_")[:-3] + "-_=\n",
        "{origin}\n5\n" + ROOT64 + "\n\nextension after an empty line\n",
        "{origin}\n5\n" + ROOT64 + "\n\n",
        "\n{origin}\n5\n" + ROOT64 + "\n",
    ],
)
def test_signed_texts_that_are_no_checkpoints(signer: Signer, verifier: Verifier, body: str) -> None:
    text = body.format(origin=signer.name)
    raw = signer._id + signer._private.sign(text.encode())
    note = f"{text}\n{DASH} {signer.name} {base64.b64encode(raw).decode()}\n"
    with pytest.raises((NoteMalformed, NotSigned, SignatureWrong)):
        parse_checkpoint(note, verifier)


def test_extension_lines_are_kept_apart(signer: Signer, verifier: Verifier) -> None:
    note = signer.sign(checkpoint_text(signer.name, 5, ROOT) + "extra one\nextra two\n")
    assert parse_checkpoint(note, verifier).extensions == ("extra one", "extra two")


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_nothing_random_opens(hostile: str | bytes) -> None:
    with pytest.raises(Corrupt):
        parse_checkpoint(hostile, Verifier.parse(other_signer().verifier_key()))
