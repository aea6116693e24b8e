"""A provider in this process that answers whatever a test wants: false tokens, no end, no answer, another place."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey

from tests.openid import CLIENT

Tell = Callable[[BaseHTTPRequestHandler], None]


class Rogue:
    """It serves at `http://localhost:PORT`. said: path → how it answers there in place of what it should.

    claims: of the next ID tokens, beside the usual ones; None takes one out. date: what its clock says, "" for now.
    """

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "first"})
        self.said: dict[str, Tell] = {}
        self.token: Callable[[dict[str, Any]], str] = self.signed
        self.nonce = ""
        self.claims: dict[str, Any] = {}
        self.forms: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.date = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def do_POST(self) -> None:
                outer._answer(self)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return outer.date or super().date_time_string(timestamp)

            def log_message(self, *_line: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def signed(self, claims: dict[str, Any]) -> str:
        """An ID token with its own key."""
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(path)
        if request.command == "POST":
            body = request.rfile.read(int(request.headers["content-length"])).decode()
            self.forms.append({name: value for name, (value,) in parse_qs(body).items()})
        (self.said.get(path) or self._usual(path))(request)

    def _usual(self, path: str) -> Tell:
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "s",
            "nonce": self.nonce,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "email_verified": True,
        }
        documents: dict[str, Any] = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            },
            "/keys": {"keys": [self.key.as_dict(private=False)]},
        }
        if path == "/token":
            claims = {name: value for name, value in (usual | self.claims).items() if value is not None}
            return told(
                json.dumps({"access_token": "a", "token_type": "Bearer", "id_token": self.token(claims)}).encode()
            )
        return told(json.dumps(documents[path]).encode()) if path in documents else told(b"", 404)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def told(body: bytes, status: int = 200, **headers: str) -> Tell:
    """Says that, whole."""

    def tell(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return tell


def endless(request: BaseHTTPRequestHandler) -> None:
    """A key set that goes on and on."""
    request.send_response(200)
    request.end_headers()
    try:
        request.wfile.write(b'{"keys": [')
        while True:
            request.wfile.write(b'{"kty": "oct"},' * 1000)
    except OSError:
        request.close_connection = True


def dripping(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then: a socket's own limit never ends that."""
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(120):
            request.wfile.write(b" ")
            time.sleep(0.25)
    except OSError:
        request.close_connection = True
