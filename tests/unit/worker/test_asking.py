"""What a worker makes of a witness's answers, over a real connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.errors import Invalid, Unavailable
from keten.keeper.certificates import create_authority, issue
from keten.ledger.cosignatures import Cosigner
from keten.ledger.evidence import decode, judge
from keten.ledger.notes import Checkpoint, Signer, Verifier, parse_checkpoint, to_base64
from keten.ledger.quorum import Witness
from keten.witness.folder import WitnessFolder
from keten.witness.service import SIZE_TYPE, Answer, Service
from keten.worker.asking import MAX_ANSWER, Given, ask, post, request, tls
from tests.unit.ledger.conftest import Naive
from tests.unit.ledger.published_log import Log

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x61" * 32))
SIZES = (3, 5, 9)


class Town:
    """A real witness's service behind a small server; `answer` replaces what it would say."""

    def __init__(self, folder: Path) -> None:
        self.log = Log(folder / "log", SIGNER)
        for size in SIZES:
            self.log.seal(size)
        self.folder = folder / "w"
        opened = WitnessFolder(self.folder)
        self.cosigner: Cosigner = opened.create("witness.example/w")
        opened.add(SIGNER.verifier_key())
        self.service = Service(opened)
        self.answers: Callable[[bytes], Answer] = self.service.add_checkpoint
        self.answer: Answer | None = None
        self.asked: list[bytes] = []
        town = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                town.asked.append(body)
                found = town.answer or town.answers(body)
                content = found.body.encode()
                self.send_response(found.status if self.path == "/prefix/add-checkpoint" else 404)
                self.send_header("Content-Type", found.kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/prefix/"

    def head(self, size: int) -> Checkpoint:
        return parse_checkpoint(self.log.notes[size], Verifier.parse(SIGNER.verifier_key()))

    def ask(self, size: int, old: int, newest: int = 0) -> Given:
        witness = Witness("w", self.cosigner.key, self.url)
        hash_at = Naive().hash_at(self.log.leaves[:size])
        return ask(witness, self.head(size), hash_at, old, lambda: newest or size, tls(None))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def heard(given: Given) -> tuple[str, int]:
    assert given.line == ""
    assert given.heard is not None
    return given.heard.code, given.heard.there


def test_it_cosigns_and_tells_where_it_is(town: Town) -> None:
    assert town.ask(3, 0).line.startswith("\u2014 witness.example/w ")
    given = town.ask(9, 0)  # the worker forgot: one turn more
    assert (given.heard, given.there) == (None, 9)
    assert given.line
    assert len(town.asked) == 3
    assert town.asked[2] == request(3, [*town_path(town, 3, 9)], town.log.notes[9])
    assert town.ask(9, 9).line  # looked after again, with nothing new


def town_path(town: Town, old: int, new: int) -> list[bytes]:
    return Naive().proof(old, town.log.leaves[:new])


def test_a_witness_that_has_seen_more_is_an_alarm(town: Town) -> None:
    assert town.ask(9, 0).line
    assert heard(town.ask(5, 0)) == ("ahead", 9)
    assert heard(town.ask(5, 3)) == ("ahead", 9)
    fine = town.ask(5, 3, newest=9)  # by now there is as much here: another worker was faster
    assert (fine.line, fine.heard, fine.there) == ("", None, 9)


def test_a_witness_that_holds_another_root_is_an_alarm(town: Town) -> None:
    assert town.ask(5, 0).line
    town.log.leaves[0] = b"another"
    town.log.seal_anew()
    town.log.notes[5] = town.log.notes[9]
    assert heard(town.ask(9, 5)) == ("fork", 5)
    town.answer = Answer(409, "9\n", SIZE_TYPE)
    assert heard(town.ask(9, 9)) == ("fork", 9)


def test_a_witness_is_shown_the_root_that_a_proof_leaves_out(town: Town) -> None:
    """From a power of two; so that it has evidence. That it can't be reached by then hides no alarm."""
    town.log.seal(16)
    town.log.seal(20)
    assert town.ask(16, 0).line
    town.log.leaves[0] = b"another"
    town.log.seal_anew()
    assert heard(town.ask(20, 16)) == ("fork", 16)
    (evidence,) = (town.folder / "evidence").iterdir()
    assert judge(decode(evidence.read_bytes()), SIGNER.verifier_key()).fork
    asked = len(town.asked)
    assert town.asked[-1].startswith(b"old 16\n" + to_base64(Naive().root(town.log.leaves[:16])).encode())

    def once(body: bytes) -> Answer:
        if len(town.asked) > asked + 1:
            raise ConnectionResetError
        return town.service.add_checkpoint(body)

    town.answers = once
    assert heard(town.ask(20, 16)) == ("fork", 16)
    assert len(town.asked) == asked + 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, ""),
        Answer(403, "no"),
        Answer(404, "no"),
        Answer(500, ""),
        Answer(302, ""),
        Answer(409, "3\n"),  # not the type of a size
        Answer(409, "3", SIZE_TYPE),
        Answer(409, "-1\n", SIZE_TYPE),
        Answer(409, "nonsense\n", SIZE_TYPE),
        Answer(200, ""),
        Answer(200, "nonsense"),
        Answer(200, "\u2014 witness.example/w AAAAAAAA\n"),
    ],
    ids=repr,
)
def test_answers_that_are_none(answer: Answer, town: Town) -> None:
    town.answer = answer
    code, _there = heard(town.ask(3, 0))
    assert code == "refused"


