"""Objects over HTTPS: headers, conditions and ranges."""

from __future__ import annotations

import os

import msgspec
import pytest

from keten.core.settings import Listener
from keten.keeper import protocol as said
from tests.unit.gateway.asking import get, in_thread, path_of
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Scene

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
        lines = {"If-None-Match": '"other"', "if-none-match": f'"{content.info.id}"'}
        assert (await get(scene, path_of(content), lines)).status == 304, "two lines are one list"

    serving(testing)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_meant_for_another_version_is_not_served(serving: Serving, method: str) -> None:
    async def testing(scene: Scene) -> None:
        content = scene.keeper.put(b"x" * 100)
        own = f'"{content.info.id}"'
        for tag in ('"other"', f"W/{own}", f'"a{content.info.id}"'):
            answer = await get(scene, path_of(content), {"If-Match": tag, "Range": "bytes=0-1"}, method)
            assert answer.status == 412
            assert answer.headers["keten-entry"]
            assert scene.keeper.bodies("exchange.open")[-1].describe
        for tag in (own, "*", f'"other", {own}'):
            assert (await get(scene, path_of(content), {"If-Match": tag}, method)).status == 200
        assert (await get(scene, "/v1/objects/absent", {"If-Match": '"other"'}, method)).status == 404

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
        ({"Range": "bytes=0-1", "range": "bytes=5-6"}, 200, 0, 2999999),  # in two lines: also several
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
            error = msgspec_error("range-unsatisfiable", {"size": "10", "entry": "e" * 26, "index": "9"})
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
