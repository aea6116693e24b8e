"""A program that uses `/api` over real HTTP, as somebody with a passkey in software."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.authenticator import Authenticator
from tests.functional.staff import House


class Answer(msgspec.Struct, frozen=True):
    """One answer; body: its JSON."""

    status: int
    headers: dict[str, str]
    body: Any


class Program:
    """Somebody's program. site: the console's address; key: the passkey, for whoever has one."""

    def __init__(self, site: str, key: Authenticator | None = None) -> None:
        self._parts = urlsplit(site)
        self.key = key
        self.token = ""

    def ask(self, method: str, path: str, said: Any = None, *, raw: bytes | None = None, **headers: str) -> Answer:
        """Ask below `/api`. said: sent as JSON; raw: sent as it is."""
        body = raw if raw is not None else (json.dumps(said).encode() if said is not None else None)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        where = (self._parts.hostname or "", self._parts.port)
        with closing(http.client.HTTPConnection(*where, timeout=60)) as connection:
            connection.request(method, f"/api{path}", body, sent)
            answer = connection.getresponse()
            content = answer.read()
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                json.loads(content) if content else None,
            )

    def sign_in(self) -> Answer:
        """Sign in with the passkey."""
        assert self.key is not None
        begun = self.ask("POST", "/sign-in/begin").body
        signed = self.signature(begun)
        answer = self.ask("POST", "/sign-in", {"mark": begun["mark"], "passkey": signed})
        self.token = answer.body.get("token", "")
        return answer

    def signature(self, begun: dict[str, Any]) -> dict[str, Any]:
        """What the passkey makes of a ceremony."""
        assert self.key is not None
        response = json.loads(self.key.get(json.dumps(begun["options"])))
        return {"ceremony": begun["ceremony"], "response": response}

    def do(self, verb: str, act: dict[str, Any], *, confirm: bool = False, shown: Any = None) -> Answer:
        """A verb; with the passkey's signature for it. shown: what is signed for, in place of what is sent."""
        said: dict[str, Any] = {"act": act}
        if confirm:
            begun = self.ask("POST", "/step-up", {"verb": verb, "act": shown or act})
            if begun.status != 200:
                return begun
            said["passkey"] = self.signature(begun.body)
        return self.ask("POST", "/" + verb.replace(".", "/"), said)


def program(house: House, person: str) -> Program:
    """The program of one of the house's people, signed in."""
    made = Program(house.site, house.browser(person).key)
    assert made.sign_in().status == 200
    return made
