"""A real time-stamping authority for tests: OpenSSL's `openssl ts` behind a small HTTP server."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

_SETTINGS = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[stamping]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = stamping_settings
[stamping_settings]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/ca.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
"""


def _openssl(*words: str | Path) -> bytes:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True).stdout


class Authority:
    """An authority below `folder`: its root in `ca`. `answers`: whether it grants; `asked`: how often it was asked."""

    def __init__(self, folder: Path, name: str = "Authority of a test") -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.settings = folder / "openssl.cnf"
        self.settings.write_text(_SETTINGS.format(folder=folder, name=name))
        (folder / "serial").write_text("01\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", self.settings)
        _openssl("req", "-x509", *key, "-extensions", "ca", "-keyout", folder / "ca.key", "-out", self.ca)
        asking = ("-keyout", folder / "tsa.key", "-out", folder / "tsa.csr")
        _openssl("req", "-new", *key, "-subj", "/CN=Stamping", *asking)
        signing = ("-CA", self.ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "30")
        own = ("-extfile", self.settings, "-extensions", "stamping")
        _openssl("x509", "-req", "-in", folder / "tsa.csr", *signing, *own, "-out", folder / "tsa.pem")
        self.answers = True
        self.asked = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def stamp(self, query: bytes) -> bytes:
        """The response to a request, both in DER."""
        with self._lock:
            self.asked += 1
            question, reply = self.folder / "query", self.folder / "reply"
            question.write_bytes(query)
            settings = ("-config", self.settings, "-section", "stamping_settings")
            _openssl("ts", "-reply", *settings, "-queryfile", question, "-out", reply)
            return reply.read_bytes()

    def verify(self, note: Path, stamp: Path) -> bool:
        """Whether OpenSSL says that a stamp holds over a file."""
        words = ("ts", "-verify", "-data", note, "-in", stamp, "-CAfile", self.ca)
        done = subprocess.run(["openssl", *map(str, words)], check=False, capture_output=True)
        return done.returncode == 0

    @property
    def url(self) -> str:
        """Where it is asked."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}/tsr"

    def __enter__(self) -> Self:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                content = authority.stamp(query) if authority.answers else b"closed"
                self.send_response(200 if authority.answers else 503)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
