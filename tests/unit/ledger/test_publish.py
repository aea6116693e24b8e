"""Publishing: what readers see at every moment, and what a writer refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import Busy, Conflict, Corrupt, Invalid
from keten.ledger.merkle import leaf_hash
from keten.ledger.notes import Signer, Verifier, checkpoint_text, unverified_checkpoint
from keten.ledger.publish import Publisher
from keten.ledger.tiles import TileReader
from tests.unit.ledger.published_log import Log, assert_published, assert_tidy, snapshot


def test_nothing_is_published_at_first(log: Log) -> None:
    assert log.publisher.published() is None


def test_an_empty_ledger_has_a_checkpoint(log: Log) -> None:
    log.grow([0])
    assert assert_published(log) == 0
    assert unverified_checkpoint((log.root / "checkpoint").read_bytes()).size == 0
    log.publisher.close()
    log.publisher = Publisher(log.root)
    log.grow([1])
    assert assert_published(log) == 1


def test_sizes_around_the_edges_of_tiles(log: Log) -> None:
    for size in (1, 2, 255, 256, 257, 511, 512, 513, 1000):
        log.grow([size])
        assert assert_published(log) == size
        assert_tidy(log)


def test_three_levels(large_log: Log) -> None:
    assert assert_published(large_log) == 70_000
    assert_tidy(large_log)


@settings(max_examples=20)
@given(steps=st.lists(st.integers(0, 300), min_size=1, max_size=6), restarts=st.booleans())
def test_any_way_of_growing_gives_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, signer: Signer, steps: list[int], restarts: bool
) -> None:
    log = Log(tmp_path_factory.mktemp("grown") / "ledger", signer)
    size = 0
    for step in steps:
        size += step
        log.grow([size])
        if restarts:
            log.publisher.close()
            log.publisher = Publisher(log.root)
    assert assert_published(log) == size
    log.publisher.close()


def test_a_partial_tile_stays_until_the_full_one_is_there(log: Log) -> None:
    log.grow([10, 20])
    assert (log.root / "tile/0/000.p/10").is_file()
    assert (log.root / "tile/entries/000.p/20").is_file()
    log.grow([256])
    assert not (log.root / "tile/0/000.p").exists()
    assert not (log.root / "tile/entries/000.p").exists()
    assert (log.root / "tile/1/000.p/1").is_file()


def test_the_same_again_changes_nothing(log: Log) -> None:
    log.grow([100, 300])
    before = snapshot(log.root)
    log.publish(300, 100)
    log.publish(300, 0)
    log.publish(300, 300)
    assert snapshot(log.root) == before


def test_leaves_that_are_published_already_may_come_again(log: Log) -> None:
    log.grow([100])
    log.seal(400)
    log.publish(400, 3)
    assert assert_published(log) == 400


def test_leaf_hashes_may_be_left_out(log: Log) -> None:
    log.seal(5)
    log.publisher.advance(log.leaves, None, 0, log.notes[5], 5, log.roots[5])
    assert assert_published(log) == 5


def test_a_gap_is_refused(log: Log) -> None:
    log.grow([100])
    log.seal(200)
    with pytest.raises(Conflict) as caught:
        log.publish(200, 101)
    assert caught.value.code == "ledger-gap"


def test_entries_that_do_not_reach_the_size_are_refused(log: Log) -> None:
    log.seal(9)
    with pytest.raises(Invalid) as caught:
        log.publisher.advance(log.leaves[:8], None, 0, log.notes[9], 9, log.roots[9])
    assert caught.value.code == "ledger-range"
    with pytest.raises(Invalid):
        log.publisher.advance(log.leaves, None, -1, log.notes[9], 9, log.roots[9])


def test_an_older_checkpoint_is_refused(log: Log) -> None:
    log.grow([100, 200])
    with pytest.raises(Conflict) as caught:
        log.publish(100, 0)
    assert caught.value.code == "checkpoint-older"
    assert assert_published(log) == 200


def test_another_root_for_the_same_size_is_refused(log: Log, signer: Signer) -> None:
    log.grow([100])
    root = b"r" * 32
    with pytest.raises(Corrupt) as caught:
        log.publisher.advance([], None, 100, signer.sign(checkpoint_text(signer.name, 100, root)), 100, root)
    assert caught.value.code == "checkpoint-split"


def test_a_wrong_root_stops_before_anything_is_written(log: Log, signer: Signer) -> None:
    log.grow([100])
    before = snapshot(log.root)
    log.seal(600)
    root = b"r" * 32
    note = signer.sign(checkpoint_text(signer.name, 600, root))
    with pytest.raises(Corrupt) as caught:
        log.publisher.advance(log.leaves[100:], None, 100, note, 600, root)
    assert caught.value.code == "root-wrong"
    assert snapshot(log.root) == before
    log.publish(600, 100)
    assert assert_published(log) == 600


def test_a_checkpoint_of_another_size_or_root_is_refused(log: Log) -> None:
    log.seal(5)
    log.seal(6)
    for size, root in ((6, log.roots[5]), (5, log.roots[6])):
        with pytest.raises(Invalid) as caught:
            log.publisher.advance(log.leaves[:size], None, 0, log.notes[5], size, root)
        assert caught.value.code == "checkpoint-other"


def test_a_wrong_leaf_hash_is_refused(log: Log) -> None:
    log.seal(5)
    hashes = [leaf_hash(leaf) for leaf in log.leaves]
    for wrong in ([*hashes[:4], b"h" * 32], hashes[:4], [*hashes, hashes[0]]):
        with pytest.raises(Corrupt) as caught:
            log.publisher.advance(log.leaves, wrong, 0, log.notes[5], 5, log.roots[5])
        assert caught.value.code == "leaf-hash-wrong"
    assert log.publisher.published() is None


def test_with_a_verifier_only_the_logs_own_checkpoints_count(log: Log, signer: Signer, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "other", verifier=Verifier.parse(signer.verifier_key()))
    log.seal(5)
    stranger = Signer(signer.name, Ed25519PrivateKey.generate())
    note = stranger.sign(checkpoint_text(signer.name, 5, log.roots[5]))
    with pytest.raises(Corrupt):
        publisher.advance(log.leaves, None, 0, note, 5, log.roots[5])
    log.publish(5, 0, publisher)
    (tmp_path / "other/checkpoint").write_text(note)
    with pytest.raises(Corrupt):
        publisher.published()


@pytest.mark.parametrize("content", [b"", b"\xff", b"half a check", b"x" * (2 << 20)])
def test_a_damaged_checkpoint_file_is_corrupt(log: Log, content: bytes) -> None:
    log.grow([5])
    (log.root / "checkpoint").write_bytes(content)
    with pytest.raises(Corrupt):
        log.publisher.published()


@pytest.mark.parametrize("name", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_a_writer_does_not_go_on_from_damaged_files_and_names_them(log: Log, name: str, how: str) -> None:
    log.grow([300])
    log.publisher.close()
    path = log.root / name
    content = path.read_bytes()
    path.unlink()
    if how != "remove":
        path.write_bytes(content[:-1] if how == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    log.seal(301)
    with pytest.raises(Corrupt) as caught:
        log.publish(301, 300)
    assert name in caught.value.public
    log.publisher.rebuild(lambda first, end: log.leaves[first:end], log.notes[301], 301, log.roots[301])
    assert assert_published(log) == 301


def test_one_writer(log: Log) -> None:
    log.grow([5])
    second = Publisher(log.root)
    assert second.published() is not None
    log.seal(6)
    with pytest.raises(Busy) as caught:
        log.publish(6, 5, second)
    assert caught.value.code == "ledger-locked"
    log.publisher.close()
    log.publish(6, 5, second)
    with pytest.raises(Busy):
        log.publish(6, 5)
    second.close()
    log.publish(6, 5)


def test_one_writer_of_several_processes(log: Log) -> None:
    log.grow([5])
    program = (
        "import sys; from pathlib import Path; from keten.ledger.publish import Publisher\n"
        "from keten.core.errors import Busy\n"
        "try: Publisher(Path(sys.argv[1])).advance([], None, 5, sys.argv[2], 5, bytes.fromhex(sys.argv[3]))\n"
        "except Busy: print('busy')\n"
    )
    call = [sys.executable, "-c", program, str(log.root), log.notes[5], log.roots[5].hex()]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == "busy\n"
    log.publisher.close()
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == ""


def test_a_writer_that_is_forgotten_gives_up_its_lock(log: Log) -> None:
    log.grow([5])
    log.publisher = Publisher(log.root)
    log.grow([6])
    assert assert_published(log) == 6


def test_readers_see_a_whole_ledger_while_it_grows(log: Log) -> None:
    log.grow([1])
    sizes = list(range(3, 1200, 7))
    wrong: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        reader_of = Publisher(log.root)
        try:
            while not done.is_set():
                checkpoint = reader_of.published()
                assert checkpoint is not None
                reader = TileReader(log.root, checkpoint.size, checkpoint.root)
                assert reader.tree_hash() == checkpoint.root
                assert reader.leaf(checkpoint.size - 1) == log.leaves[checkpoint.size - 1]
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    log.grow(sizes)
    done.set()
    for thread in readers:
        thread.join()
    assert not wrong


def test_a_rebuild_gives_the_same_files(log: Log, tmp_path: Path) -> None:
    log.grow([100, 4096, 5000])
    before = {name: content for name, content in snapshot(log.root).items() if ".p/" not in name}
    other = Publisher(tmp_path / "rebuilt")
    other.rebuild(lambda first, end: log.leaves[first:end], log.notes[5000], 5000, log.roots[5000])
    after = {name: content for name, content in snapshot(other.root).items() if ".p/" not in name}
    assert after == before
    assert assert_published(log, other.root) == 5000
    log.seal(5001)
    log.publish(5001, 5000, other)
    assert assert_published(log, other.root) == 5001


@pytest.mark.parametrize("size", [0, 1, 256, 4095, 4096, 4097, 65_537])
def test_a_rebuild_of_any_size(tmp_path: Path, signer: Signer, size: int) -> None:
    log = Log(tmp_path / "rebuilt", signer)
    log.seal(size)
    log.publisher.rebuild(lambda first, end: log.leaves[first:end], log.notes[size], size, log.roots[size])
    assert assert_published(log) == size
    assert_tidy(log)


def test_a_rebuild_checks_the_leaves_before_it_writes(log: Log) -> None:
    log.grow([600])
    before = snapshot(log.root)
    changed = [*log.leaves[:300], b"changed", *log.leaves[301:]]
    with pytest.raises(Corrupt) as caught:
        log.publisher.rebuild(lambda first, end: changed[first:end], log.notes[600], 600, log.roots[600])
    assert caught.value.code == "root-wrong"
    with pytest.raises(Corrupt) as caught:
        log.publisher.rebuild(lambda first, end: changed[first : end - 1], log.notes[600], 600, log.roots[600])
    assert caught.value.code == "entries-missing"
    assert snapshot(log.root) == before


def test_a_rebuild_does_not_go_back(log: Log) -> None:
    log.grow([300, 600])
    with pytest.raises(Conflict):
        log.publisher.rebuild(lambda first, end: log.leaves[first:end], log.notes[300], 300, log.roots[300])


def test_a_rebuild_over_ruins(log: Log) -> None:
    log.grow([600])
    for path in log.root.rglob("*"):
        if path.is_file():
            path.write_bytes(b"ruin")
    log.publisher.rebuild(lambda first, end: log.leaves[first:end], log.notes[600], 600, log.roots[600])
    assert assert_published(log) == 600
