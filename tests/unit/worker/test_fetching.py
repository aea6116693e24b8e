"""What the worker fetches for the keeper: whole, in time, of moderate size, from where it was asked, or not at all."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from keten.core.errors import Denied, KetenError, Unavailable
from keten.core.provider import Provider
from keten.core.settings import Settings
from keten.keeper.fetch_protocol import FETCH_SECONDS, MAX_BODY, Fetch, Fetched
from keten.worker.fetching import Fetching
from tests.receivers import Trust
from tests.rogue import Rogue, dripping, endless, told

NOBODY = cast("Any", None)  # the connection, which is not looked at


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    with Rogue() as made:
        yield made


def fetched(home: Path, issuer: str, *asked: Fetch, ca: str = "") -> list[Fetched | BaseException]:
    """Each at once."""
    fetching = Fetching(Settings(home=str(home), oidc=Provider(issuer=issuer, client_id="keten", ca=ca)))

    async def all_of_them() -> list[Fetched | BaseException]:
        return await asyncio.gather(*(fetching.fetch(NOBODY, one) for one in asked), return_exceptions=True)

    return asyncio.run(all_of_them())


def test_a_form_goes_by_post_with_its_header_and_no_redirect_is_followed(tmp_path: Path, rogue: Rogue) -> None:
    rogue.said["/here"] = told(b"", 302, Location=f"{rogue.issuer}/there")
    seen: list[str | None] = []

    def noting(request: Any) -> None:
        seen.append(request.headers["Authorization"])
        told(b"{}")(request)

    rogue.said["/form"] = noting
    (one, other) = fetched(
        tmp_path,
        rogue.issuer,
        Fetch(f"{rogue.issuer}/here?x=1"),
        Fetch(f"{rogue.issuer}/form", "a=b%20c", "Basic eA=="),
    )
    assert isinstance(one, Fetched)
    assert one.status == 302
    assert isinstance(other, Fetched)
    assert (other.status, other.kind, other.body, seen) == (200, "application/json", b"{}", ["Basic eA=="])
    assert rogue.forms == [{"a": "b c"}]
    assert "/there" not in rogue.asked


def test_too_much_too_slow_and_nobody_there(tmp_path: Path, rogue: Rogue) -> None:
    rogue.said |= {"/endless": endless, "/dripping": dripping, "/most": told(b" " * MAX_BODY)}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        began = time.monotonic()
        paths = [
            f"{rogue.issuer}/endless",
            f"{rogue.issuer}/dripping",
            f"http://localhost:{port}/",
            "http://localhost:1/",
        ]
        (most, *answers) = fetched(tmp_path, rogue.issuer, Fetch(f"{rogue.issuer}/most"), *map(Fetch, paths))
        assert time.monotonic() - began < 2 * FETCH_SECONDS
    assert isinstance(most, Fetched)
    for answer in answers:
        assert isinstance(answer, Unavailable)
        assert answer.code == "provider-unreachable"


def test_no_other_scheme_is_asked(tmp_path: Path) -> None:
    for url in ("http://login.example/x", "file:///etc/passwd", "ftp://login.example/", "//login.example", ""):
        (answer,) = fetched(tmp_path, "https://login.example", Fetch(url))
        assert isinstance(answer, Denied)


def test_a_certificate_of_somebody_else_is_no_provider(tmp_path: Path) -> None:
    """TLS is checked: against the machine's authorities, or the PEM that the settings name."""
    trust = Trust(tmp_path / "trust")
    context = trust.context()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://localhost:{listening.getsockname()[1]}"

        def serve() -> None:
            for _ in range(2):
                plain, _address = listening.accept()
                try:
                    with context.wrap_socket(plain, server_side=True) as line:
                        line.recv(4096)
                        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                except OSError:
                    plain.close()

        thread = threading.Thread(target=serve)
        thread.start()
        (unknown,) = fetched(tmp_path, url, Fetch(url + "/"))
        (known,) = fetched(tmp_path, url, Fetch(url + "/"), ca=str(trust.ca))
        thread.join()
    assert isinstance(unknown, KetenError)
    assert "CERTIFICATE_VERIFY_FAILED" in unknown.reason
    assert isinstance(known, Fetched)
    assert known.body == b"{}"
