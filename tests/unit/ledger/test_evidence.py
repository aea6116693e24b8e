"""Evidence of a fork: what is conclusive, what is not, and that Keten and its auditor's program agree."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.errors import Corrupt, Invalid
from keten.ledger.evidence import (
    Compared,
    Evidence,
    compare,
    compare_by_proof,
    decode,
    encode,
    file_name,
    judge,
    kept_note,
    make,
    two_successors,
)
from keten.ledger.merkle import consistency_path, inclusion_path, leaf_hash, proven_root, root_at
from keten.ledger.notes import Checkpoint, Signer, Verifier, parse_checkpoint, to_base64
from keten.ledger.succession import Predecessor, link
from tests.architecture.checkout import ROOT
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x31" * 32))
KEY = SIGNER.verifier_key()
SIZES = (1, 2, 3, 5, 8, 13, 16, 31, 33)


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("keten_verify", ROOT / "keten-verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["keten_verify"] = module
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("keten_verify", None)


class History(Log):
    """One history of a log; `changed`: the index of the entry that is another one than in the other history."""

    def __init__(self, folder: Path, changed: int | None = None) -> None:
        super().__init__(folder, SIGNER)
        for size in SIZES:
            self.seal(size)
            if changed is not None and changed < size:
                self.leaves[changed] = b"another" + str(changed).encode()
                self.seal_anew()

    def head(self, size: int) -> Checkpoint:
        return parse_checkpoint(self.notes[size], Verifier.parse(KEY))

    def hash_at(self, level: int, index: int) -> bytes:
        return Naive().root(self.leaves[index << level : (index + 1) << level])


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("honest"))


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("forked"), changed=0)


def evidence_of(kept: Checkpoint, shown: Checkpoint, newer: History) -> Evidence:
    older, larger = sorted((kept, shown), key=lambda one: one.size)
    compared = compare(older, larger, newer.hash_at)
    return make(compared, what="x", by="auditor", source="here", ledger_key=KEY, kept=kept.note, shown=shown.note)


def both(evidence: Evidence, tool: ModuleType) -> bool:
    """The verdict, on which Keten and the auditor's program agree."""
    own = judge(decode(encode(evidence)), KEY).fork
    plain = tool.read_evidence(encode(evidence), "file")
    assert tool.judge(plain, tool.read_key(KEY))[0] is own
    return bool(own)


@pytest.mark.parametrize("kept", SIZES)
@pytest.mark.parametrize("shown", SIZES)
def test_a_fork_is_proven_and_growth_is_not(
    kept: int, shown: int, honest: History, forked: History, tool: ModuleType
) -> None:
    larger = forked if shown >= kept else honest
    assert both(evidence_of(honest.head(kept), forked.head(shown), larger), tool)
    grown = evidence_of(honest.head(kept), honest.head(shown), honest)
    assert not both(grown, tool)
    assert (grown.other_root, grown.path) == ("", ())


@pytest.mark.parametrize("size", [one for one in SIZES if one < 33])
def test_a_proof_that_was_sent_shows_the_other_root(size: int, honest: History, forked: History) -> None:
    path = tuple(consistency_path(size, 33, forked.hash_at))
    compared = compare_by_proof(honest.head(size), forked.head(33), path)
    assert not compared.holds
    complete = size & (size - 1) == 0
    assert compared.other_root == (b"" if complete else forked.roots[size])
    assert proven_root(size, 33, path, forked.roots[33]) == (None if complete else forked.roots[size])
    assert proven_root(size, 33, path, honest.roots[33]) is None
    assert root_at(size, forked.hash_at) == forked.roots[size]
    assert compare_by_proof(forked.head(size), forked.head(33), path).holds


def test_what_does_not_prove_it(honest: History, forked: History, tool: ModuleType) -> None:
    good = evidence_of(honest.head(5), forked.head(33), forked)
    replace = msgspec.structs.replace
    stranger = Signer(SIGNER.name, Ed25519PrivateKey.generate())
    text = good.shown_checkpoint.rpartition("\n\n")[0] + "\n"
    for wrong in (
        replace(good, path=good.path[:-1]),
        replace(good, path=(good.path[1], good.path[0], *good.path[2:])),
        replace(good, path=("nonsense", *good.path[1:])),
        replace(good, path=()),
        replace(good, shown_checkpoint=stranger.sign(text)),
        replace(good, kept_checkpoint=good.kept_checkpoint.replace("\n5\n", "\n6\n")),
        replace(good, kept_checkpoint=""),
        replace(good, kept_checkpoint="\ud800"),
        replace(evidence_of(honest.head(8), forked.head(33), forked), other_root=""),
        replace(evidence_of(honest.head(8), forked.head(33), forked), other_root="x"),
    ):
        assert not both(wrong, tool) if "\ud800" not in wrong.kept_checkpoint else not judge(wrong, KEY).fork
    assert not judge(good, stranger.verifier_key()).fork
    assert judge(replace(good, ledger_key=stranger.verifier_key()), KEY).fork
    with pytest.raises(Invalid):
        judge(good, "nonsense")


def restored(one: History, size: int, following: str) -> Predecessor:
    """How that history says that the log with this key goes on from it."""
    return Predecessor(KEY, one.notes[size], link(SIGNER, size, one.roots[size], following))


