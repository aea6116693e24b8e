"""HTTPS as its clients meet it: routes, headers, conditions, problems, forms and limits."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import pytest

from keten.core.errors import Busy, Denied, Unavailable
from keten.core.settings import Limits, Listener
from keten.drills.supplier import Answer
from keten.gateway import server as server_module
from keten.keeper import protocol as said
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Content, Scene

T = TypeVar("T")
JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def in_thread(act: Callable[..., T], *arguments: Any, **options: Any) -> T:
    return await asyncio.to_thread(act, *arguments, **options)


async def get(scene: Scene, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    """A request with token and proof."""
    supplier = scene.supplier()
    return await in_thread(supplier.ask, method, path, supplier.authorised(method, path, headers))


def path_of(content: Content) -> str:
    return f"/v1/objects/{content.info.id}"


# ---- objects ------------------------------------------------------------------------------------------------------


def test_an_object_with_its_headers(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"a,b\n1,2\n", "kiezers – 2026.csv")
        answer = await get(scene, path_of(content))
        headers = answer.headers
        assert (answer.status, answer.body) == (200, content.plain)
        assert headers["content-type"] == "text/csv"
        assert headers["content-length"] == "8"
        assert headers["etag"] == f'"{content.info.id}"'
        assert headers["repr-digest"] == content.info.digest
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["keten-entry-index"] == "8"
        assert len(headers["keten-entry"]) == 26
        assert headers["content-disposition"] == (
            "attachment; filename=\"kiezers _ 2026.csv\"; filename*=UTF-8''kiezers%20%E2%80%93%202026.csv"
        )
        assert "server" not in headers

    serving(testing)


@pytest.mark.parametrize(
    "name", ['x"; filename="evil.exe', "a\\b", "naïve\u2028.csv", "%00", "'", ";", "\u202egpj.exe"]
)
def test_a_file_name_stays_inside_its_header(serving: Serving, name: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x", name)
        disposition = (await get(scene, path_of(content))).headers["content-disposition"]
        assert disposition.isascii()
        assert disposition.isprintable()
        assert disposition.count('"') == 2

    serving(testing)


@pytest.mark.parametrize("media_type", ["text/csv\r\nX: y", "text", "", "text/html; charset=x", "a/b c"])
def test_a_media_type_that_is_none_becomes_bytes(serving: Serving, media_type: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x", media_type=media_type)
        assert (await get(scene, path_of(content))).headers["content-type"] == "application/octet-stream"

    serving(testing)


def test_the_keeper_is_asked_about_the_public_address_whatever_the_host_says(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        supplier = scene.supplier()
        path = f"{path_of(content)}?a=1"
        headers = {
            "Authorization": "dpop a-token",
            "DPoP": "a-proof",
            "Host": "evil.example",
            "X-Forwarded-For": "1.1.1.1",
        }
        await in_thread(supplier.ask, "GET", path, headers)
        (asked,) = scene.keeper.bodies("exchange.open")
        proof = said.HttpProof("a-token", "a-proof", "GET", f"https://keten.example{path_of(content)}")
        assert asked == said.OpenObject(said.Caller("127.0.0.1", proof, None, True), content.info.id)

    serving(testing, gateway=Listener(public_url="https://keten.example/"))


def test_head_describes_and_delivers_nothing(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(3_000_000))
        answer = await get(scene, path_of(content), {"Range": "bytes=0-1"}, "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == "3000000"
        assert scene.keeper.bodies("exchange.open")[0].describe
        assert scene.keeper.bodies("exchange.delivered") == []

    serving(testing)


def test_what_the_client_has_is_not_sent_again(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x" * 100)
        answer = await get(scene, path_of(content), {"If-None-Match": f'"other", W/"{content.info.id}"'})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == f'"{content.info.id}"'
        assert scene.keeper.bodies("exchange.open")[0].describe
        assert (await get(scene, path_of(content), {"If-None-Match": '"other"'})).status == 200

    serving(testing)


@pytest.mark.parametrize(
    ("headers", "status", "first", "last"),
    [
        ({"Range": "bytes=0-9"}, 206, 0, 9),
        ({"Range": "bytes=1048570-1048585"}, 206, 1048570, 1048585),
        ({"Range": "bytes=2999990-"}, 206, 2999990, 2999999),
        ({"Range": "bytes=-5"}, 206, 2999995, 2999999),
        ({"Range": "bytes=-99999999"}, 206, 0, 2999999),
        ({"Range": "bytes=2999999-99999999"}, 206, 2999999, 2999999),
        ({"Range": "bytes=0-1,5-6"}, 200, 0, 2999999),
        ({"Range": "bytes=9-8"}, 200, 0, 2999999),
        ({"Range": "pages=1-2"}, 200, 0, 2999999),
        ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200, 0, 2999999),
        ({"Range": "bytes=0-9", "If-Range": "Sat, 01 Jan 2022 00:00:00 GMT"}, 200, 0, 2999999),
    ],
)
def test_ranges(serving: Serving, headers: dict[str, str], status: int, first: int, last: int) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(os.urandom(3_000_000))
        answer = await get(scene, path_of(content), headers)
        assert answer.status == status
        assert answer.body == content.plain[first : last + 1]
        if status == 206:
            assert answer.headers["content-range"] == f"bytes {first}-{last}/3000000"
        (delivered,) = await scene.keeper.heard("exchange.delivered")
        assert (delivered.sent, delivered.end) == (last - first + 1, "complete")

    serving(testing)


def test_if_range_of_our_own_resumes(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"0123456789")
        answer = await get(scene, path_of(content), {"Range": "bytes=5-", "If-Range": f'"{content.info.id}"'})
        assert (answer.status, answer.body) == (206, b"56789")

    serving(testing)


def test_bytes_that_are_not_there(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"0123456789")

        async def unsatisfiable(_body: said.OpenObject) -> msgspec.Struct:
            error = msgspec_error("range-unsatisfiable", {"size": "10", "entry": "e" * 26})
            raise error

        answer = await get(scene, path_of(content), {"Range": "bytes=-0"})
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10")
        assert scene.keeper.bodies("exchange.open")[0].describe
        scene.keeper.verbs["exchange.open"] = unsatisfiable
        answer = await get(scene, path_of(content), {"Range": "bytes=10-"})
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10")
        assert answer.headers["keten-entry"] == "e" * 26

    serving(testing)


def msgspec_error(code: str, data: dict[str, str]) -> Exception:
    from keten.core.errors import Invalid

    error = Invalid(code, "public")
    vars(error)["data"] = data
    return error


# ---- refusals -----------------------------------------------------------------------------------------------------


def test_absent_forbidden_malformed_and_unrouted_are_alike(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        answers = [
            await get(scene, path)
            for path in (
                "/v1/objects/" + "a" * 26,
                "/v1/objects/x",
                "/v1/objects/%2e%2e",
                "/v1/none",
                "/",
                "/v1/shares/",
            )
        ]
        documents = [json.loads(answer.body) for answer in answers]
        for document in documents:
            del document["instance"], document["request_id"]
        assert [answer.status for answer in answers] == [404] * len(answers)
        assert all(document == documents[0] for document in documents)
        varying = {"date", "x-request-id", "content-length"}
        headers = [{k: v for k, v in answer.headers.items() if k not in varying} for answer in answers]
        assert all(one == headers[0] for one in headers)

    serving(testing)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, None),
        ({"Authorization": "Bearer token", "DPoP": "p"}, "invalid_token"),
        ({"Authorization": "Basic dTpw", "DPoP": "p"}, "invalid_token"),
        ({"Authorization": "DPoP", "DPoP": "p"}, "invalid_token"),
        ({"Authorization": "DPoP token"}, "invalid_dpop_proof"),
    ],
)
def test_without_token_and_proof_nobody_is_asked(serving: Serving, headers: dict[str, str], error: str | None) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        answer = await in_thread(scene.supplier().ask, "GET", path_of(content), headers)
        assert answer.status == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("DPoP ")
        assert (f'error="{error}"' in challenge) if error else ("error=" not in challenge)
        assert scene.keeper.bodies("exchange.open") == []

    serving(testing)


@pytest.mark.parametrize("header", ["Authorization", "DPoP"])
def test_a_credential_that_is_sent_twice_is_malformed(serving: Serving, header: str) -> None:
    async def testing(scene: Scene) -> None:
        answer = await in_thread(
            scene.supplier().ask, "GET", "/v1/shares", {"Authorization": "DPoP t", "DPoP": "p", header.lower(): "again"}
        )
        assert answer.status == 400
        assert scene.keeper.bodies("exchange.shares") == []

    serving(testing)


def test_a_nonce_is_asked_for(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        async def ask(_body: said.OpenObject) -> msgspec.Struct:
            error = Denied("use_dpop_nonce", "public")
            vars(error)["data"] = {"nonce": "nonce-9"}
            raise error

        scene.keeper.verbs["exchange.open"] = ask
        answer = await get(scene, "/v1/objects/x")
        assert answer.status == 401
        assert answer.headers["dpop-nonce"] == "nonce-9"
        assert 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]

    serving(testing)


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [(Busy("too-many", "x"), 429, "1"), (Unavailable("disk-full", "x"), 503, "2")],
)
def test_later_is_said_with_when(serving: Serving, error: Exception, status: int, after: str) -> None:
    async def testing(scene: Scene) -> None:
        async def failing(_body: said.ShareQuery) -> msgspec.Struct:
            raise error

        scene.keeper.verbs["exchange.shares"] = failing
        answer = await get(scene, "/v1/shares", {"Accept-Language": "nl"})
        assert (answer.status, answer.headers["retry-after"]) == (status, after)
        assert answer.headers["content-language"] == "nl"

    serving(testing)


def test_without_a_keeper_everything_that_needs_it_is_unavailable(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        assert (await get(scene, "/healthz")).body == b'{"ready":true}'
        await scene.keeper.stop()
        while scene.gateway.link.ready:  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)
        for path in ("/v1/shares", "/v1/objects/x", "/v1/shares/x", "/healthz"):
            assert (await get(scene, path)).status == 503
        assert (await get(scene, "/openapi.json")).status == 200

    serving(testing)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/shares", "GET, HEAD"),
        ("DELETE", "/v1/objects/x", "GET, HEAD"),
        ("GET", "/oauth/token", "POST"),
        ("PUT", "/ledger/checkpoint", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused(serving: Serving, method: str, path: str, allowed: str) -> None:
    async def testing(scene: Scene) -> None:
        answer = await get(scene, path, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["type"] == "urn:keten:problem:method"

    serving(testing)


def test_one_clients_parallel_transfers_are_bounded(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        gate = asyncio.Event()
        answer = scene.keeper.verbs["exchange.open"]

        async def slow(body: said.OpenObject) -> msgspec.Struct:
            await gate.wait()
            return await answer(body)

        scene.keeper.verbs["exchange.open"] = slow
        running = [asyncio.ensure_future(get(scene, path_of(content))) for _ in range(3)]
        await scene.keeper.heard("exchange.open", 3)
        assert (await get(scene, path_of(content))).status == 429
        assert len(scene.keeper.bodies("exchange.open")) == 3, "the keeper is not asked, so no budget is charged"
        gate.set()
        assert [one.status for one in await asyncio.gather(*running)] == [200] * 3
        assert (await get(scene, path_of(content))).status == 200

    serving(testing, limits=Limits(parallel_per_client=3))


# ---- shares -------------------------------------------------------------------------------------------------------


def test_shares(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x", "a.csv")
        answer = await get(scene, "/v1/shares")
        (share,) = answer.json()["shares"]
        assert answer.json()["next"] is None
        assert answer.headers["keten-entry-index"] == "7"
        assert share["valid_until"] == "1970-01-01T00:00:00.000000Z"
        assert share["upload_url"] is None
        assert share["objects"] == [
            {
                "id": content.info.id,
                "name": "a.csv",
                "size": 1,
                "digest": content.info.digest,
                "media_type": "text/csv",
            }
        ]
        one = await get(scene, f"/v1/shares/{share['id']}")
        assert one.json() == share
        assert scene.keeper.bodies("exchange.shares")[1].share == share["id"]

    serving(testing)


# ---- tokens -------------------------------------------------------------------------------------------------------


async def ask_token(scene: Scene, form: bytes | dict[str, str], headers: dict[str, str] | None = None) -> Answer:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    fields = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": "proof"} | (headers or {})
    return await in_thread(scene.supplier().ask, "POST", "/oauth/token", fields, body)


FORM = {
    "grant_type": "client_credentials",
    "client_id": "c" * 26,
    "client_assertion_type": JWT,
    "client_assertion": "a.b.c",
}


def test_a_token(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        answer = await ask_token(scene, FORM)
        token = {"access_token": f"token-{'c' * 26}", "token_type": "DPoP", "expires_in": 300}
        assert (answer.status, answer.json()) == (200, token)
        assert answer.headers["dpop-nonce"] == "nonce-1"
        assert answer.headers["cache-control"] == "no-store"
        (asked,) = scene.keeper.bodies("identity.token")
        assert asked == said.TokenRequest(
            "c" * 26, "a.b.c", "proof", scene.url, f"{scene.url}/oauth/token", "127.0.0.1", True
        )
        metadata = (await get(scene, "/.well-known/oauth-authorization-server")).json()
        assert (metadata["issuer"], metadata["token_endpoint"]) == (scene.url, f"{scene.url}/oauth/token")

    serving(testing)


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        (FORM | {"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        ({}, {}, 400, "invalid_request"),
        (FORM | {"client_assertion": ""}, {}, 401, "invalid_client"),
        (FORM | {"client_assertion_type": "x"}, {}, 401, "invalid_client"),
        (FORM, {"DPoP": ""}, 400, "invalid_dpop_proof"),
        (b"grant_type=client_credentials&grant_type=client_credentials", {}, 400, "invalid_request"),
        (b"grant_type", {}, 400, "invalid_request"),
        (b"grant_type=%ff%fe", {}, 400, "invalid_request"),
        (b"grant_type=\xff", {}, 400, "invalid_request"),
        (b"&".join(b"a%d=1" % number for number in range(40)), {}, 400, "invalid_request"),
    ],
)
def test_a_request_for_a_token_that_is_wrong(
    serving: Serving, form: bytes | dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    async def testing(scene: Scene) -> None:
        answer = await ask_token(scene, form, headers)
        assert (answer.status, answer.json()["error"]) == (status, error)
        assert scene.keeper.bodies("identity.token") == []

    serving(testing)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Encoding": "gzip"}, b"a=b", 415),
        ({}, b"a=" + b"b" * 20_000, 413),
        ({}, b"a=" + b"b" * 2_000_000, 413),
    ],
)
def test_content_that_is_not_taken(serving: Serving, headers: dict[str, str], body: bytes, status: int) -> None:
    async def testing(scene: Scene) -> None:
        answer = await ask_token(scene, body, headers)
        assert (answer.status, answer.headers["connection"]) == (status, "close")

    serving(testing)


@pytest.mark.parametrize(
    ("code", "status", "error"), [("use_dpop_nonce", 400, "use_dpop_nonce"), ("client-ended", 401, "invalid_client")]
)
def test_a_token_that_the_keeper_refuses(serving: Serving, code: str, status: int, error: str) -> None:
    async def testing(scene: Scene) -> None:
        async def refuse(_body: said.TokenRequest) -> msgspec.Struct:
            denied = Denied(code, "Public.", "private")
            vars(denied)["data"] = {"nonce": "nonce-2"}
            raise denied

        scene.keeper.verbs["identity.token"] = refuse
        answer = await ask_token(scene, FORM)
        assert (answer.status, answer.json()["error"]) == (status, error)
        assert answer.headers.get("dpop-nonce") == ("nonce-2" if code == "use_dpop_nonce" else None)
        assert b"private" not in answer.body

    serving(testing)


# ---- the public ledger --------------------------------------------------------------------------------------------


def test_the_ledgers_files_and_no_others(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        ledger = scene.home / "ledger"
        (ledger / "tile" / "0" / "x001").mkdir(parents=True)
        (ledger / "tile" / "0" / "x001" / "234").write_bytes(b"tile")
        (ledger / "checkpoint").write_bytes(b"note\n")
        (ledger / "key.pub").write_bytes(b"key\n")
        (ledger / "secret").write_bytes(b"secret")
        (ledger / "tile" / "0" / "000").symlink_to(scene.home / "ca.pem")
        checkpoint = await get(scene, "/ledger/checkpoint")
        assert (checkpoint.status, checkpoint.body) == (200, b"note\n")
        assert checkpoint.headers["cache-control"] == "no-cache"
        assert (await get(scene, "/ledger/key.pub")).body == b"key\n"
        tile = await get(scene, "/ledger/tile/0/x001/234")
        assert (tile.status, tile.body) == (200, b"tile")
        assert "immutable" in tile.headers["cache-control"]
        for name in ("secret", "", "tile/0/001", "tile/0/234", "../ca.pem", "tile/0/x001/../../../../ca.pem", "%00"):
            assert (await get(scene, f"/ledger/{name}")).status == 404, name
        assert (await get(scene, "/ledger/tile/0/000")).status == 500  # a link where a tile should be is damage

    serving(testing)


# ---- hostile connections ------------------------------------------------------------------------------------------


def talk(scene: Scene, *said_bytes: bytes, wait: bool = True) -> bytes:
    """Say raw bytes over TLS, and hear everything until the end."""
    context = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
    _, _, where = scene.url.partition("//")
    host, _, port = where.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=host) as tls,
    ):
        for part in said_bytes:
            tls.sendall(part)
        heard = bytearray()
        while wait:
            data = tls.recv(65536)
            if not data:
                break
            heard += data
        return bytes(heard)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 400_000, 431),  # and never an end
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Z: folded\x00\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
    ],
)
def test_requests_that_break_a_limit_or_the_grammar(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: int
) -> None:
    monkeypatch.setattr(server_module, "_LINGER_SECONDS", 0.2)

    async def testing(scene: Scene) -> None:
        heard = await in_thread(talk, scene, request_bytes.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        assert heard.startswith(f"HTTP/1.1 {status} ".encode())
        head, _, body = heard.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status

    serving(testing)


def test_a_head_that_takes_too_long(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.1)

    async def testing(scene: Scene) -> None:
        assert (await in_thread(talk, scene, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert await in_thread(talk, scene) == b""  # nothing said at all
        assert await in_thread(talk, scene, b"\r\n\r\n\r\n") == b""

    serving(testing)


def test_an_idle_connection_is_closed(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        heard = await in_thread(talk, scene, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 200 ")

    serving(testing, limits=Limits(idle_seconds=1))


def test_pipelined_requests_are_answered_in_order_and_bounded(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        heard = await in_thread(talk, scene, one * 5 + last)
        assert [part[:3] for part in heard.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 5 + [b"404"]
        try:
            heard = await in_thread(talk, scene, one * 500)
        except OSError:
            heard = b""
        assert heard.count(b"HTTP/1.1 200") < 500

    serving(testing)


def test_what_is_not_tls_is_let_go(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        def plain() -> bytes:
            host, _, port = scene.url.partition("//")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                try:
                    return raw.recv(100)
                except ConnectionError:
                    return b""

        assert not (await in_thread(plain)).startswith(b"HTTP")
        old = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2

        def older() -> None:
            host, _, port = scene.url.partition("//")[2].rpartition(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                old.wrap_socket(raw, server_hostname=host)

        with pytest.raises((ssl.SSLError, ConnectionError)):
            await in_thread(older)
        assert (await get(scene, "/healthz")).status == 200

    serving(testing)


def test_connections_above_the_limit_are_refused_and_the_rest_served(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        host, _, port = scene.url.partition("//")[2].rpartition(":")
        held = [await in_thread(socket.create_connection, (host, int(port))) for _ in range(2)]
        while len(scene.gateway.connections) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        with pytest.raises((ssl.SSLError, ConnectionError)):  # one address may have half of four
            await in_thread(talk, scene, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        held.pop().close()
        while len(scene.gateway.connections) > 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        assert (await get(scene, "/healthz")).status == 200
        held.pop().close()

    serving(testing, limits=Limits(connections=4))


# ---- behind proxies -----------------------------------------------------------------------------------------------


def proxied(scene: Scene, head: bytes, content: Content) -> bytes:
    """A request through a proxy that says `head` first."""
    context = ssl.create_default_context(cafile=str(scene.home / "ca.pem"))
    host, _, port = scene.url.partition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.sendall(head)
        with context.wrap_socket(raw, server_hostname=host) as tls:
            lines = "Host: a\r\nAuthorization: DPoP t\r\nDPoP: p\r\nConnection: close\r\nX-Real: 192.0.2.9\r\n"
            tls.sendall(f"GET {path_of(content)} HTTP/1.1\r\n{lines}\r\n".encode())
            heard = b""
            while data := tls.recv(65536):
                heard += data
            return heard


V2 = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(
    ">BBH4s4sHH", 0x21, 0x11, 12, b"\xc0\x00\x02\x07", b"\x7f\x00\x00\x01", 1, 2
)


@pytest.mark.parametrize(
    ("proxy", "trusted", "head", "address", "direct"),
    [
        ("v2", "127.0.0.0/8", V2, "192.0.2.7", False),
        ("X-Real", "127.0.0.0/8", b"", "192.0.2.9", False),
        ("v2", "10.0.0.0/8", b"", "127.0.0.1", True),
        ("X-Real", "10.0.0.0/8", b"", "127.0.0.1", True),
        ("X-Other", "127.0.0.0/8", b"", "", False),
    ],
)
def test_who_is_asking_behind_a_proxy(
    serving: Serving, proxy: str, trusted: str, head: bytes, address: str, direct: bool
) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        assert b" 200 " in await in_thread(proxied, scene, head, content)
        caller = scene.keeper.bodies("exchange.open")[0].caller
        assert (caller.address, caller.direct) == (address, direct)

    serving(testing, gateway=Listener(proxy=proxy, trusted_proxies=(trusted,), public_url="https://keten.example"))


def test_a_trusted_proxy_that_says_nothing_of_its_client_is_not_served(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await in_thread(proxied, scene, b"", content)
        assert scene.keeper.bodies("exchange.open") == []

    settings = Listener(proxy="v2", trusted_proxies=("127.0.0.0/8",), public_url="https://keten.example")
    serving(testing, gateway=settings)