@pytest.mark.parametrize(("status", "told"), [(404, "does not watch"), (403, "by another key"), (500, "answered 500")])
def test_why_it_does_not_cosign_is_said(status: int, told: str, town: Town) -> None:
    town.answer = Answer(status, "no")
    found = town.ask(3, 0).heard
    assert found is not None
    assert told in found.what


def test_a_cosignature_by_another_key_or_of_another_head(town: Town) -> None:
    other = Cosigner("witness.example/w", Ed25519PrivateKey.generate())
    text = town.log.notes[3].rpartition("\n\n")[0] + "\n"
    town.answer = Answer(200, other.line(text, 1))
    assert heard(town.ask(3, 0))[0] == "refused"
    town.answer = Answer(200, town.cosigner.line(text.replace("\n3\n", "\n4\n"), 1))
    assert heard(town.ask(3, 0))[0] == "refused"
    town.answer = Answer(200, other.line(text, 1) + town.cosigner.line(text, 7))
    assert town.ask(3, 0).line == town.cosigner.line(text, 7)


def test_a_witness_that_never_comes_to_an_end(town: Town) -> None:
    town.answer = Answer(200, "x" * (MAX_ANSWER + 1))
    with pytest.raises(Unavailable, match="no end"):
        town.ask(3, 0)
    sizes = iter(range(1, 100))
    town.answers = lambda _body: Answer(409, f"{next(sizes) % 2 + 1}\n", SIZE_TYPE)
    town.answer = None
    assert heard(town.ask(3, 0))[0] == "refused"
    assert len(town.asked) < 10


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("plain", b""),
        ("plain", b"HTTP/1.1 200 OK\r\n"),
        ("plain", b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"),
        ("handshake", b"\x16\x03\x03\x3f\x00"),  # a record of 16 KiB
        ("tls", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_one_that_answers_byte_by_byte(kind: str, first: bytes, tmp_path: Path) -> None:
    """Each byte comes within a socket's own limit; all of them never would."""
    over = threading.Event()
    authority = create_authority("test")
    made = issue(authority, ("127.0.0.1",))
    (tmp_path / "tls.pem").write_bytes(made.certificate + made.key)
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.pem")

    def trickle(listening: socket.socket) -> None:
        with listening.accept()[0] as accepted, contextlib.suppress(OSError):
            connected = server.wrap_socket(accepted, server_side=True) if kind == "tls" else accepted
            with connected:
                connected.sendall(first)
                while not over.wait(0.02):
                    connected.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=trickle, args=(listening,), daemon=True)
        serving.start()
        url = f"{'http' if kind == 'plain' else 'https'}://127.0.0.1:{listening.getsockname()[1]}/"
        try:
            with pytest.raises(Unavailable, match="does not answer") as raised:
                post(url, b"", "text/plain", tls(tmp_path / "ca.pem"), 1.0)
        finally:
            over.set()
            serving.join(20)
    assert "no whole answer within 1 s" in raised.value.reason


def test_nobody_there(town: Town) -> None:
    town.server.shutdown()
    town.server.server_close()
    with pytest.raises(Unavailable, match="does not answer"):
        post(town.url, b"", "text/plain", tls(None))
    with pytest.raises(Invalid, match="cannot be read"):
        tls(Path("/nowhere"))
