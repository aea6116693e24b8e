"""What `/api` reads of a request before it knows anybody: little."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from keten.api.web import MOST_BYTES, MOST_USUAL, Api
from keten.core.errors import Denied
from keten.keeper.people_protocol import Authorised, PersonView

PERSON = PersonView("p" * 26, "admin", "", "", "Rijnstad", ("administrator",), ())
TOKEN = f"{'s' * 26}.{'m' * 22}"


class Keeper:
    """Somebody is signed in; anything else that is asked is refused, and remembered."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, verb: str, _body: msgspec.Struct, _answer: type[Any]) -> Any:
        if verb == "people.authorise":
            return Authorised(PERSON, 2**50, 2**50)
        self.asked.append(verb)
        raise Denied("sign-in-failed", "No.")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/api/sign-in", MOST_USUAL, 400),
        ("/api/sign-in", MOST_USUAL + 1, 413),
        ("/api/rights/confirm_grants", MOST_USUAL + 1, 413),
        ("/api/suppliers/apply", MOST_USUAL + 1, 400),
        ("/api/suppliers/apply", MOST_BYTES + 1, 413),
        ("/api/step-up", MOST_USUAL + 1, 400),
    ],
)
def test_only_what_may_hold_an_estate_may_be_large(path: str, size: int, status: int) -> None:
    keeper = Keeper()
    client = TestClient(Api(keeper, lambda _request: "127.0.0.1"))
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    answer = client.post(path, content=b"[" + b" " * (size - 2) + b"]", headers=headers)
    assert answer.status_code == status
    assert keeper.asked == []
