"""A supplier's system as a drill or a test needs it: signs in, lists and downloads over HTTPS, at any speed it likes.

Not the supplier's command (`keten get`): this one can also misbehave.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import time
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Answer:
    """One HTTP answer, read whole."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class SupplierSystem:
    """One client with one key. Speaks HTTP/1.1 over a TLS socket of its own, so that it sees what the wire does."""

    def __init__(self, url: str, ca: Path, client_id: str, key: Ed25519PrivateKey) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname or "", parts.port or 443
        self._tls = ssl.create_default_context(cafile=str(ca))
        self.client_id = client_id
        self.key = key
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._jwk = {"kty": "OKP", "crv": "Ed25519", "x": _b64(public)}
        self.token = ""
        self.nonce = ""

    # ---- proofs ----------------------------------------------------------------------------------------------

    def jwt(self, header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey | None = None) -> str:
        """A compact JWS with any header and claims (RFC 7515)."""
        signed = f"{_b64(_json(header))}.{_b64(_json(claims))}"
        return f"{signed}.{_b64((key or self.key).sign(signed.encode()))}"

    def assertion(self, **changes: Any) -> str:
        """A client assertion (RFC 7523); `changes` replace claims."""
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.url, "iat": now, "exp": now + 60}
        return self.jwt({"alg": "EdDSA", "typ": "JWT"}, claims | {"jti": _b64(os.urandom(16))} | changes)

    def proof(self, method: str, url: str, token: str = "", **changes: Any) -> str:
        """A DPoP proof (RFC 9449 §4.2); `changes` replace claims."""
        claims: dict[str, Any] = {"jti": _b64(os.urandom(16)), "htm": method, "htu": url, "iat": int(time.time())}
        if token:
            claims["ath"] = _b64(hashlib.sha256(token.encode()).digest())
        if self.nonce:
            claims["nonce"] = self.nonce
        return self.jwt({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": self._jwk}, claims | changes)

    # ---- the wire --------------------------------------------------------------------------------------------

    def connect(self, receive_buffer: int = 0) -> ssl.SSLSocket:
        """A fresh TLS connection; a small receive buffer makes a slow reader felt at once."""
        raw = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(60)
        try:
            raw.connect((self.host, self.port))
            return self._tls.wrap_socket(raw, server_hostname=self.host)
        except OSError:
            raw.close()
            raise

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with self.connect() as wire:
            response = self.send(wire, method, path, headers, body)
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def send(
        self, wire: ssl.SSLSocket, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> HTTPResponse:
        """Send a request and read the head of its answer; the body is the caller's to read."""
        fields = {"Host": f"{self.host}:{self.port}", "Connection": "close"} | (headers or {})
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        wire.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        response = HTTPResponse(wire, method=method)
        response.begin()
        return response

    def sign_in(self, assertion: str = "") -> Answer:
        """Ask for a token, with the nonce when one is asked for; keeps the token when it is given."""
        answer = self._ask_token(assertion)
        if answer.status != 200 and answer.json().get("error") == "use_dpop_nonce":
            answer = self._ask_token(assertion)
        if answer.status == 200:
            self.token = answer.json()["access_token"]
        return answer

    def _ask_token(self, assertion: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self.proof("POST", f"{self.url}/oauth/token"),
        }
        answer = self.ask("POST", "/oauth/token", headers, urlencode(form).encode())
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    def authorised(self, method: str, path: str, extra: dict[str, str] | None = None) -> dict[str, str]:
        """The headers of a signed-in request."""
        proof = self.proof(method, f"{self.url}{path.split('?', 1)[0]}", self.token)
        return {"Authorization": f"DPoP {self.token}", "DPoP": proof} | (extra or {})

    def get(self, path: str, extra: dict[str, str] | None = None, method: str = "GET") -> Answer:
        """A signed-in request, with the nonce when one is asked for."""
        answer = self.ask(method, path, self.authorised(method, path, extra))
        if answer.status == 401 and "dpop-nonce" in answer.headers:
            self.nonce = answer.headers["dpop-nonce"]
            answer = self.ask(method, path, self.authorised(method, path, extra))
        return answer

    def shares(self) -> list[dict[str, Any]]:
        """What may be fetched."""
        found: list[dict[str, Any]] = self.get("/v1/shares").json()["shares"]
        return found
