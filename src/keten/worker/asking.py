"""Asking one outsider: a witness for a cosignature (c2sp.org/tlog-witness), an authority for a stamp (RFC 3161)."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from keten import __version__
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.keeper.witness_protocol import Heard
from keten.ledger.cosignatures import cosignatures
from keten.ledger.evidence import named_path
from keten.ledger.merkle import HashAt, consistency_path, is_complete
from keten.ledger.notes import Checkpoint, parse_number, to_base64
from keten.ledger.quorum import Witness

ANSWER_SECONDS = 10.0
MAX_ANSWER = 256 * 1024
SIZE_TYPE = "text/x.tlog.size"
_TEXT = "text/plain; charset=utf-8"
_REFUSED = {
    http.client.NOT_FOUND: "it does not watch this ledger (404); its owner does 'keten witness add KEY'",
    http.client.FORBIDDEN: "it knows this ledger by another key (403)",
}
_TURNS = 3  # a witness may have cosigned a newer head between two of them


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer, read whole. `kind`: its media type."""

    status: int
    kind: str
    body: bytes


class Given(msgspec.Struct, frozen=True):
    """What a witness gave: its signature line, or else what it answered.

    there: the size that it has now. had: the size that it had before, as it said or as was right.
    """

    line: str
    heard: Heard | None
    there: int
    had: int = 0


def post(url: str, body: bytes, kind: str, context: ssl.SSLContext, seconds: float = ANSWER_SECONDS) -> Reply:
    """Send `body` to `url`; all of it may take so many seconds, however little comes at a time.

    Raises `Unavailable` ("unreachable") for whatever keeps an answer from coming.
    """
    parts = urlsplit(url)
    until = time.monotonic() + seconds
    connection = http.client.HTTPConnection(parts.netloc.rpartition("@")[2])
    try:
        connection.sock = _connected(parts, context, until)
        with _ended(connection.sock, until):
            headers = {"Content-Type": kind, "User-Agent": f"keten/{__version__}"}
            connection.request("POST", parts.path or "/", body, headers)
            with connection.getresponse() as response:
                content = response.read(MAX_ANSWER + 1)
        if time.monotonic() >= until:
            raise TimeoutError(f"no whole answer within {seconds:.0f} s")
        if len(content) > MAX_ANSWER:
            raise Unavailable("unreachable", f"The answer of {url} has no end.")
        media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Reply(response.status, media, content)
    except (OSError, http.client.HTTPException) as error:
        late = time.monotonic() >= until
        why = f"no whole answer within {seconds:.0f} s" if late else f"{type(error).__name__}: {error}"
        raise Unavailable("unreachable", f"{url} does not answer.", why) from error
    finally:
        connection.close()


def _connected(parts: SplitResult, context: ssl.SSLContext, until: float) -> socket.socket:
    """A connection to where a URL leads, by `until` (monotonic seconds)."""
    secure = parts.scheme == "https"
    port = parts.port or (http.client.HTTPS_PORT if secure else http.client.HTTP_PORT)
    plain = socket.create_connection((parts.hostname or "", port), _left(until))
    if not secure:
        return plain
    try:
        plain.settimeout(_left(until))  # for the whole handshake
        return context.wrap_socket(plain, server_hostname=parts.hostname)
    except BaseException:
        plain.close()
        raise


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left


