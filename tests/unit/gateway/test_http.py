"""HTTPS as its clients meet it: refusals, shares, tokens and the public ledger."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from keten.core.errors import Busy, Denied, Unavailable
from keten.drills.supplier import Answer
from keten.gateway import health
from keten.keeper import protocol as said
from tests.unit.gateway.asking import get, in_thread, path_of
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import SHARE, Scene

JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

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


def test_healthy_is_what_the_keeper_says_it_is(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(health, "ASK_SECONDS", 0.2)

    async def testing(scene: Scene) -> None:
        async def stopped(_body: said.Nothing) -> msgspec.Struct:
            raise Unavailable("clock-jumped", "Nothing is served.")

        async def never(_body: said.Nothing) -> msgspec.Struct:
            await asyncio.sleep(60)
            return said.Nothing()

        assert (await get(scene, "/healthz")).status == 200
        for answering in (stopped, never):
            scene.keeper.verbs["keeper.health"] = answering
            answer = await get(scene, "/healthz")
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")

    serving(testing)


def test_many_who_ask_for_health_are_one_question(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 3600.0)

    async def testing(scene: Scene) -> None:
        answers = await asyncio.gather(*(get(scene, "/healthz") for _number in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert len(scene.keeper.bodies("keeper.health")) == 1

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
                "valid_until": "1970-01-01T00:00:00.000000Z",
            }
        ]
        one = await get(scene, f"/v1/shares/{share['id']}")
        assert one.json() == share | {"next": None}
        assert scene.keeper.bodies("exchange.shares")[1].share == share["id"]

    serving(testing)


@pytest.mark.parametrize("path", ["/v1/shares", f"/v1/shares/{SHARE}"])
def test_shares_a_page_at_a_time(serving: Serving, path: str) -> None:
    async def testing(scene: Scene) -> None:
        names = [scene.keeper.put(b"x", f"{n}.csv").info.name for n in range(5)]
        seen: list[list[str]] = []
        query = "?limit=2"
        while True:
            page = (await get(scene, path + query)).json()
            share = page["shares"][0] if "shares" in page else page
            seen.append([one["name"] for one in share["objects"]])
            if page["next"] is None:
                break
            query = f"?limit=2&cursor={page['next']}"
        assert seen == [names[:2], names[2:4], names[4:]]

    serving(testing)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {}),
        ("?", {}),
        ("?limit=7&cursor=a-_1", {"limit": 7, "cursor": "a-_1"}),
        ("?limit=999999999", {"limit": 999_999_999}),
        ("?other=1&other=2&Limit=3&%FF=%FF", {}),
        ("?path=/a/b.csv", {"label": "a", "name": "b.csv"}),
        ("?path=a%2Fb%20c+d%2B.csv", {"label": "a", "name": "b c d+.csv"}),
        ("?path=/%C3%A9/%F0%9F%9A%9A", {"label": "é", "name": "🚚"}),
        ("?path=/a/b/c", {"label": "a/b", "name": "c"}),
        ("?object=abc", {"object": "abc"}),
    ],
)
def test_what_a_query_asks_of_the_keeper(serving: Serving, query: str, asked: dict[str, Any]) -> None:
    async def testing(scene: Scene) -> None:
        async def answer(_body: said.ShareQuery) -> msgspec.Struct:
            return said.Shares("e" * 26, 7, (), 0)

        scene.keeper.verbs["exchange.shares"] = answer
        assert (await get(scene, f"/v1/shares{query}")).status == 200
        (body,) = scene.keeper.bodies("exchange.shares")
        fixed = {"caller": body.caller, "share": "", "label": "", "name": "", "object": "", "bare": False}
        assert msgspec.structs.asdict(body) == fixed | {"cursor": "", "limit": 0} | asked

    serving(testing)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *((f"limit={limit}", 400) for limit in ("", "0", "-1", "x", "1.5", "1e3", "%D9%A1", "1000000000", "+5", "05")),
        *((f"{name}=a&{name}=a", 400) for name in ("cursor", "limit", "path", "object")),
        *((f"{name}=", 400) for name in ("cursor", "path", "object")),
        *((f"{name}=%FF", 400) for name in ("cursor", "path", "object")),
        ("path=/a/b&object=c", 400),
        *((f"path={path}", 404) for path in ("/", "a", "/a", "/a/", "//b")),
    ],
)
def test_queries_that_are_refused_reach_no_keeper(serving: Serving, query: str, status: int) -> None:
    async def testing(scene: Scene) -> None:
        assert (await get(scene, f"/v1/shares?{query}")).status == status
        assert scene.keeper.bodies("exchange.shares") == []

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
        assert ("www-authenticate" in answer.headers) == (status == 401)
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
        none = ("secret", "witnessed", "tile/0/001", "tile/0/234", "../ca.pem", "tile/0/x001/../../../../ca.pem", "%00")
        for name in none:
            assert (await get(scene, f"/ledger/{name}")).status == 404, name
        assert (await get(scene, "/ledger/tile/0/000")).status == 500  # a link where a tile should be is damage
        (ledger / "witnessed").write_bytes(b"cosigned\n")
        assert (await get(scene, "/ledger/witnessed")).body == b"cosigned\n"

    serving(testing)


def test_the_page_for_witnesses(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        assert (await get(scene, "/ledger/")).status == 404  # there is no log yet
        (scene.home / "ledger").mkdir(exist_ok=True)
        (scene.home / "ledger" / "key.pub").write_text("keten/<b>+0a+x\n")
        for language, sentence in (("en", "How to become a witness"), ("nl", "Getuige worden")):
            answer = await get(scene, "/ledger/", {"Accept-Language": language})
            text = answer.body.decode()
            assert (answer.status, answer.headers["content-language"]) == (200, language)
            assert sentence in text
            assert "keten/&lt;b&gt;+0a+x" in text
            assert "<b>" not in text
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        named: tuple[str, ...] = ("checkpoint", "key.pub")  # only what there is: no link that leads nowhere
        for more in ("", "witnessed", "predecessors"):
            if more:
                (scene.home / "ledger" / more).write_text("there\n")
                named += (more,)
            links = re.findall('href="([^"]+)"', (await get(scene, "/ledger/")).body.decode())
            assert {link for link in links if "//" not in link} == set(named)

    serving(testing)
