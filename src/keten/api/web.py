"""`/api` as an application: who asks, which operation, what the keeper answers."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keten.api import problems, shapes
from keten.api.document import document
from keten.api.table import BY_VERB, OPERATIONS, Operation
from keten.core.errors import Denied, Invalid, KetenError
from keten.keeper.people_protocol import (
    Authorise,
    Authorised,
    Ceremony,
    Do,
    Done,
    Finished,
    PersonProof,
    SessionOpened,
    SignInBegin,
    SignOut,
    StepUpBegin,
)
from keten.pages.languages import preferred
from keten.pages.visits import Keeper

log = logging.getLogger(__name__)
MOST_BYTES = 8 * 1024 * 1024
"""Of a request's content that has an estate in it, of a large organisation."""
MOST_USUAL = 256 * 1024
"""Of any other's: reading megabytes of JSON keeps everybody waiting, and signing in is for whoever it is."""
_ESTATES = frozenset({"suppliers.apply", "step-up"})
PREFIX, DOCUMENT = "/api", "/openapi.json"
EVERYBODY = "own-keys"
"""The act of `identity/roles.py` that everybody who signs in here may do."""
_TOKEN = re.compile(r"(?i:bearer) ([A-Za-z0-9_-]{16,64})\.([A-Za-z0-9_-]{22})\Z")
_UNREADABLE = (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError, OverflowError)


class Asked(msgspec.Struct, frozen=True):
    """One request. proof: what it showed of who it is; None for whoever is not signed in. content: what was sent."""

    operation: Operation
    proof: PersonProof | None
    address: str
    content: Any

    @property
    def shown(self) -> PersonProof:
        """What it showed. Raises `Denied` ("session-ended")."""
        if self.proof is None:
            raise problems.nobody()
        return self.proof


