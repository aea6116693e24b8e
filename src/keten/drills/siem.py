"""The organisation's own monitoring, for drills: a syslog server over TLS (RFC 5425) that notes what came, and when."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from keten.keeper.certificates import create_authority, issue

LONGEST_LENGTH, LONGEST_MESSAGE = 7, 1_000_000
CLASSES = ("findings", "changes", "sign-ins", "access", "system")


class Arrived(msgspec.Struct, frozen=True):
    """An event that came. uid: of its entry. code: its kind. at: seconds since 1970, as it was read whole."""

    uid: str
    code: str
    at: float


class Siem:
    """Listens on this machine for as long as it is entered; a certificate of its own lies in `folder`.

    malformed: messages that were not understood, and ended their connection.
    """

    def __init__(self, folder: Path) -> None:
        self.ca, self._context = certified(folder, "siem")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._first: dict[str, Arrived] = {}
        self._open: set[socket.socket] = set()
        self._ended = False
        self.malformed = 0

    @property
    def settings(self) -> str:
        """The part of keten.toml that names it as a destination of every class of event."""
        port = self._listening.getsockname()[1]
        return (
            f'[[export.destinations]]\nname = "siem"\nkind = "syslog"\nurl = "tls://localhost:{port}"\n'
            f"ca = {json.dumps(str(self.ca))}\nclasses = {json.dumps(CLASSES)}\nsettle_seconds = 1\n"
        )

    def arrived(self, uid: str) -> Arrived | None:
        """When an event came first; what is sent again is the same."""
        with self._lock:
            return self._first.get(uid)

    def __len__(self) -> int:
        """How many different events came."""
        with self._lock:
            return len(self._first)

    # ---- the wire --------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._ended:
            try:
                plain, _address = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(plain,), daemon=True).start()

    def _take(self, plain: socket.socket) -> None:
        with self._lock:
            self._open.add(plain)
        connection: socket.socket = plain
        try:
            connection = self._context.wrap_socket(plain, server_side=True)
            with self._lock:
                self._open.add(connection)
            with connection.makefile("rb") as stream:
                while (event := frame(stream)) is not None:
                    self._note(event)
        except (OSError, ValueError, LookupError, TypeError) as error:
            if not isinstance(error, OSError):
                self.malformed += 1
        finally:
            with self._lock:
                self._open -= {plain, connection}
            connection.close()

    def _note(self, event: dict[str, Any]) -> None:
        metadata = event["metadata"]
        found = Arrived(str(metadata["uid"]), str(metadata["event_code"]), time.time())
        with self._lock:
            self._first.setdefault(found.uid, found)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # or the thread that accepts keeps it open
        self._listening.close()
        with self._lock:
            still = list(self._open)
        for one in still:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def certified(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """What a receiver of a drill speaks TLS with, in `folder`: the authority to be trusted, and its own side."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = create_authority(name)
    issued = issue(authority, ("localhost", "127.0.0.1"))
    ca, certificate, key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    ca.write_bytes(authority.certificate)
    certificate.write_bytes(issued.certificate)
    key.touch(0o600)
    key.write_bytes(issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return ca, context


def frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The event of the next octet-counted message; None at the end. Raises `ValueError` for what is none."""
    digits = b""
    while (one := stream.read(1)) != b" ":
        if not one:
            if digits:
                raise ValueError("the connection ended within a length")
            return None
        digits += one
        if len(digits) > LONGEST_LENGTH or not one.isdigit():
            raise ValueError("no length")
    length = int(digits or b"0")
    if not 0 < length <= LONGEST_MESSAGE:
        raise ValueError("too long, or empty")
    message = stream.read(length)
    if len(message) < length:
        raise ValueError("the connection ended within a message")
    event = json.loads(message[message.index(b"{") :])
    if not isinstance(event, dict):
        raise TypeError("no object")
    return event
