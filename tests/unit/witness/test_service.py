"""`add-checkpoint`, status by status, as c2sp.org/tlog-witness has it; and what a witness never does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keten.core.errors import Busy, Conflict, Corrupt, Denied, FsyncFailed, Invalid, Unavailable
from keten.core.files import Files
from keten.ledger.cosignatures import cosignatures
from keten.ledger.evidence import decode, judge, named_path
from keten.ledger.merkle import consistency_path
from keten.ledger.notes import Signer, checkpoint_text, to_base64
from keten.witness.folder import Watched, WitnessFolder, checked_name
from keten.witness.service import MAX_PROOF_LINES, SIZE_TYPE, Answer, Malformed, Service, parse_request
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x41" * 32))
KEY = SIGNER.verifier_key()
TIME = 1_790_000_000.9


def history(folder: Path, sizes: tuple[int, ...], changed: int | None = None) -> Log:
    log = Log(folder, SIGNER)
    for size in sizes:
        log.seal(size)
        if changed is not None and changed < size:
            log.leaves[changed] = b"another"
            log.seal_anew()
    return log


SIZES = (3, 5, 6, 9, 12)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return history(tmp_path / "log", SIZES)


@pytest.fixture
def fork(tmp_path: Path) -> Log:
    return history(tmp_path / "fork", SIZES, changed=1)


@pytest.fixture
def folder(tmp_path: Path) -> WitnessFolder:
    made = WitnessFolder(tmp_path / "witness")
    made.create("witness.example/w")
    made.add(KEY)
    return made


@pytest.fixture
def service(folder: WitnessFolder) -> Service:
    return Service(folder, now=lambda: TIME)


class Held(Files):
    """Writes once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def write(self, path: Path, content: bytes, mode: int = 0o644) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        super().write(path, content, mode)


def test_two_who_add_one_log_at_once_take_no_head_away(log: Log, tmp_path: Path) -> None:
    """Else the witness would cosign another history of a log of which it has cosigned one."""
    made, held = WitnessFolder(tmp_path / "witness"), Held()
    made.create("witness.example/w")
    slow = threading.Thread(target=WitnessFolder(made.path, held).add, args=(KEY,))
    slow.start()
    assert held.begun.wait(10)
    other = threading.Thread(target=made.add, args=(KEY,))
    other.start()
    other.join(0.3)
    cosigns = Service(made, now=lambda: TIME)
    early = cosigns.add_checkpoint(body(log, 0, 5)).status
    held.go_on.set()
    slow.join(10)
    other.join(10)
    assert early == 404 or (made.watched(SIGNER.name) or Watched(KEY)).note
    assert cosigns.add_checkpoint(body(log, 0, 5)).status == (200 if early == 404 else 409)


def body(log: Log, old: int, new: int, path: list[bytes] | None = None) -> bytes:
    if path is None:
        leaves = log.leaves[:new]
        path = consistency_path(old, new, Naive().hash_at(leaves)) if 0 < old <= new else []
    return "".join([f"old {old}\n", *(f"{to_base64(one)}\n" for one in path), "\n", log.notes[new]]).encode()


def evidence(folder: WitnessFolder) -> list[Path]:
    return sorted((folder.path / "evidence").iterdir())


def test_it_cosigns_what_goes_on(log: Log, folder: WitnessFolder, service: Service) -> None:
    old = 0
    key = folder.cosigner().key
    for new in SIZES:
        answer = service.add_checkpoint(body(log, old, new))
        assert answer.status == 200
        (found,) = cosignatures(log.notes[new] + answer.body, [key])
        assert (found.time, found.line) == (int(TIME), answer.body)
        watched = folder.watched(SIGNER.name)
        assert watched is not None
        assert watched.note == log.notes[new]
        old = new
    again = service.add_checkpoint(body(log, 12, 12, []))
    assert again.status == 200
    assert evidence(folder) == []


def test_others_signatures_are_passed_over(log: Log, service: Service) -> None:
    stranger = Signer("other.example", Ed25519PrivateKey.generate())
    text = log.notes[3].rpartition("\n\n")[0] + "\n"
    line = stranger.sign(text).rpartition("\n\n")[2]
    head, _, block = log.notes[3].rpartition("\n\n")
    assert service.add_checkpoint(f"old 0\n\n{head}\n\n{line}{block}".encode()).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"old 0\n",
        b"old 0",
        b"old 00\n\n",
        b"old -1\n\n",
        b"old +1\n\n",
        b"old\n\n",
        b"OLD 0\n\n",
        b"old 0 \n\n",
        b" old 0\n\n",
        b"old 0\nnonsense\n\n",
        b"old 0\n" + b"A" * 43 + b"=" + b"\n",
        b"old 9223372036854775808\n\n",
        b"\xff\xfe\n\n",
    ],
)
def test_malformed_requests(wrong: bytes, log: Log, service: Service) -> None:
    assert service.add_checkpoint(wrong).status == 400
    if not wrong.endswith(b"\n\n"):
        wrong += b"\n\n"
    assert service.add_checkpoint(wrong + log.notes[3].encode()).status == (200 if wrong == b"old 0\n\n" else 400)
    for note in (b"", b"x", b"x\n\n", log.notes[3].encode()[:-1], log.notes[3].encode() * 2):
        assert service.add_checkpoint(b"old 0\n\n" + note).status in (400, 403)
    lines = [b"\0" * 32] * (MAX_PROOF_LINES + 1)
    assert service.add_checkpoint(body(log, 3, 5, lines)).status == 400
    assert service.add_checkpoint(body(log, 3, 5, lines[:-1])).status in (409, 422)