def successor_key(name: str) -> str:
    return Signer(f"ledger.example/{name}", Ed25519PrivateKey.generate()).verifier_key()


@pytest.mark.parametrize(("kept", "shown"), [(13, 13), (5, 13), (13, 5)])
def test_two_logs_that_go_on_from_one(kept: int, shown: int, honest: History, tool: ModuleType) -> None:
    one, other = successor_key("one"), successor_key("other")
    known, seen = restored(honest, kept, one), restored(honest, shown, other)
    found = two_successors((known,), (seen,), by="supplier", source="here")
    assert found is not None
    assert both(found, tool)
    assert "ledger.example/one and ledger.example/other" in judge(found).why
    assert two_successors((known,), (known,), by="supplier", source="here") is None
    assert two_successors((), (seen,), by="supplier", source="here") is None
    replace = msgspec.structs.replace
    stranger = Signer(SIGNER.name, Ed25519PrivateKey.generate())
    for wrong in (
        replace(found, shown_link=found.kept_link, shown_checkpoint=found.kept_checkpoint),  # one log
        replace(found, shown_link=""),
        replace(found, shown_link=found.shown_link.replace("other", "third")),
        replace(found, shown_link=link(stranger, shown, honest.roots[shown], other)),
        replace(found, shown_link=link(SIGNER, 33, honest.roots[33], other)),  # of another head
        replace(found, shown_link=honest.notes[shown]),
        replace(found, kept_checkpoint=honest.notes[33]),
    ):
        assert not both(wrong, tool)
    forged = msgspec.structs.replace(seen, link=link(stranger, shown, honest.roots[shown], other))
    assert two_successors((known,), (forged,), by="supplier", source="here") is None


def test_two_leaves_at_one_index(honest: History, forked: History, tool: ModuleType) -> None:
    """Where no proof leads from one head to the other, as of a log that was lost."""

    def path(of: History, index: int, size: int) -> tuple[str, ...]:
        return tuple(map(to_base64, inclusion_path(index, size, of.hash_at)))

    kept, shown = forked.head(13), honest.head(5)
    bare = make(
        Compared(holds=False), what="x", by="auditor", source="here", ledger_key=KEY, kept=kept.note, shown=shown.note
    )
    assert not both(bare, tool)
    two = msgspec.structs.replace(
        bare,
        index=0,
        leaf=forked.leaves[0].decode(),
        leaf_path=path(forked, 0, 13),
        other_leaf=honest.leaves[0].decode(),
        other_leaf_path=path(honest, 0, 5),
    )
    assert both(two, tool)
    third = honest.leaves[3].decode()
    for worse in (
        msgspec.structs.replace(two, index=1),
        msgspec.structs.replace(two, index=None),
        msgspec.structs.replace(two, index=-1),
        msgspec.structs.replace(two, index=5),
        msgspec.structs.replace(two, index=1 << 80),
        msgspec.structs.replace(two, leaf=two.other_leaf),
        msgspec.structs.replace(two, leaf="another"),
        msgspec.structs.replace(two, other_leaf_path=()),
        msgspec.structs.replace(two, leaf_path=("nonsense", *two.leaf_path[1:])),
        msgspec.structs.replace(
            two, leaf=third, leaf_path=path(forked, 3, 13), other_leaf=third, other_leaf_path=path(honest, 3, 5)
        ),
        msgspec.structs.replace(two, kept_checkpoint=two.shown_checkpoint, shown_checkpoint=two.kept_checkpoint),
    ):
        assert not both(worse, tool), worse


def test_cosignatures_do_not_disturb(honest: History, forked: History, tool: ModuleType) -> None:
    good = evidence_of(honest.head(5), forked.head(33), forked)
    line = "\u2014 witness.example AAAAAAAAAAAA\n"
    assert both(msgspec.structs.replace(good, kept_checkpoint=good.kept_checkpoint + line), tool)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"{", b"\xff", b'{"format":"keten-evidence-1"}', b"[" * 100_000, b"{}" * 3_000_000],
    ids=lambda content: str(len(content)),
)
def test_what_is_no_evidence(content: bytes, tool: ModuleType) -> None:
    with pytest.raises(Corrupt, match="not a file of evidence"):
        decode(content)
    with pytest.raises(tool.Fault):
        tool.read_evidence(content, "file")


def test_another_format_and_too_many_hashes(honest: History, forked: History) -> None:
    good = json.loads(encode(evidence_of(honest.head(5), forked.head(33), forked)))
    for change in ({"format": "keten-evidence-2"}, {"path": [good["path"][0]] * 131}):
        with pytest.raises(Corrupt):
            decode(json.dumps(good | change).encode())


def test_what_was_kept(honest: History, forked: History) -> None:
    note = honest.notes[5]
    assert kept_note(note.encode()) == note
    assert kept_note(encode(evidence_of(honest.head(5), forked.head(33), forked))) == note
    for content in (b"", b"{}", b"nonsense", b"\xff\n\n"):
        with pytest.raises(Invalid, match="neither"):
            kept_note(content)


def test_its_name(honest: History, forked: History) -> None:
    good = msgspec.structs.replace(
        evidence_of(honest.head(5), forked.head(33), forked), time="2026-11-28T19:30:20.000012+00:00"
    )
    assert file_name(good) == "20261128T193020-000012.json"
    assert leaf_hash(forked.leaves[0]) != leaf_hash(honest.leaves[0])