class Api:
    """The application below `/api`. address: where a request came from."""

    def __init__(self, keeper: Keeper, address: Callable[[Request], str]) -> None:
        self._keeper = keeper
        self._address = address
        self._document = msgspec.json.encode(document())
        self._by_path: dict[str, dict[str, Operation]] = {}
        for one in OPERATIONS:
            self._by_path.setdefault(one.path, {})[one.method] = one
        self._own: dict[str, Callable[[Asked], Awaitable[msgspec.Struct]]] = {
            "sign-in.begin": self._sign_in_begin,
            "sign-in": self._sign_in,
            "me": self._me,
            "sign-out": self._sign_out,
            "step-up": self._step_up,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        response = await self._answered(request)
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""))
        try:
            return await self._serve(request)
        except KetenError as error:
            headers = {"allow": self._allowed(request)} if error.code == "method" else {}
            return problems.answer(error, language, headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception:
            log.exception("a request failed")
            return problems.answer(KetenError("page-failed", "Something went wrong here."), language)

    async def _serve(self, request: Request) -> Response:
        """One request.

        1. What is public: the document, and signing in.
        2. Everything else, and what is not there, is for whoever shows a token whose session holds.
        3. A path or method that is not there.
        4. The content, which has to be of the operation's type.
        5. The keeper is asked; it looks at the session, the role, and the passkey's signature.
        """
        path = _path(request)
        methods = self._by_path.get(path, {})
        operation = methods.get(request.method)
        if path == DOCUMENT and request.method == "GET":  # 1
            return Response(self._document, media_type="application/json")
        proof = proof_of(request)
        if not (operation and operation.public):  # 2
            if proof is None:
                raise problems.nobody()
            await self._keeper.call("people.authorise", Authorise(proof, EVERYBODY, quiet=True), Authorised)
        if operation is None:  # 3
            if methods or path == DOCUMENT:
                raise Invalid("method", "This address does not know that method.")
            raise problems.absent()
        content = await _content(request, operation)  # 4
        asked = Asked(operation, proof, self._address(request), content)
        own = self._own.get(operation.name)
        found = await (own(asked) if own is not None else self._do(asked))  # 5
        return Response(msgspec.json.encode(found), media_type="application/json")

    def _allowed(self, request: Request) -> str:
        path = _path(request)
        return ", ".join(sorted(self._by_path.get(path, {"GET": None})))

    # ---- operations ----------------------------------------------------------------------------------------------

    async def _sign_in_begin(self, asked: Asked) -> shapes.SignIn:
        mark = secrets.token_urlsafe(16)
        begun = await self._keeper.call("people.sign_in_begin", SignInBegin(asked.address, browser(mark)), Ceremony)
        return shapes.SignIn(mark, begun.id, msgspec.json.decode(begun.options), begun.expires_us)

    async def _sign_in(self, asked: Asked) -> shapes.SignedIn:
        said: shapes.Signed = asked.content
        finished = _finished(said.passkey, asked.address, browser(said.mark))
        opened = await self._keeper.call("people.sign_in", finished, SessionOpened)
        return shapes.SignedIn(f"{opened.session}.{said.mark}", opened.expires_us, opened.person)

    async def _me(self, asked: Asked) -> Authorised:
        return await self._keeper.call("people.authorise", Authorise(asked.shown, EVERYBODY), Authorised)

    async def _sign_out(self, asked: Asked) -> Done:
        return await self._keeper.call("people.sign_out", SignOut(asked.shown), Done)

    async def _step_up(self, asked: Asked) -> shapes.Ceremony:
        said: shapes.StepUp = asked.content
        operation = BY_VERB.get(said.verb)
        if operation is None or operation.asked is None:
            raise problems.absent()
        try:
            act: Any = msgspec.convert({"act": said.act}, operation.asked).act
            body = msgspec.msgpack.encode(operation.told(act))
        except _UNREADABLE as error:
            raise problems.refused("malformed", _where(error)) from error
        begun = await self._keeper.call("people.step_up_begin", StepUpBegin(asked.shown, said.verb, body), Ceremony)
        return shapes.Ceremony(begun.id, msgspec.json.decode(begun.options), begun.expires_us)

    async def _do(self, asked: Asked) -> msgspec.Struct:
        """A verb of the console. The very bytes that the keeper takes the hash of are made of what was sent."""
        operation, proof = asked.operation, asked.shown
        try:
            body = msgspec.msgpack.encode(operation.told(asked.content.act))
        except _UNREADABLE as error:
            raise problems.refused("malformed", _where(error)) from error
        signed = asked.content.passkey
        finished = _finished(signed, asked.address, proof.browser) if signed is not None else None
        answered: msgspec.Struct = await self._keeper.call(
            "people.do", Do(proof, operation.verb, body, finished), operation.answered
        )
        return answered


# ---- who asks, and what ------------------------------------------------------------------------------------------


def browser(mark: str) -> str:
    """What a session that was opened here is bound to: never the same as any browser's."""
    return hashlib.sha256(b"keten api\0" + mark.encode()).hexdigest()


def proof_of(request: Request) -> PersonProof | None:
    """What a request shows of who asks: `Authorization: Bearer <session>.<mark>`, once. Cookies count for nothing."""
    given = request.headers.getlist("authorization")
    found = _TOKEN.match(given[0]) if len(given) == 1 else None
    return PersonProof(found[1], browser(found[2])) if found else None


def _path(request: Request) -> str:
    return request.url.path.removeprefix(PREFIX)


async def _content(request: Request, operation: Operation) -> Any:
    """What was sent, of the operation's type. Raises `Invalid` ("media-type", "too-large", "malformed")."""
    if operation.asked is None:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise problems.refused("media-type", "Content is JSON: application/json.")
    most = MOST_BYTES if operation.name in _ESTATES else MOST_USUAL
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise problems.refused("too-large", f"At most {most} bytes are taken.")
    try:
        return msgspec.json.decode(bytes(body), type=operation.asked)
    except _UNREADABLE as error:
        raise problems.refused("malformed", _where(error)) from error


def _where(error: Exception) -> str:
    """What is malformed: of a validation the place and the types, which holds nothing that was sent."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "This is not the JSON that is taken here."


def _finished(passkey: shapes.Passkey, address: str, bound: str) -> Finished:
    try:
        response = msgspec.json.encode(passkey.response).decode()
    except _UNREADABLE as error:
        raise Denied("sign-in-failed", "The passkey's answer cannot be read.") from error
    return Finished(passkey.ceremony, response, address, bound)
