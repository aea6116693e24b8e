"""An instance as a supplier's client may meet one: it checks proofs as Keten does, and misbehaves on request.

The ledger is a real one (`tests.unit.ledger.published_log`); only what is wrong with this side is made up.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.core.clock import wall_us
from keten.core.ids import encode_id, new_id
from keten.identity.assertions import check_assertion
from keten.identity.dpop import DpopProofs
from keten.identity.errors import Refused
from keten.identity.jws import encode_base64url
from keten.identity.keys import from_raw, okp_thumbprint
from keten.identity.nonces import Nonces
from keten.identity.tokens import token_hash
from keten.keeper.certificates import create_authority, issue
from keten.ledger.notes import Signer
from tests.unit.ledger.published_log import Log

CLIENT = encode_id(b"c" * 16)
OBJECT = encode_id(b"o" * 16)
CONTENT = bytes(range(256)) * 12_000  # 2.9 MiB


class OtherSide:
    """Serves on a free port. What it does wrong is set on it; `asked` has what came."""

    def __init__(self, folder: Path, client_key: Ed25519PrivateKey) -> None:
        self.folder = folder
        self.client_key = from_raw(client_key.public_key().public_bytes_raw())
        self.content = CONTENT
        self.name = "voters.csv"
        self.digest: str | None = None
        self.listed_digest: str | None = None
        self.cut_after: list[int] = []  # each download breaks after so many bytes
        self.statuses: list[int] = []  # each request for content is answered with this instead
        self.list_statuses: list[int] = []
        self.before: list[list[str]] = []  # names of other files, in pages that come before the one of `name`
        self.refusal = ""  # why no token is given
        self.honours_ranges = True
        self.wrong_range = False
        self.entry_header = True
        self.token_seconds = 300
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.log = Log(folder / "ledger", Signer("keten/other", Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)))
        self.log.grow([3])
        self.key = self.log.signer.verifier_key()
        self.told: tuple[str, int] | None = None  # entry and index to tell instead of the true ones
        self.publishes = True
        self._proofs = DpopProofs(Nonces(wall_us()))  # just started: it asks for nonces
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        authority = create_authority("other side")
        made = issue(authority, ("localhost", "127.0.0.1"))
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.certificate)
        (folder / "tls.pem").write_bytes(made.certificate)
        (folder / "tls.key").write_bytes(made.key)
        self.minimum, self.maximum = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3
        self.server: ThreadingHTTPServer | None = None
        self.url = ""
        self.issuer = ""

    # ---- running ---------------------------------------------------------------------------------------------

    def start(self, port: int = 0) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self.minimum, self.maximum
        context.load_cert_chain(self.folder / "tls.pem", self.folder / "tls.key")
        side = self

        class Handler(_Handler):
            other = side

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Broken connections are what this is for."""

            def finish_request(self, request: Any, client_address: Any) -> None:
                try:
                    wire = context.wrap_socket(request, server_side=True)
                except OSError:
                    return
                with wire:
                    super().finish_request(wire, client_address)

        self.server = Server(("127.0.0.1", port), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.issuer = self.issuer or self.url
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    # ---- what it knows ---------------------------------------------------------------------------------------

    def record(self) -> tuple[str, int]:
        """A new entry in the ledger; its id and index."""
        with self._lock:
            index = len(self.log.leaves)
            self.log.seal(index + 1)
            if self.publishes:
                self.log.publish(index + 1, self.log_published())
            return self.told or (self.log.ids[index], index)

    def log_published(self) -> int:
        published = self.log.publisher.published()
        return published.size if published else 0

    def own_digest(self) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(self.content).digest()).decode()}:"

    def paths(self, beginning: str = "") -> list[str]:
        return [path for path, _headers in self.asked if path.startswith(beginning)]

    # ---- what it answers -------------------------------------------------------------------------------------

    def token(self, form: dict[str, str], dpop: str) -> tuple[int, dict[str, str], Any]:
        now = wall_us()
        try:
            proof = self._proofs.check(dpop, "POST", self.issuer + "/oauth/token", now)
        except Refused as error:
            if error.code != "use_dpop_nonce":
                raise
            return 400, {"DPoP-Nonce": error.data["nonce"]}, {"error": "use_dpop_nonce"}
        self._proofs.use(proof, now)
        found = check_assertion(form["client_assertion"], CLIENT, self.issuer, (self.client_key,), now)
        if self.refusal or found.key is None:
            words = {"error": "invalid_client", "error_description": "Access has ended.", "code": self.refusal}
            return 401, {}, words | {"request_id": "r1"}
        token = f"token{len(self._tokens)}"
        self._tokens[token] = time.monotonic() + self.token_seconds
        return 200, {}, {"access_token": token, "token_type": "DPoP", "expires_in": self.token_seconds}

    def admit(self, path: str, headers: dict[str, str]) -> bool:
        """Whether the proof of a request holds."""
        token = headers.get("authorization", "").removeprefix("DPoP ")
        if self._tokens.get(token, 0) < time.monotonic():
            return False
        now = wall_us()
        thumbprint = okp_thumbprint(encode_base64url(self.client_key.raw))
        url = self.issuer + path.partition("?")[0]
        proof = self._proofs.check(headers["dpop"], "GET", url, now, token_hash(token), thumbprint)
        self._proofs.use(proof, now)
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    other: OtherSide

    def log_message(self, *_words: object) -> None:
        """Nothing."""

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # the library's name
        side = self.other
        side.asked.append((self.path, self._headers()))
        length = int(self.headers["Content-Length"])
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        status, headers, value = side.token(form, self.headers["DPoP"])
        self._json(status, value, headers)

    def do_GET(self) -> None:  # the library's name
        side = self.other
        side.asked.append((self.path, self._headers()))
        if self.path == "/.well-known/oauth-authorization-server":
            self._json(200, {"issuer": side.issuer, "token_endpoint": side.issuer + "/oauth/token"})
        elif self.path == "/ledger/key.pub":
            self._answer(200, side.key.encode() + b"\n", {})
        elif self.path.startswith("/ledger/"):
            file = side.log.root / self.path.removeprefix("/ledger/")
            if file.is_file():
                self._answer(200, file.read_bytes(), {})
            else:
                self._json(404, {"detail": "nothing"})
        elif not side.admit(self.path, self._headers()):
            self._json(401, {"detail": "Sign in.", "code": "token-expired"}, {"WWW-Authenticate": 'DPoP error="x"'})
        elif self.path.partition("?")[0] == "/v1/shares":
            self._shares({name: value for name, (value,) in parse_qs(self.path.partition("?")[2]).items()})
        elif self.path == f"/v1/objects/{OBJECT}":
            self._object()
        else:
            self._json(404, {"detail": "nothing"})

    def _shares(self, query: dict[str, str]) -> None:
        side = self.other
        if side.list_statuses:
            self._json(side.list_statuses.pop(0), {"detail": "Not now."}, {"Retry-After": "0"})
            return
        listed = {
            "id": OBJECT,
            "name": side.name,
            "size": len(side.content),
            "digest": side.listed_digest or side.own_digest(),
            "media_type": "text/csv",
        }
        if query.get("path", f"/cards/{side.name}") != f"/cards/{side.name}" or query.get("object", OBJECT) != OBJECT:
            self._json(404, {"detail": "nothing"})
            return
        pages = [[listed | {"id": new_id(), "name": name} for name in names] for names in side.before] + [[listed]]
        place = len(side.before) if "path" in query or "object" in query else int(query.get("cursor", "0"))
        following = str(place + 1) if place < len(side.before) else None
        share = {"id": "s", "form": "file", "label": "cards", "purpose": "cards", "valid_until": "2027-01-01T00:00:00Z"}
        self._json(200, {"shares": [share | {"objects": pages[place]}], "next": following})

    def _object(self) -> None:
        side = self.other
        if side.statuses:
            status = side.statuses.pop(0)
            self._json(status, {"detail": "Not now.", "request_id": "r2"}, {"Retry-After": "0"})
            return
        content, size = side.content, len(side.content)
        start, status = 0, 200
        asked = self.headers.get("Range", "")
        if asked and side.honours_ranges and self.headers.get("If-Range") == f'"{OBJECT}"':
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
        headers = {
            "ETag": f'"{OBJECT}"',
            "Repr-Digest": side.digest or side.own_digest(),
            "Content-Length": str(size - start),
        }
        if side.entry_header:
            entry, index = side.record()
            headers |= {"Keten-Entry": entry, "Keten-Entry-Index": str(index)}
        if status == 206:
            headers["Content-Range"] = f"bytes {start + (1 if side.wrong_range else 0)}-{size - 1}/{size}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        until = size
        if side.cut_after:
            until = min(size, start + side.cut_after.pop(0))
        self.wfile.write(content[start:until])
        if until < size:
            self.close_connection = True
            self.connection.close()
