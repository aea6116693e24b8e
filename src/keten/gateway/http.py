"""HTTPS for suppliers: Starlette's routes, built from the table of operations. It translates, and decides nothing.

What a request proves goes to the keeper as it came; the address it is about is `public_url` and the path, never the
`Host` header.
"""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

import msgspec
from starlette import routing
from starlette.types import Receive, Scope, Send

from keten.core.clock import rfc3339
from keten.core.errors import KetenError
from keten.gateway.accesses import Accesses
from keten.gateway.call import NO_STORE, Call, ClientGone
from keten.gateway.health import Health
from keten.gateway.ledger_files import LedgerFiles
from keten.gateway.ledger_page import MAYBE, page
from keten.gateway.link import data_of
from keten.gateway.lookups import serve_lookup
from keten.gateway.more import serve_more
from keten.gateway.objects import serve_object
from keten.gateway.operations import HTTPS
from keten.gateway.problems import (
    Headers,
    Problem,
    challenge,
    prefers_dutch,
    problem_of,
)
from keten.keeper.protocol import Caller, HttpProof, Nothing, Share, ShareQuery, Shares, TokenGranted, TokenRequest

log = logging.getLogger(__name__)

MAX_FORM = 16 * 1024
PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
_LAST_US = 253_402_300_799_000_000  # the end of the year 9999
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")
_JSON = (b"content-type", b"application/json")

Handler = Callable[[Call], Awaitable[None]]


