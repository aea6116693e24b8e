"""What goes wrong, as RFC 9457 problem documents: one table from an error's category to its status."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from starlette.responses import Response

from keten.core.errors import Denied, Invalid, KetenError, NotFound
from keten.pages.problems import said
from keten.pages.words import Words

MEDIA_TYPE = "application/problem+json"
STATUS = {
    "denied": 403,
    "not-found": 404,
    "invalid": 400,
    "conflict": 409,
    "busy": 429,
    "unavailable": 503,
}
TITLES = {
    400: "The request is wrong",
    401: "Sign in",
    403: "This is not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not as things are now",
    413: "Too large",
    415: "This content is not taken here",
    429: "Too much at once",
    500: "Something went wrong here",
    503: "Not available now",
}
_SIGN_IN = frozenset({"session-ended", "sign-in-failed"})
_OWN = {"method": 405, "too-large": 413, "media-type": 415}
_FORM = frozenset({"malformed", *_OWN})
_RETRY = {429: "1", 503: "2"}


class Problem(msgspec.Struct, frozen=True, rename={"kind": "type"}):
    """A problem document (RFC 9457). code: stable, see docs/formats/reasons.md. request_id: names this one answer."""

    kind: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def absent() -> NotFound:
    """What is not there, and what is not for this person: one and the same answer (law 8)."""
    return NotFound("not-found", "It is not there, or not for you to see.")


def nobody() -> Denied:
    """Nobody is signed in."""
    return Denied("session-ended", "Sign in first.")


def refused(code: str, public: str) -> Invalid:
    """A request that is not well formed."""
    return Invalid(code, public)


def answer(error: KetenError, language: str, headers: dict[str, str] | None = None) -> Response:
    """The answer for an error. Who may not do something gets the answer for what is not there."""
    if error.code == "not-allowed" or (error.category == "not-found" and error.code != "not-found"):
        error = absent()
    status = _OWN.get(error.code) or STATUS.get(error.category, 500)
    if error.code in _SIGN_IN:
        status = 401
    # What is wrong with the form of a request is for whoever wrote the program, and in English.
    detail = error.public if error.code in _FORM else said(Words(language), error)
    document: dict[str, Any] = msgspec.to_builtins(
        Problem(f"urn:keten:problem:{error.category}", TITLES[status], status, detail, error.code, os.urandom(16).hex())
    )
    found = dict(headers or {})
    if status == 401:
        found["www-authenticate"] = "Bearer"
    if status in _RETRY:
        found["retry-after"] = _RETRY[status]
    return Response(msgspec.json.encode(document), status, found, MEDIA_TYPE)
