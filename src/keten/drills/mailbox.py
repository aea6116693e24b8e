"""A mail server of a drill: SMTP over TLS (RFC 5321, RFC 8314), that keeps every mail for whoever it is for."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec

from keten.drills.siem import certified

LONGEST_LINE, LONGEST_MAIL = 4096, 1_000_000
TURN_SECONDS = 30.0


class Mail(msgspec.Struct, frozen=True):
    """A mail that came. to: one address. uid: its Message-ID."""

    to: str
    uid: str
    subject: str
    text: str


class Mailbox:
    """Listens on this machine for as long as it is entered; a certificate of its own lies in `folder`.

    refused: addresses that it takes no mail for.
    """

    def __init__(self, folder: Path) -> None:
        self.ca, self._context = certified(folder, "mail")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition(threading.RLock())
        self._mails: list[Mail] = []
        self.refused: set[str] = set()

    @property
    def settings(self) -> str:
        """The part of keten.toml that names it."""
        port = self._listening.getsockname()[1]
        where = f'url = "smtps://localhost:{port}"\nca = {json.dumps(str(self.ca))}\n'
        return f'[mail]\nsender = "keten@example.org"\n{where}'

    def of(self, address: str, subject: str = "") -> list[Mail]:
        """What came for an address, oldest first. subject: words that are in it."""
        with self._changed:
            return [mail for mail in self._mails if mail.to == address and subject in mail.subject]

    def every(self) -> list[Mail]:
        """All that came, oldest first."""
        with self._changed:
            return list(self._mails)

    def wait(self, address: str, subject: str, seconds: float = TURN_SECONDS, count: int = 1) -> Mail:
        """The `count`th mail of this kind for an address. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(found := self.of(address, subject)) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no mail {subject!r} for {address}")
                self._changed.wait(left)
        return found[count - 1]

    def __len__(self) -> int:
        with self._changed:
            return len(self._mails)

    # ---- the wire --------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                plain, _address = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(plain,), daemon=True).start()

    def _take(self, plain: socket.socket) -> None:
        plain.settimeout(TURN_SECONDS)
        with (
            contextlib.suppress(OSError, ValueError),
            self._context.wrap_socket(plain, server_side=True) as connection,
            connection.makefile("rwb", buffering=0) as stream,
        ):
            self._talk(cast("BinaryIO", stream))

    def _talk(self, stream: BinaryIO) -> None:
        to: list[str] = []
        stream.write(b"220 localhost ESMTP\r\n")
        while line := stream.readline(LONGEST_LINE):
            verb, _, rest = line.decode("ascii", "replace").strip().partition(" ")
            answer = "250 OK"
            if verb.upper() == "QUIT":
                stream.write(b"221 Bye\r\n")
                return
            if verb.upper() == "RCPT":
                address = rest.partition("<")[2].partition(">")[0]
                if address in self.refused:
                    answer = "550 no such mailbox"
                else:
                    to.append(address)
            elif verb.upper() == "DATA":
                stream.write(b"354 Go on\r\n")
                self._keep(_content(stream), to)
                to = []
            elif verb.upper() == "RSET":
                to = []
            stream.write(f"{answer}\r\n".encode())

    def _keep(self, content: bytes, to: list[str]) -> None:
        message = email.message_from_bytes(content, policy=email.policy.default)
        text = str(message.get_content()).replace("\r\n", "\n")
        with self._changed:
            for address in to:
                self._mails.append(Mail(address, str(message["Message-ID"]), str(message["Subject"]), text))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # or the thread that accepts keeps it open
        self._listening.close()


def _content(stream: BinaryIO) -> bytes:
    """What follows DATA, up to the line with a dot alone (RFC 5321 §4.5.2). Raises `ValueError` when it is too long."""
    found = bytearray()
    while (line := stream.readline(LONGEST_LINE)) not in (b".\r\n", b""):
        found += line[1:] if line.startswith(b".") else line
        if len(found) > LONGEST_MAIL:
            raise ValueError("too long a mail")
    return bytes(found)
