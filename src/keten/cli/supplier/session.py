"""A signed-in client of one instance: proofs for each request, a token when one is needed, nonces when asked for."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec

from keten.cli.supplier.patience import patiently
from keten.cli.supplier.proofs import Prover
from keten.cli.supplier.wire import Wire
from keten.core.errors import Busy, Conflict, Corrupt, Denied, Invalid, KetenError, NotFound, Unavailable

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
METADATA = "/.well-known/oauth-authorization-server"  # RFC 8414 §3
MAX_ANSWER = 64 << 20
EARLY_SECONDS = 15.0  # a token is renewed so long before its end
ATTEMPTS = 4
SPENT = frozenset({"budget-spent", "guessing", "asked-often"})
"""What is refused with 429 and not over in a moment."""
CLOCK_SECONDS = 50.0  # proofs are good for a minute around their time


class Metadata(msgspec.Struct, frozen=True):
    """RFC 8414 metadata, as far as it is needed here."""

    issuer: str
    token_endpoint: str


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    token_type: str
    expires_in: float


class Answer(msgspec.Struct, frozen=True):
    """An answer read whole. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Session:
    """Makes requests as one client. Not for several threads at once.

    patience: for how many seconds `ask` and `fetch` try again what a moment later may work.
    """

    def __init__(self, wire: Wire, prover: Prover, patience: float = 0.0) -> None:
        self.wire = wire
        self._patience = patience
        self._prover = prover
        self._metadata: Metadata | None = None
        self._token = ""
        self._token_until = 0.0
        self._nonce = ""

    def metadata(self) -> Metadata:
        """Where to sign in; checked to be this very instance (RFC 8414 §3.3). Raises `Corrupt`, `Unavailable`."""
        if self._metadata is None:
            answer = self._public("GET", METADATA)
            if answer.status != HTTPStatus.OK:
                raise Unavailable(
                    "not-keten", f"{self.wire.url} is not a Keten instance, or not all of it.", str(answer.status)
                )
            try:
                found = msgspec.json.decode(answer.body, type=Metadata)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise Unavailable("not-keten", f"{self.wire.url} is not a Keten instance.", str(error)) from error
            if found.issuer != self.wire.url:
                raise Invalid(
                    "other-issuer", f"The instance calls itself {found.issuer}; sign in with that address instead."
                )
            if not found.token_endpoint.startswith(self.wire.url + "/"):
                raise Corrupt("token-endpoint", "The instance sends sign-ins elsewhere; nothing was sent there.")
            self._metadata = found
        return self._metadata

    def sign_in(self) -> None:
        """Get a token: RFC 6749 §4.4 with RFC 7523 and RFC 9449. Raises `Denied` with the reason's code."""
        metadata = self.metadata()
        path = metadata.token_endpoint.removeprefix(self.wire.url)
        answer = self._ask_token(metadata, path)
        if answer.status == HTTPStatus.BAD_REQUEST and _word(answer, "error") == "use_dpop_nonce":
            answer = self._ask_token(metadata, path)
        if answer.status != HTTPStatus.OK:
            raise _refused(answer)
        try:
            token = msgspec.json.decode(answer.body, type=_Token)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Unavailable("not-keten", "The instance's answer is not a token.", str(error)) from error
        if token.token_type.lower() != "dpop" or not token.access_token.isascii():
            raise Unavailable("not-keten", "The instance's answer is not a token bound to a key.")
        self._token = token.access_token
        self._token_until = time.monotonic() + token.expires_in - min(EARLY_SECONDS, token.expires_in / 4)

    def _ask_token(self, metadata: Metadata, path: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._prover.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._prover.assertion(metadata.issuer),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self._prover.proof("POST", metadata.token_endpoint, nonce=self._nonce),
        }
        answer = self._public("POST", path, headers, urlencode(form).encode())
        self._take_nonce(answer.headers)
        return answer

    def open(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """A signed-in request; the caller reads the body. Every status but a need for proof comes back as it is.

        1. A token that holds for a while; a new one when there is none.
        2. A proof about this request, with the newest nonce.
        3. Asked for a nonce, or the token is over: once more. Otherwise the refusal is final.

        Raises `Denied`, and `Broken` or `Unavailable` for the connection.
        """
        for attempt in range(ATTEMPTS):
            if not self._token or time.monotonic() >= self._token_until:  # 1
                self.sign_in()
            url = self.wire.url + path.partition("?")[0]
            proof = self._prover.proof(method, url, token=self._token, nonce=self._nonce)  # 2
            authorised = {"Authorization": f"DPoP {self._token}", "DPoP": proof} | dict(headers or {})
            response = self.wire.request(method, path, authorised, body)
            self._take_nonce({name.lower(): value for name, value in response.getheaders()})
            if response.status != HTTPStatus.UNAUTHORIZED:
                return response
            answer = read_whole(response)
            challenge = answer.headers.get("www-authenticate", "")
            if 'error="use_dpop_nonce"' not in challenge:  # 3
                if attempt:
                    raise _refused(answer)
                self._token = ""
        raise Denied("sign-in", "The instance keeps asking for another proof.")

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """A signed-in request whose answer, with content, is read whole. Raises what any other answer means."""

        def once() -> Answer:
            answer = read_whole(self.open(method, path, headers, body))
            if answer.status != HTTPStatus.OK:
                raise failed(answer)
            return answer

        return patiently(self._patience, once)

    def fetch(self, path: str) -> bytes | None:
        """A public file; None when it is not there. Raises `Unavailable`."""

        def once() -> bytes | None:
            answer = self._public("GET", path)
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            if answer.status != HTTPStatus.OK:
                raise failed(answer)
            return answer.body

        return patiently(self._patience, once)

    def _public(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        return read_whole(self.wire.request(method, path, headers or {}, body))

    def _take_nonce(self, headers: Mapping[str, str]) -> None:
        nonce = headers.get("dpop-nonce", "")
        if nonce and nonce.isascii() and len(nonce) <= 256:
            self._nonce = nonce


def read_whole(response: http.client.HTTPResponse) -> Answer:
    """An answer with its body. Raises `Broken`, `Unavailable` for one without end."""
    from keten.cli.supplier.wire import explained

    try:
        body = response.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise explained(error, "the instance", 443) from error
    if len(body) > MAX_ANSWER:
        raise Unavailable("answer-too-large", "The instance's answer has no end.")
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def failed(answer: Answer) -> KetenError:
    """The error that an answer means; of a 404, that there is nothing here for this client."""
    detail = _word(answer, "detail") or f"The instance answered with status {answer.status}."
    reason = f"request {_word(answer, 'request_id')}" if _word(answer, "request_id") else ""
    if answer.status == HTTPStatus.NOT_FOUND:
        return NotFound("absent", detail, reason)
    code = _word(answer, "code")
    if code in SPENT:  # it is not over in a moment
        return Denied(code, detail, reason)
    if answer.status == HTTPStatus.BAD_REQUEST:
        return Invalid(code or "malformed", detail, reason)
    if answer.status == HTTPStatus.CONFLICT:
        return Conflict(code or "conflict", detail, reason)
    busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
    error = Busy(code or "busy", detail, reason) if busy else Unavailable("instance", detail, reason)
    vars(error)["retry_after"] = answer.headers.get("retry-after", "")
    return error


def _refused(answer: Answer) -> KetenError:
    """The error of a refused sign-in."""
    code = _word(answer, "code") or _word(answer, "error") or "sign-in"
    if answer.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return failed(answer)
    text = _word(answer, "error_description") or _word(answer, "detail") or "The instance does not sign you in."
    off = _clock_off(answer)
    if abs(off) > CLOCK_SECONDS:
        text += f" This machine's clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}: set it right."
    return Denied(code, text, f"request {_word(answer, 'request_id')}" if _word(answer, "request_id") else "")


def _clock_off(answer: Answer) -> float:
    """By how many seconds our clock is ahead of the instance's."""
    try:
        return time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return 0.0


def _word(answer: Answer, name: str) -> str:
    """A text of an answer's JSON document, "" when it has none."""
    try:
        document: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    value = document.get(name) if isinstance(document, dict) else None
    return value[:500] if isinstance(value, str) else ""
