"""Sealing: ids that only their log finds again, entries that commit to what was said, and heads that are never half."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt
from keten.core.ids import decode_id, is_id
from keten.ledger.kinds import Kind
from keten.ledger.merkle import EMPTY_ROOT, Edge, leaf_hash
from keten.ledger.model import Draft
from keten.ledger.notes import Signer, Verifier, parse_checkpoint
from keten.ledger.sealing import EntryIds, Head, Sealer, commitment, head_from_row, leaf_bytes

KEY = bytes(range(32))
KIND = Kind("suppliers.contract.declared", "Only to be sealed.", {})
NOW = 1_795_334_400_000_000


@pytest.fixture
def sealer(signer: Signer) -> Sealer:
    return Sealer(signer, signer.name, EntryIds(KEY, signer.name))


def test_an_id_is_its_place_encrypted_as_one_block_and_found_again_by_its_log_alone() -> None:
    ids = EntryIds(KEY, "log.example")
    some = ids.many(254, 4)
    assert [ids.index(one) for one in some] == [254, 255, 256, 257]
    assert all(map(is_id, some))
    assert some == [ids.many(index, 1)[0] for index in range(254, 258)]
    log = sha256(b"log.example").digest()[:8]
    assert Cipher(AES(KEY[:16]), ECB()).decryptor().update(decode_id(some[0])) == log + (254).to_bytes(8, "big")
    assert EntryIds(KEY, "other.example").index(some[0]) is None
    assert EntryIds(b"\1" * 32, "log.example").index(some[0]) is None
    assert ids.index("voters") is None
    assert ids.many(0, 0) == []


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 200])
def test_a_commitment_is_an_hmac_whatever_the_salts_length(length: int) -> None:
    salt, entry_id, payload = b"s" * length, "a" * 26, b"{}"
    expected = hmac.new(salt, entry_id.encode() + b"\0" + payload, sha256).hexdigest()
    assert commitment(salt, entry_id, payload) == expected


def test_the_head_of_an_empty_log_is_signed(sealer: Sealer, signer: Signer) -> None:
    head = sealer.empty()
    assert (head.size, head.root, head.edge, head.time_us) == (0, EMPTY_ROOT, Edge(), 0)
    found = parse_checkpoint(head.note, Verifier.parse(signer.verifier_key()))
    assert (found.origin, found.size, found.root) == (signer.name, 0, EMPTY_ROOT)


def test_what_is_sealed_says_what_was_drafted_and_the_new_head_covers_it(sealer: Sealer, signer: Signer) -> None:
    drafts = [
        Draft(KIND, "operator:anna", ("subject",), {"dataset": "d"}, {"number": 1}, {"subject": "sealed"}),
        Draft(KIND, "operator:anna"),
    ]
    first = sealer.seal(sealer.empty(), drafts[:1], NOW)
    second = sealer.seal(first.head, [*drafts[1:], drafts[1]], NOW + 1)
    assert (first.first, second.first) == (0, 1)
    assert [one.index for one in (*first.sealed, *second.sealed)] == [0, 1, 2]
    assert [one.id for one in second.sealed] == sealer.ids.many(1, 2)
    assert {one.time_us for one in second.sealed} == {NOW + 1}
    hashes = []
    for at, (batch, place) in enumerate(((first, 0), (second, 0), (second, 1))):
        index, entry_id, time_us, kind, payload, salt, leaf = map(_any, batch.rows[place])
        assert (index, kind) == (at, KIND.name)
        assert leaf == batch.leaves[place] == leaf_bytes(entry_id, commitment(salt, entry_id, payload))
        assert json.loads(payload)["time"] == rfc3339(time_us)
        assert leaf_hash(leaf) == batch.leaf_hashes[place]
        hashes.append(leaf_hash(leaf))
    said = json.loads(_any(first.rows[0][4]))
    assert (said["actor"], said["subjects"], said["refs"]) == ("operator:anna", ["subject"], {"dataset": "d"})
    assert (said["details"], said["personal"]) == ({"number": 1}, {"subject": "sealed"})
    salts = [_any(row[5]) for row in (*first.rows, *second.rows)]
    assert len(set(salts)) == 3
    assert {len(salt) for salt in salts} == {32}
    assert second.head.root == Edge().append_many(hashes).root()
    assert second.head.edge.size == second.head.size == 3
    checkpoint = parse_checkpoint(second.head.note, Verifier.parse(signer.verifier_key()))
    assert (checkpoint.size, checkpoint.root) == (3, second.head.root)


def _any(value: object) -> Any:
    return value


def test_time_never_falls(sealer: Sealer) -> None:
    later = sealer.seal(sealer.empty(), [Draft(KIND, "a")], NOW)
    earlier = sealer.seal(later.head, [Draft(KIND, "a")], NOW - 5)
    assert earlier.head.time_us == earlier.sealed[0].time_us == NOW
    assert json.loads(_any(earlier.rows[0][4]))["time"] == rfc3339(NOW)


def row_of(head: Head) -> dict[str, object]:
    edge = head.edge.encode()
    return {"size": head.size, "root": head.root, "edge": edge, "note": head.note, "time_us": head.time_us}


def test_a_stored_head_is_read_back(sealer: Sealer, signer: Signer) -> None:
    head = sealer.seal(sealer.empty(), [Draft(KIND, "a")] * 5, NOW).head
    assert head_from_row(row_of(head), Verifier.parse(signer.verifier_key())) == head


def test_a_stored_head_of_which_any_part_is_another_is_refused(sealer: Sealer, signer: Signer) -> None:
    verifier = Verifier.parse(signer.verifier_key())
    five = sealer.seal(sealer.empty(), [Draft(KIND, "a")] * 5, NOW).head
    six = sealer.seal(five, [Draft(KIND, "a")], NOW).head
    others: dict[str, list[object]] = {name: [value] for name, value in row_of(six).items()}
    other_edge = Edge(5, five.edge.hashes[::-1])  # of the right size, with another root
    others["edge"].append(other_edge.encode())
    for name in ("size", "root", "edge", "note"):
        for value in (*others[name], None, 1.5, "x", b""):
            with pytest.raises(Corrupt) as caught:
                head_from_row(row_of(five) | {name: value}, verifier)
            assert caught.value.category == "corrupt"
    for value in (None, "now", 1.5):
        with pytest.raises(Corrupt, match="is damaged"):
            head_from_row(row_of(five) | {"time_us": value}, verifier)