@settings(max_examples=200)
@given(text=st.one_of(st.binary(max_size=300), st.text("old 019\n=A\u2014", max_size=60).map(str.encode)))
def test_whatever_comes_is_answered(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request(text)


def test_unknown_logs_and_strangers(log: Log, service: Service) -> None:
    other = Signer("other.example/log", Ed25519PrivateKey.generate())
    note = other.sign(checkpoint_text(other.name, 3, log.roots[3]))
    assert service.add_checkpoint(b"old 0\n\n" + note.encode()).status == 404
    forged = Signer(SIGNER.name, Ed25519PrivateKey.generate()).sign(checkpoint_text(SIGNER.name, 3, log.roots[3]))
    assert service.add_checkpoint(b"old 0\n\n" + forged.encode()).status == 403
    wrong = log.notes[3].replace("\n3\n", "\n4\n")
    assert service.add_checkpoint(b"old 0\n\n" + wrong.encode()).status == 403


def test_another_size_than_was_cosigned(log: Log, folder: WitnessFolder, service: Service) -> None:
    assert service.add_checkpoint(body(log, 5, 9)) == Answer(409, "0\n", SIZE_TYPE)
    assert service.add_checkpoint(body(log, 0, 5)).status == 200
    for old, new in ((0, 9), (3, 9), (6, 9), (3, 5), (0, 3), (3, 3)):
        assert service.add_checkpoint(body(log, old, new)) == Answer(409, "5\n", SIZE_TYPE)
    assert service.add_checkpoint(body(log, 6, 5, [])).status == 400
    watched = folder.watched(SIGNER.name)
    assert watched is not None
    assert watched.note == log.notes[5]


def test_a_proof_where_nothing_was_cosigned(log: Log, service: Service) -> None:
    assert service.add_checkpoint(body(log, 0, 5, [b"x" * 32])).status == 422


def test_a_proof_that_does_not_hold(log: Log, folder: WitnessFolder, service: Service) -> None:
    """Anybody can send one with a checkpoint that is fine: it shows nothing, and must not fill the disk."""
    assert service.add_checkpoint(body(log, 0, 5)).status == 200
    good = consistency_path(5, 9, Naive().hash_at(log.leaves[:9]))
    for wrong in ([], good[:-1], [*good, b"x" * 32], good[::-1], [b"x" * 32, *good[1:]]):
        assert service.add_checkpoint(body(log, 5, 9, wrong)).status == 422
    assert evidence(folder) == []
    assert service.add_checkpoint(body(log, 5, 9, good)).status == 200


@pytest.mark.parametrize("new", [6, 9, 12])
def test_a_fork_is_kept_as_evidence(new: int, log: Log, fork: Log, folder: WitnessFolder, service: Service) -> None:
    assert service.add_checkpoint(body(log, 0, 5)).status == 200
    assert service.add_checkpoint(body(fork, 5, new)).status == 422
    assert service.add_checkpoint(body(fork, 5, new)).status == 422
    (file,) = evidence(folder)
    assert file.stat().st_mode & 0o077 == 0
    found = decode(file.read_bytes())
    assert (found.by, found.kept_checkpoint, found.shown_checkpoint) == ("witness", log.notes[5], fork.notes[new])
    assert judge(found, KEY).fork
    assert service.add_checkpoint(body(log, 5, 12)).status == 200  # the log itself goes on


@pytest.mark.parametrize("old", [1, 2, 4, 8])
def test_a_fork_from_a_power_of_two(old: int, tmp_path: Path, folder: WitnessFolder, service: Service) -> None:
    """The proof leaves out the root that it leads from; when that root stands before it, it is evidence."""
    sizes = (old, 9, 12)
    log, fork = history(tmp_path / "one", sizes), history(tmp_path / "other", sizes, changed=0)
    assert service.add_checkpoint(body(log, 0, old)).status == 200
    hash_at = Naive().hash_at(fork.leaves)
    for new in (9, 12):
        path = consistency_path(old, new, hash_at)
        assert service.add_checkpoint(body(fork, old, new, path)).status == 422
        own = consistency_path(old, new, Naive().hash_at(log.leaves[:new]))
        for wrong in ([log.roots[old], *path], [b"x" * 32, *path], [fork.roots[old]], [fork.roots[old], *path[:-1]]):
            assert service.add_checkpoint(body(fork, old, new, wrong)).status == 422
        assert service.add_checkpoint(body(log, old, new, [log.roots[old], *own])).status == 422
    assert evidence(folder) == []
    shown = named_path(old, consistency_path(old, 12, hash_at), hash_at)
    assert service.add_checkpoint(body(fork, old, 12, shown)).status == 422
    (file,) = evidence(folder)
    found = decode(file.read_bytes())
    assert (found.kept_checkpoint, found.shown_checkpoint) == (log.notes[old], fork.notes[12])
    assert judge(found, KEY).fork
    assert service.add_checkpoint(body(log, old, 12)).status == 200


@pytest.mark.parametrize("old", [0, 3, 5])
def test_two_heads_of_one_size(old: int, log: Log, fork: Log, folder: WitnessFolder, service: Service) -> None:
    assert service.add_checkpoint(body(log, 0, 5)).status == 200
    assert service.add_checkpoint(body(fork, old, 5, [])) == Answer(409, "5\n", SIZE_TYPE)
    (file,) = evidence(folder)
    assert judge(decode(file.read_bytes()), KEY).fork


def test_of_many_at_once_one_history_wins(log: Log, fork: Log, service: Service) -> None:
    start = threading.Barrier(8)

    def ask(number: int) -> tuple[int, Answer]:
        start.wait(30)
        return number, service.add_checkpoint(body(log if number % 2 else fork, 0, SIZES[number % 5]))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    signed = [number for number, answer in answers if answer.status == 200]
    assert len(signed) == 1
    size = SIZES[signed[0] % 5]
    assert all(answer == Answer(409, f"{size}\n", SIZE_TYPE) for number, answer in answers if number not in signed)


class Failing(Files):
    """A disk that fails when a name is made durable."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = None
        self._later = error

    def fail(self) -> None:
        self.error = self._later

    def rename(self, source: Path, target: Path) -> None:
        if self.error is not None:
            raise self.error
        super().rename(source, target)


@pytest.mark.parametrize(
    "error", [Unavailable("disk-full", "full"), FsyncFailed("fsync-failed", "gone"), OSError(5, "x")], ids=repr
)
def test_without_a_disk_nothing_is_cosigned(error: Exception, log: Log, tmp_path: Path) -> None:
    files = Failing(error)
    folder = WitnessFolder(tmp_path / "w", files)
    folder.create("witness.example/w")
    folder.add(KEY)
    service = Service(folder)
    assert service.add_checkpoint(body(log, 0, 3)).status == 200
    files.fail()
    with pytest.raises(Unavailable):
        service.add_checkpoint(body(log, 3, 5))
    files.error = None
    assert service.add_checkpoint(body(log, 3, 5)).status == 200


def test_the_folder(tmp_path: Path) -> None:
    folder = WitnessFolder(tmp_path / "w")
    with pytest.raises(Unavailable, match="not a witness"):
        folder.cosigner()
    made = folder.create("witness.example/w")
    assert folder.cosigner().key.verifier_key() == made.key.verifier_key()
    assert (folder.path / "witness.json").stat().st_mode & 0o077 == 0
    with pytest.raises(Conflict, match="not empty"):
        folder.create("witness.example/w")
    folder.add(KEY)
    assert folder.add(f"{KEY}\n").key == KEY
    with pytest.raises(Conflict, match="Another key"):
        folder.add(Signer(SIGNER.name, Ed25519PrivateKey.generate()).verifier_key())
    with pytest.raises(Invalid):
        folder.add("nonsense")
    assert [one.verifier.name for one in folder.logs()] == [SIGNER.name]
    with folder.held(), pytest.raises(Busy, match="already"), folder.held():
        pass
    (folder.path / "witness.json").write_text("{")
    with pytest.raises(Corrupt, match="damaged"):
        folder.cosigner()
    with pytest.raises(Invalid, match="without https"):
        checked_name("https://witness.example")


def test_a_damaged_head_is_not_gone_on_from(log: Log, folder: WitnessFolder, service: Service) -> None:
    assert service.add_checkpoint(body(log, 0, 3)).status == 200
    (file,) = (folder.path / "logs").iterdir()
    file.write_text(file.read_text().replace(r"\n3\n", r"\n2\n"))
    with pytest.raises(Corrupt):
        service.add_checkpoint(body(log, 2, 5))


def test_a_second_log_that_goes_on_from_one_is_not_watched_unasked(folder: WitnessFolder) -> None:
    def key(origin: str) -> str:
        return Signer(origin, Ed25519PrivateKey.generate()).verifier_key()

    first, second = "keten/abc/2.aaaaaaaa", "keten/abc/2.bbbbbbbb"
    for origin in ("keten/abc", "keten/xyz", first, "keten/abc/3.cccccccc", "keten/xyz/2.dddddddd", "keten/abcd/2.x"):
        folder.add(key(origin))
    with pytest.raises(Denied, match="restored twice") as caught:
        folder.add(key(second))
    assert caught.value.code == "two-successors"
    assert first in caught.value.public
    assert folder.watched(second) is None
    folder.add(key(second), second=True)
    assert folder.watched(second) is not None
