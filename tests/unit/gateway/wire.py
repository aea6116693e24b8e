"""A client's end of a download as the kernel sees it: what came, and how it ended."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Self

from keten.drills.supplier import SupplierSystem


class Download(threading.Thread):
    """Downloads an object in a thread of its own; `take` is how many bytes it reads before it waits for `go_on`.

    Speaks TLS over memory, so that a reset of the TCP connection is seen as such and not as an end of TLS.
    """

    def __init__(self, supplier: SupplierSystem, object_id: str, take: int = -1, headers: str = "") -> None:
        super().__init__(daemon=True)
        self.content = bytearray()
        self.head = b""
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.waits = threading.Event()
        self._go_on = threading.Event()
        self._take = take
        self._supplier = supplier
        self._path = f"/v1/objects/{object_id}"
        self._headers = headers
        self.socket = socket.create_connection((supplier.host, supplier.port))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=supplier.host)

    def go_on(self) -> None:
        """Read on after having waited."""
        self._go_on.set()

    def run(self) -> None:
        """Ask, read, note how it ends."""
        try:
            self._step(self._tls.do_handshake)
            fields = self._supplier.authorised("GET", self._path)
            lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self._tls.write(f"GET {self._path} HTTP/1.1\r\nHost: x\r\n{self._headers}{lines}\r\n".encode())
            self.socket.sendall(self._outgoing.read())
            self._read()
        except (OSError, EOFError) as error:
            self.error = error
        finally:
            self.ended.set()
            self.socket.close()

    def _step(self, act: object) -> bytes:
        while True:
            try:
                found = act()  # type: ignore[operator]  # one of the TLS object's methods
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise EOFError from None
                self._incoming.write(data)
            else:
                self.socket.sendall(self._outgoing.read())
                return found if isinstance(found, bytes) else b""

    def _read(self) -> None:
        while b"\r\n\r\n" not in self.head:
            self.head += self._step(lambda: self._tls.read(65536))
        self.head, _, rest = self.head.partition(b"\r\n\r\n")
        self.content += rest
        length = int(self.head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(self.content) < length:
            if 0 <= self._take <= len(self.content):
                self.waits.set()
                self._go_on.wait(60)
                self._take = -1
            try:
                self.content += self._step(lambda: self._tls.read(65536))
            except EOFError:
                return

    @property
    def was_reset(self) -> bool:
        """Whether the connection ended by a reset."""
        return isinstance(self.error, ConnectionResetError)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._go_on.set()
        self.join(60)