@contextlib.contextmanager
def _ended(connected: socket.socket, until: float) -> Iterator[None]:
    """End both directions of a connection at `until` (monotonic seconds), unless this context is over by then.

    A socket's own limit begins anew with every byte that comes; whoever waits for one more is woken by the end.
    """

    def end() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)  # below TLS, whose state is the reader's alone

    timer = threading.Timer(max(0.0, until - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tls(ca: Path | None) -> ssl.SSLContext:
    """Certificates are checked against a PEM file, or the machine's authorities. Raises `Invalid` ("ca")."""
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:
        raise Invalid("ca", f"[witnesses] ca: {ca} cannot be read as PEM.", str(error)) from error


def request(old: int, path: list[bytes], note: str) -> bytes:
    """The body of `add-checkpoint`."""
    return "".join([f"old {old}\n", *(f"{to_base64(each)}\n" for each in path), "\n", note]).encode()


def ask(
    witness: Witness,
    checkpoint: Checkpoint,
    hash_at: HashAt,
    old: int,
    newest: Callable[[], int],
    context: ssl.SSLContext,
) -> Given:
    """Ask a witness to cosign a published checkpoint.

    `old`: the size that it cosigned at last, as far as is known; `hash_at`: the checkpoint's tree; `newest`: the size
    that is published by now.

    1. Send the proof from that size, and take its cosignature, which must hold.
    2. It has another size: go on from there.
    3. It has a larger one than we have published: an alarm, for then it has seen another history, or we were set back.
    4. It refuses a proof that holds by our tree, or has another root at our size: an alarm too. The root that the proof
       left out is shown to it, so that it can keep evidence of its own.

    All of it takes at most `ANSWER_SECONDS`. Raises `Unavailable` when it can't be asked, and as `hash_at`.
    """
    there, status = old, 0
    until = time.monotonic() + ANSWER_SECONDS
    for _turn in range(_TURNS):
        if there > checkpoint.size:
            if there <= newest():
                return Given("", None, there)  # it is ahead of this checkpoint only; the next round has a newer one
            what = f"it has cosigned {there} entries, and this ledger has {checkpoint.size}"  # 3
            return _heard(witness, "ahead", what, checkpoint, there)
        path = consistency_path(there, checkpoint.size, hash_at) if there else []
        url = f"{witness.url.rstrip('/')}/add-checkpoint"
        reply = post(url, request(there, path, checkpoint.note), _TEXT, context, until - time.monotonic())
        status = reply.status
        if reply.status == http.client.OK:  # 1
            return msgspec.structs.replace(_taken(witness, checkpoint, reply), had=there)
        known = _size(reply) if reply.status == http.client.CONFLICT else None
        if known is not None and known != there:  # 2
            there = known
            continue
        if known is not None or reply.status == http.client.UNPROCESSABLE_ENTITY:  # 4
            if known is None and is_complete(there):
                _show(url, request(there, named_path(there, path, hash_at), checkpoint.note), context, until)
            what = f"it does not take {checkpoint.size} entries as a continuation of the {there} that it cosigned"
            return _heard(witness, "fork", what, checkpoint, there)
        break
    return _heard(witness, "refused", _REFUSED.get(status, f"it answered {status}"), checkpoint, there)


def _show(url: str, body: bytes, context: ssl.SSLContext, until: float) -> None:
    """Show a witness the root that its proof left out. What it answers changes nothing: it has refused already."""
    with contextlib.suppress(Unavailable):
        post(url, body, _TEXT, context, until - time.monotonic())


def _taken(witness: Witness, checkpoint: Checkpoint, reply: Reply) -> Given:
    """The witness's cosignature out of its answer; those of other keys are passed over."""
    text = checkpoint.note.rpartition("\n\n")[0]
    try:
        found = cosignatures(f"{text}\n\n".encode() + reply.body, (witness.key,))
    except Corrupt as error:
        return _heard(witness, "refused", f"its cosignature does not hold: {error.public}", checkpoint, 0)
    if not found:
        return _heard(witness, "refused", "it signed with another key than the policy's", checkpoint, 0)
    return Given(found[0].line, None, checkpoint.size)


def _size(reply: Reply) -> int | None:
    if reply.kind != SIZE_TYPE or not reply.body.endswith(b"\n"):
        return None
    return parse_number(reply.body[:-1].decode("latin-1"))


def _heard(witness: Witness, code: str, what: str, checkpoint: Checkpoint, there: int) -> Given:
    return Given("", Heard(witness.name, code, what, checkpoint.size, there), there)