class Gateway:
    """What the routes do. `public_url`: what the outside calls this listener, without a trailing slash."""

    def __init__(self, accesses: Accesses, ledger: LedgerFiles, public_url: str) -> None:
        self._accesses = accesses
        self._ledger = ledger
        self._health = Health(lambda: accesses.link.call("keeper.health", Nothing()))
        self._url = public_url.rstrip("/")
        self._openapi = resources.files("keten.gateway").joinpath("openapi.json").read_bytes()

    # ---- signing in --------------------------------------------------------------------------------------------

    async def metadata(self, call: Call) -> None:
        """RFC 8414 authorization server metadata."""
        document = {
            "issuer": self._url,
            "token_endpoint": f"{self._url}/oauth/token",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["EdDSA"],
            "dpop_signing_alg_values_supported": ["EdDSA", "ES256"],
        }
        await call.answer(200, [_JSON, NO_STORE], msgspec.json.encode(document))

    async def token(self, call: Call) -> None:
        """RFC 6749 §4.4: an access token for a client that proves itself (RFC 7523) and a key (RFC 9449).

        1. The content is one form, each parameter once (§3.2).
        2. The grant and the kind of assertion are the ones that are known here.
        3. The keeper verifies assertion and proof, and records the token before it exists.
        """
        try:
            form = await self._form(call)  # 1
        except ValueError:
            await self._refuse_token(call, 400, "invalid_request", "the form is malformed, or has a parameter twice")
            return
        dpop = call.only(b"dpop") or ""
        if form.get("grant_type") != "client_credentials":  # 2
            known = "grant_type" not in form
            code = "invalid_request" if known else "unsupported_grant_type"
            await self._refuse_token(call, 400, code, "grant_type must be client_credentials")
            return
        if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
            await self._refuse_token(call, 401, "invalid_client", "private_key_jwt is needed (RFC 7523)")
            return
        if not dpop:
            await self._refuse_token(call, 400, "invalid_dpop_proof", "a DPoP proof is needed (RFC 9449)")
            return
        asked = TokenRequest(
            form.get("client_id", ""),
            form["client_assertion"],
            dpop,
            self._url,
            self._url + call.raw_path,
            call.connection.address,
            call.connection.direct,
        )
        try:
            granted: TokenGranted = await self._accesses.link.call("identity.token", asked)  # 3
        except KetenError as error:
            if error.category not in ("denied", "invalid"):
                raise
            await self._deny_token(call, error)
            return
        headers: Headers = [_JSON, NO_STORE, (b"keten-entry", granted.entry.encode("latin-1"))]
        if granted.nonce:
            headers.append((b"dpop-nonce", granted.nonce.encode("latin-1")))
        document = {
            "access_token": granted.access_token,
            "token_type": "DPoP",
            "expires_in": granted.expires_in,
        }
        await call.answer(200, headers, msgspec.json.encode(document))

    async def _form(self, call: Call) -> dict[str, str]:
        if call.header(b"content-encoding") is not None:
            raise Problem("media-type", headers=[(b"connection", b"close")])
        kind = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Problem("media-type", headers=[(b"connection", b"close")])
        content = await call.body(MAX_FORM)
        pairs = urllib.parse.parse_qsl(
            content.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32, errors="strict"
        )
        form = dict(pairs)
        if len(form) != len(pairs):
            raise ValueError("a parameter is there twice")
        return form

    async def _deny_token(self, call: Call, error: KetenError) -> None:
        data = data_of(error)
        if error.code == "use_dpop_nonce":
            extra: Headers = [(b"dpop-nonce", data.get("nonce", "").encode("latin-1"))]
            await self._refuse_token(call, 400, "use_dpop_nonce", error.public, extra)  # RFC 9449 §8
        elif data.get("proof") == "dpop":
            await self._refuse_token(call, 400, "invalid_dpop_proof", error.public, code=error.code)  # §5
        elif error.category == "invalid":
            await self._refuse_token(call, 400, "invalid_request", error.public)
        else:
            await self._refuse_token(call, 401, "invalid_client", error.public, code=error.code)

    async def _refuse_token(
        self, call: Call, status: int, error: str, text: str, extra: Headers | None = None, code: str = ""
    ) -> None:
        """RFC 6749 §5.2. `code`: Keten's own word for the reason (docs/formats/reasons.md)."""
        document = {"error": error, "error_description": text.encode("ascii", "replace").decode("ascii")}
        if code:
            document["code"] = code
        document["request_id"] = call.request_id
        headers: Headers = [_JSON, NO_STORE, *(extra or [])]
        if status == 401:
            headers += challenge()  # RFC 9110 §15.5.2: there is one in every 401
        await call.answer(status, headers, msgspec.json.encode(document))

    def _caller(self, call: Call) -> Caller:
        """What the request proves, for the keeper to verify. `Problem` when it claims to prove nothing."""
        authorization = call.only(b"authorization")
        dpop = call.only(b"dpop")
        if authorization is None:
            raise Problem("sign-in", headers=challenge())
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "dpop" or not token:
            # Also for Bearer: a token that is bound to a key is worth nothing without its proof (RFC 9449 §7.1).
            raise Problem("sign-in", "token-invalid", challenge("token-invalid"))
        if not dpop:
            raise Problem("sign-in", "proof-invalid", challenge("proof-invalid"))
        proof = HttpProof(token, dpop, call.method, self._url + call.raw_path)
        return Caller(call.connection.address, proof, None, call.connection.direct)

    # ---- what is shared ----------------------------------------------------------------------------------------

    async def shares(self, call: Call) -> None:
        """What the caller may see now, a page at a time; or one file of it, by its path or id."""
        query = call.query("cursor", "limit", "path", "object")
        asked = ShareQuery(self._caller(call), cursor=query.get("cursor", ""), limit=_limit(query))
        if "path" in query:
            folder, _, name = query["path"].removeprefix("/").rpartition("/")
            if "object" in query:
                raise Problem("malformed")
            if not folder or not name:
                raise Problem("not-found")
            asked = msgspec.structs.replace(asked, label=folder, name=name)
        elif "object" in query:
            asked = msgspec.structs.replace(asked, object=query["object"])
        found: Shares = await self._accesses.link.call("exchange.shares", asked)
        document = {"shares": [_share(one) for one in found.shares], "next": found.next or None}
        await call.answer(200, _recorded(found), msgspec.json.encode(document))

    async def share(self, call: Call) -> None:
        """One share, a page at a time."""
        query = call.query("cursor", "limit")
        asked = ShareQuery(
            self._caller(call), call.parameter("id"), cursor=query.get("cursor", ""), limit=_limit(query)
        )
        if not asked.share:
            raise Problem("not-found")
        found: Shares = await self._accesses.link.call("exchange.shares", asked)
        if not found.shares:
            raise Problem("not-found")
        document = _share(found.shares[0]) | {"next": found.next or None}
        await call.answer(200, _recorded(found), msgspec.json.encode(document))

    async def object(self, call: Call) -> None:
        """One object, or a range of it."""
        await serve_object(call, self._accesses, self._caller(call))

    async def lookup(self, call: Call) -> None:
        """Records of a table by their keys: one in the query, or a few in the content."""
        await serve_lookup(call, self._accesses.link, self._caller(call))

    async def more(self, call: Call) -> None:
        """What is left of a budget; or a request for more."""
        await serve_more(call, self._accesses.link, self._caller(call))

    # ---- public ------------------------------------------------------------------------------------------------

    async def openapi(self, call: Call) -> None:
        """The description of this interface."""
        await call.answer(200, [_JSON, (b"cache-control", b"max-age=300")], self._openapi)

    async def ledger(self, call: Call) -> None:
        """A file of the public tree (c2sp.org/tlog-tiles), or the page that says how to become a witness of it."""
        if not call.parameter("name"):
            await self._ledger_page(call)
            return
        found = await asyncio.to_thread(self._ledger.read, call.parameter("name"))
        if found is None:
            raise Problem("not-found")
        kind, caching, content = found
        await call.answer(200, [(b"content-type", kind), (b"cache-control", caching)], content)

    async def _ledger_page(self, call: Call) -> None:
        found = await asyncio.to_thread(self._ledger.read, "key.pub")
        if found is None:
            raise Problem("not-found")
        there = await asyncio.to_thread(self._ledger.there, MAYBE)
        dutch = prefers_dutch(call.header(b"accept-language") or "")
        headers: Headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-language", b"nl" if dutch else b"en"),
            (b"vary", b"accept-language"),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", PAGE_POLICY),
        ]
        await call.answer(200, headers, page(found[2].decode("utf-8", "replace").strip(), there, dutch=dutch))

    async def health(self, call: Call) -> None:
        """Whether requests can be served."""
        if not self._accesses.link.ready:
            raise Problem("unavailable")
        await self._health.check()
        await call.answer(200, [_JSON, NO_STORE], b'{"ready":true}')


