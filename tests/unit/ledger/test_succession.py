"""Logs that go on from one another: only where the key before signed for the key after."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer, checkpoint_text
from keten.ledger.sealing import EntryIds
from keten.ledger.succession import (
    Predecessor,
    SuccessionWrong,
    check_chain,
    check_roots,
    decode,
    encode,
    generation,
    link,
    next_origin,
)

FIRST = "keten/abc"
ROOT, OTHER = bytes(32), bytes([1]) * 32


def signer(origin: str) -> Signer:
    return Signer(origin, Ed25519PrivateKey.generate())


def before(one: Signer, size: int, following: str, root: bytes = ROOT) -> Predecessor:
    note = one.sign(checkpoint_text(one.name, size, root))
    return Predecessor(one.verifier_key(), note, link(one, size, root, following))


@pytest.fixture
def logs() -> tuple[Signer, Signer, Signer]:
    second = next_origin(FIRST)
    return signer(FIRST), signer(second), signer(next_origin(second))


def test_names_count_lives_and_never_repeat() -> None:
    second, other = next_origin(FIRST), next_origin(FIRST)
    assert second != other
    assert [generation(each) for each in (FIRST, second, next_origin(second))] == [1, 2, 3]
    assert next_origin(second).startswith("keten/abc/3.")


def test_a_chain_that_holds(logs: tuple[Signer, Signer, Signer]) -> None:
    one, two, three = logs
    chain = (before(one, 5, two.verifier_key()), before(two, 9, three.verifier_key()))
    assert decode(encode(chain)) == chain
    assert [head.size for head in check_chain(chain, three.verifier_key())] == [5, 9]
    assert check_chain((), three.verifier_key()) == ()


def test_one_that_names_another_key(logs: tuple[Signer, Signer, Signer]) -> None:
    one, two, three = logs
    with pytest.raises(SuccessionWrong):
        check_chain((before(one, 5, three.verifier_key()),), two.verifier_key())


def test_a_link_by_a_stranger(logs: tuple[Signer, Signer, Signer]) -> None:
    """Whoever copies the public leaves cannot go on under a key of his own."""
    one, two, three = logs
    real = before(one, 5, two.verifier_key())
    forged = msgspec.structs.replace(real, link=link(signer(FIRST), 5, ROOT, three.verifier_key()))
    with pytest.raises(SuccessionWrong):
        check_chain((forged,), three.verifier_key())
    checkpoint = msgspec.structs.replace(real, link=real.note)
    with pytest.raises(SuccessionWrong):
        check_chain((checkpoint,), two.verifier_key())


@pytest.mark.parametrize(("size", "root"), [(6, ROOT), (5, OTHER)])
def test_a_link_about_another_head(logs: tuple[Signer, Signer, Signer], size: int, root: bytes) -> None:
    one, two, _three = logs
    moved = msgspec.structs.replace(
        before(one, 5, two.verifier_key()), link=link(one, size, root, two.verifier_key())
    )
    with pytest.raises(SuccessionWrong):
        check_chain((moved,), two.verifier_key())


def test_a_later_log_goes_on_from_a_later_place(logs: tuple[Signer, Signer, Signer]) -> None:
    one, two, three = logs
    with pytest.raises(SuccessionWrong):
        check_chain((before(one, 9, two.verifier_key()), before(two, 5, three.verifier_key())), three.verifier_key())


def test_a_log_that_does_not_begin_with_it(logs: tuple[Signer, Signer, Signer]) -> None:
    one, two, _three = logs
    heads = check_chain((before(one, 5, two.verifier_key()),), two.verifier_key())
    check_roots(heads, lambda _size: ROOT)
    with pytest.raises(SuccessionWrong):
        check_roots(heads, lambda _size: OTHER)


@pytest.mark.parametrize("data", [b"{", b'{"key":1}\n', b"[]\n", b"\xff\n"])
def test_a_list_that_is_malformed(data: bytes) -> None:
    with pytest.raises(SuccessionWrong):
        decode(data)


def test_an_id_of_every_life_is_found_and_no_other() -> None:
    old, new = EntryIds(bytes(16), FIRST), EntryIds(bytes(16), "keten/abc/2.x", [(FIRST, 5)])
    assert [new.index(each) for each in old.many(3, 4)] == [3, 4, None, None]
    assert [new.index(each) for each in new.many(4, 3)] == [None, 5, 6]
    assert EntryIds(bytes(16), "keten/other").index(old.many(0, 1)[0]) is None
