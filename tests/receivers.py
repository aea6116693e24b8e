"""Receivers of events for tests: a real rsyslog, and stubs of protocols on the standard library's server, over TLS."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keten.drills.neighbours import until
from keten.keeper.certificates import create_authority, issue

START_SECONDS = 30.0


class Trust:
    """An authority and a certificate of it for this machine. `hosts`: the names in the certificate."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = create_authority("test")
        issued = issue(authority, hosts or ("localhost", "127.0.0.1"))
        self.ca, self.certificate, self.key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
        self.ca.write_bytes(authority.certificate)
        self.certificate.write_bytes(issued.certificate)
        self.key.write_bytes(issued.key)
        self.key.chmod(0o600)

    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.certificate, self.key)
        return made


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


_RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="raw" type="string" string="%msg%\\n")
action(type="omfile" file="{out}" template="raw" ioBufferSize="64k" flushOnTXEnd="{flush}")
"""


class Rsyslog:
    """rsyslogd, which writes each message's text as a line to `out`. Context manager.

    flush: whether each batch is written at once, as by default; otherwise it holds back a block of 64 KiB.
    """

    def __init__(self, folder: Path, trust: Trust, *, flush: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.out = folder / "received.jsonl"
        self._settings = folder / "rsyslog.conf"
        self._settings.write_text(
            _RSYSLOG.format(
                folder=folder,
                ca=trust.ca,
                certificate=trust.certificate,
                key=trust.key,
                port=self.port,
                out=self.out,
                flush="on" if flush else "off",
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"tls://localhost:{self.port}"

    def start(self) -> None:
        """Run, and wait until it listens."""
        pid = self.folder / "rsyslog.pid"
        pid.unlink(missing_ok=True)
        words = ["rsyslogd", "-n", "-f", str(self._settings), "-i", str(pid)]
        with (self.folder / "rsyslog.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        assert until(self._listens, START_SECONDS), (self.folder / "rsyslog.log").read_text()

    def _listens(self) -> bool:
        with socket.socket() as found:
            return found.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """SIGKILL: what is in its memory is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(START_SECONDS)

    def written(self) -> int:
        """Lines that it wrote."""
        return self.out.read_bytes().count(b"\n") if self.out.exists() else 0

    def events(self) -> list[dict[str, Any]]:
        """What it wrote: whole lines only, for one that was being written when it was killed is torn."""
        return lines(self.out)

    def uids(self) -> list[str]:
        return [event["metadata"]["uid"] for event in self.events()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


def lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file's lines; what is torn is passed over."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


class Asked:
    """A request that a stub got."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


Answer = tuple[int, bytes]


@contextmanager
def web(trust: Trust, answer: Callable[[Asked], Answer], port: int = 0) -> Iterator[str]:
    """An HTTPS server that answers as a function says; its address. A stub of a protocol, not a product."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer(Asked(self.path, dict(self.headers.items()), body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            del request, client_address

    server = Server(("127.0.0.1", port), Handler)
    server.socket = trust.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