class Endpoint:
    """A route's ASGI application: runs its handler and answers with a problem document when it fails."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = Call(scope, receive, send)
        try:
            _check_host(call)
            await self._handler(call)
        except ClientGone:
            return
        except Problem as problem:
            await _tell(call, problem)
        except KetenError as error:
            await _tell(call, problem_of(error))
        except Exception:
            log.exception("request %s failed", call.request_id)
            await _tell(call, Problem("internal"))


def _check_host(call: Call) -> None:
    """HTTP/1.1 needs exactly one Host (RFC 9112 §3.2), though nothing here believes it."""
    if call.scope["http_version"] == "1.1" and sum(name == b"host" for name, _value in call.headers) != 1:
        raise Problem("malformed")


async def _tell(call: Call, problem: Problem) -> None:
    """Say what went wrong; once content is on its way, only a reset says it."""
    if call.started:
        call.connection.cut("failed")
    else:
        await call.problem(problem)


class Route(routing.Route):
    """A route that says itself, as a problem document, that it does not know a method."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say which methods are known."""
        if self.methods and scope["method"] not in self.methods:
            allowed = (b"allow", ", ".join(sorted(self.methods)).encode("ascii"))
            await _refusing(Problem("method", headers=[allowed]))(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def build(gateway: Gateway) -> routing.Router:
    """The application: exactly the routes of the table of operations.

    Starlette's router without its application around it, whose layers catch what `Endpoint` has caught already. No
    redirects for slashes: they would be built from the Host header.
    """
    routes = [
        Route(one.path, Endpoint(getattr(gateway, one.handler)), methods=list(one.methods), name=one.name)
        for one in HTTPS
    ]
    for route, one in zip(routes, HTTPS, strict=True):
        route.methods = set(one.methods)  # Starlette adds HEAD by itself
    return routing.Router(routes, redirect_slashes=False, default=_refusing(Problem("not-found")))


def _refusing(problem: Problem) -> Endpoint:
    async def refuse(_call: Call) -> None:
        raise problem

    return Endpoint(refuse)


def _limit(query: dict[str, str]) -> int:
    """The most objects in a page; 0: as many as there may be. `Problem` when it is not a number above 0."""
    if "limit" not in query:
        return 0
    if not _NUMBER.match(query["limit"]):
        raise Problem("malformed")
    return int(query["limit"])


def _recorded(found: Shares) -> Headers:
    index = b"%d" % found.index
    return [_JSON, NO_STORE, (b"keten-entry", found.entry.encode("latin-1")), (b"keten-entry-index", index)]


def _share(share: Share) -> dict[str, Any]:
    return {
        "id": share.id,
        "form": share.form,
        "label": share.label,
        "purpose": share.purpose,
        "valid_until": rfc3339(min(share.valid_until_us, _LAST_US)),
        "objects": [
            {
                "id": one.id,
                "name": one.name,
                "size": one.size,
                "digest": one.digest,
                "media_type": one.media_type,
                "valid_until": rfc3339(min(share.valid_until_us, one.expires_us or _LAST_US, _LAST_US)),
            }
            for one in share.objects
        ],
        "upload_url": None,
    } | ({"key": share.key, "columns": list(share.columns)} if share.form == "lookup" else {})
