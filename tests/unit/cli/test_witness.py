"""A supplier as a witness: what an instance does to its ledger, and whether 'keten get' notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.cli.supplier import commands, patience, witness
from keten.cli.supplier.logins import Login, Logins, Pending
from keten.cli.supplier.tiles import HttpTiles
from keten.cli.supplier.witness import Mismatch, Witness
from keten.core.errors import Corrupt, Invalid
from keten.ledger.merkle import consistency_path, leaf_hash
from keten.ledger.notes import Signer
from keten.ledger.proofs import prove_consistency, prove_inclusion
from keten.ledger.tiles import TileReader
from tests.unit.cli.conftest import Done, Keten
from tests.unit.cli.other_side import OtherSide
from tests.unit.ledger.published_log import Log

SIZES = [1, 2, 255, 256, 257, 511, 700]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(commands, "PATIENCE", 0.2)
    monkeypatch.setattr(witness, "COVER_SECONDS", 0.3)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


class Public:
    """A ledger, and a supplier that looks at it through files alone."""

    def __init__(self, folder: Path, name: str = "ledger") -> None:
        self.log = Log(folder / name, Signer("keten/public", Ed25519PrivateKey.from_private_bytes(b"\x04" * 32)))
        self.key = self.log.signer.verifier_key()
        self.logins = Logins(folder / "config")
        self.login = Login(url="https://x.example", client_id="c", key="k", ledger_key=self.key)
        self.fetched: list[str] = []

    def fetch(self, path: str) -> bytes | None:
        self.fetched.append(path)
        file = self.log.root / path.removeprefix("/ledger/")
        return file.read_bytes() if file.is_file() else None

    @property
    def witness(self) -> Witness:
        return Witness(self.logins, self.login, self.fetch)

    def own(self, index: int) -> Pending:
        return Pending(self.log.ids[index], index)

    def evidence(self) -> dict[str, object]:
        (file,) = (self.logins._folder / "evidence").iterdir()
        assert file.stat().st_mode & 0o077 == 0
        found: dict[str, object] = json.loads(file.read_text())
        return found


@pytest.fixture
def public(tmp_path: Path) -> Public:
    return Public(tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_hashes_and_leaves_over_http_are_those_of_the_files(size: int, public: Public) -> None:
    public.log.grow([size])
    tiles = HttpTiles(public.fetch, size)
    reader = TileReader(public.log.root, size, public.log.roots[size])
    for index in {0, size // 2, size - 1}:
        assert tiles.leaf(index) == public.log.leaves[index]
        proof = prove_inclusion(reader, index)
        assert [tiles.hash_at(0, at) for at in (index,)] == [reader.hash_at(0, index)]
        assert proof.holds(leaf_hash(tiles.leaf(index)), public.log.roots[size])
    if size > 1:
        old = size // 2 + 1
        path = consistency_path(old, size, tiles.hash_at)
        assert tuple(path) == prove_consistency(reader, old).path
    with pytest.raises((Invalid, Corrupt)):
        tiles.hash_at(0, size)


def test_a_partial_tile_that_was_replaced_meanwhile(public: Public) -> None:
    public.log.grow([200, 256])
    tiles = HttpTiles(public.fetch, 200)
    assert tiles.leaf(199) == public.log.leaves[199]
    assert tiles.hash_at(0, 199) == leaf_hash(public.log.leaves[199])
    assert tiles.hash_at(3, 24) == TileReader(public.log.root, 256).hash_at(3, 24)


def test_going_on_from_what_was_seen(public: Public) -> None:
    for size in SIZES:
        public.log.grow([size])
        own = public.own(size - 1)
        public.logins.expect(public.key, own)
        assert public.witness.verify(public.witness.pending()).size == size
        assert public.witness.pending() == ()
        assert public.logins.seen(public.key).checkpoint == public.log.notes[size]
    assert len(public.fetched) < 100  # only what the proofs need


def test_an_older_checkpoint_than_another_command_saw_is_fine_and_not_kept(public: Public) -> None:
    public.log.grow([300, 600])
    public.witness.verify()
    newest = public.logins.seen(public.key).checkpoint
    (public.log.root / "checkpoint").write_text(public.log.notes[300])
    assert public.witness.verify([public.own(5)]).size == 300
    assert public.logins.seen(public.key).checkpoint == newest


@pytest.mark.parametrize(("seen", "now"), [(3, 3), (3, 9), (256, 300), (300, 700), (700, 300)])
def test_a_ledger_that_was_rewritten(seen: int, now: int, public: Public, tmp_path: Path) -> None:
    public.log.grow([seen])
    public.witness.verify()
    kept = public.log.notes[seen]
    other = Public(tmp_path, "rewritten")
    other.log.seal(now)
    other.log.leaves[1] = other.log.leaves[1].replace(b'"v":1', b'"v":2')
    other.log.seal_anew()
    other.log.publish(now, 0)
    with pytest.raises(Mismatch, match="does not hold") as raised:
        other.witness.verify()
    evidence = other.evidence()
    assert evidence["kept_checkpoint"] == kept
    assert evidence["shown_checkpoint"] == other.log.notes[now]
    assert str(next((tmp_path / "config" / "evidence").iterdir())) in raised.value.public
    assert other.logins.seen(public.key).checkpoint == kept  # what was seen stays


def test_an_entry_that_is_not_there(public: Public) -> None:
    public.log.grow([300])
    for wrong in (Pending(public.log.ids[5], 6), Pending("a" * 26, 5)):
        with pytest.raises(Mismatch, match="as this machine was told"):
            public.witness.verify([wrong])
    assert len(list((public.logins._folder / "evidence").iterdir())) == 2


def test_a_leaf_in_the_bundle_that_is_not_in_the_tree(public: Public) -> None:
    public.log.grow([300])
    bundle = public.log.root / "tile" / "entries" / "000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"v":1', b'"v":2', 1))
    with pytest.raises(Mismatch, match="not in the tree"):
        public.witness.verify([public.own(0)])
    evidence = public.evidence()
    assert evidence["entry"] == public.log.ids[0]
    assert '"v":2' in str(evidence["leaf"])


@pytest.mark.parametrize("content", [b"", b"\x00" * 31, b"nonsense"])
@pytest.mark.parametrize("tile", ["tile/0/000", "tile/entries/000"])
def test_damaged_files(tile: str, content: bytes, public: Public) -> None:
    public.log.grow([300])
    (public.log.root / tile).write_bytes(content)
    with pytest.raises(Mismatch):
        public.witness.verify([public.own(0)])


@pytest.mark.parametrize("tile", ["tile/0/000", "tile/entries/000"])
def test_missing_files(tile: str, public: Public) -> None:
    public.log.grow([300])
    (public.log.root / tile).unlink()
    with pytest.raises(Mismatch, match="missing"):
        public.witness.verify([public.own(0)])


def test_another_key_signs(public: Public, tmp_path: Path) -> None:
    public.log.grow([3])
    public.witness.verify()
    stranger = Log(tmp_path / "x", Signer("keten/public", Ed25519PrivateKey.generate()))
    stranger.seal(3)
    (public.log.root / "checkpoint").write_text(stranger.notes[3])
    with pytest.raises(Mismatch, match="checkpoint does not hold"):
        public.witness.verify()
    assert public.evidence()["shown_checkpoint"] == stranger.notes[3]


def test_get_stops_with_a_plain_warning(signed_in: OtherSide, keten: Keten) -> None:
    assert keten("get", "/cards/voters.csv", "-o", "a").code == 0
    signed_in.told = (signed_in.log.ids[0], 1)
    done = keten("get", "/cards/voters.csv", "-o", "b")
    assert done.code == 4
    assert "does not hold" in done.err
    assert "call the organisation" in done.err
    assert "Traceback" not in done.err
    # It is not forgotten: the next one says so again, until the evidence was looked at.
    signed_in.told = None
    assert keten("get", "/cards/voters.csv", "-o", "c").code == 4


def test_an_entry_that_is_published_late(signed_in: OtherSide, keten: Keten) -> None:
    signed_in.publishes = False
    done = keten("get", "/cards/voters.csv", "-o", "a")
    assert done.code == 3
    assert "the next get looks again" in done.err
    assert Path("a").exists()
    signed_in.publishes = True
    done = keten("get", "/cards/voters.csv", "-o", "b", "--json")
    assert done.code == 0, done.err
    assert done.json()["ledger"]["size"] == len(signed_in.log.leaves)


def test_a_fork_shown_at_a_new_sign_in(signed_in: OtherSide, sign_in: Callable[[], Done]) -> None:
    signed_in.log.grow([10])
    assert sign_in().code == 0
    signed_in.log.leaves[2] = signed_in.log.leaves[2].replace(b'"v":1', b'"v":2')
    signed_in.log.seal_anew()
    for file in (signed_in.log.root / "tile").rglob("*"):
        if file.is_file():
            file.unlink()
    (signed_in.log.root / "checkpoint").unlink()
    signed_in.log.publisher.close()
    signed_in.log.publish(10, 0)
    done = sign_in()
    assert done.code == 4
    assert "Evidence" in done.err


def test_another_ledger_at_the_same_address_is_said(
    signed_in: OtherSide, sign_in: Callable[[], Done], tmp_path: Path
) -> None:
    signed_in.log = Log(tmp_path / "new", Signer("keten/new", Ed25519PrivateKey.generate()))
    signed_in.log.grow([2])
    old, signed_in.key = signed_in.key, signed_in.log.signer.verifier_key()
    done = sign_in()
    assert done.code == 0
    assert "another ledger than before" in done.err
    assert Logins(tmp_path / "config").seen(old).checkpoint  # what was seen of the old one stays
