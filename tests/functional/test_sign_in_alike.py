"""Whoever cannot sign in learns nothing from the console: known, unknown, ended, copied are all answered alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from keten.drills.throwaway import Throwaway
from keten.keeper import people_protocol as said
from tests.authenticator import Authenticator
from tests.visitor import Answer, Visitor

PEOPLE = ("whole", "wrong", "ended", "lost", "copied")
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
""" + "".join(f"  - {{id: {name}, email: {name}@rijnstad.example, roles: [auditor]}}\n" for name in PEOPLE)
FRESH = re.compile(r'(name="ceremony" value=|data-options=|data-lasts=|name="token" value=)"[^"]*"')


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    """An instance with people, each of whom has a passkey."""
    with Throwaway(tmp_path_factory.mktemp("a")) as made:
        made.up("--gateway", "off", "--sftp", "off")
        made.apply(ESTATE)
        yield made


def enrolled(instance: Throwaway, name: str) -> Visitor:
    """A person with a passkey, in a browser of its own."""
    visitor = Visitor(instance.ready["console"], agent=name)
    assert visitor.enrol(instance.run("person", "invite", name)["link"]).status == 303
    return visitor


def refused(visitor: Visitor, key: Authenticator, **lies: Any) -> tuple[int, dict[str, str], str]:
    """What is answered to somebody who is not signed in, without what is new in every answer."""
    stranger = Visitor(visitor.origin, key, agent="the same for all")
    answer = stranger.sign_in("/keys", **lies)
    assert not any(name.endswith("session") for name in stranger.cookies)
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status, headers, FRESH.sub(r'\1""', answer.text)


def test_every_failure_is_answered_alike(instance: Throwaway) -> None:
    """An unknown passkey, a wrong signature, another challenge, an ended person, an ended key, a copied one."""
    people = {name: enrolled(instance, name) for name in PEOPLE}
    site = people["whole"]

    instance.run("revoke", "person", "ended", "--reason", "left")
    lost = people["lost"]
    page = lost.get("/en/keys")
    more = Authenticator(lost.origin)
    begun = lost.send("/en/keys/add", token=page.token)
    name, options = begun.ceremony
    assert lost.send("/en/keys/added", token=begun.token, ceremony=name, response=more.create(options)).status == 303
    first = re.findall(r'name="key" value="([^"]+)"', lost.get("/en/keys").text)
    assert len(first) == 2
    lines = instance.run("person", "sessions", "lost")["keys"]
    oldest = min(lines, key=lambda line: int(line["added_us"]))["id"]
    assert lost.send("/en/keys/end", token=lost.get("/en/keys").token, key=oldest).status == 303
    copied = people["copied"].key
    assert people["copied"].sign_in().status == 303
    copied.counter = 0

    stranger = Authenticator(site.origin)
    stranger.user = people["wrong"].key.user
    answers = {
        "unknown": refused(site, stranger),
        "signature": refused(site, people["wrong"].key, signature=b"0" * 70),
        "challenge": refused(site, people["wrong"].key, challenge="AAAA"),
        "ended person": refused(site, people["ended"].key),
        "ended key": refused(site, lost.key),
        "copied key": refused(site, copied, counter=0),
    }
    status, _headers, text = answers["unknown"]
    assert (status, "Signing in did not work." in text) == (403, True)
    assert set(map(str, answers.values())) == {str(answers["unknown"])}, answers.keys()
    assert site.sign_in("/keys").place == "/en/keys"


def test_after_ten_failures_the_network_waits_whoever_it_is(instance: Throwaway) -> None:
    """Also a person with a whole passkey, and also at a link: nobody learns who exists by it."""
    found: list[Answer] = []
    stranger = Visitor(instance.ready["console"])
    for _ in range(11):
        found.append(stranger.get("/en/sign-in"))
        if found[-1].status != 200:
            break
        stranger.sign_in(page=found[-1])
    assert found[-1].status == 429
    assert "Signing in failed too often from your network." in found[-1].text
    assert stranger.get("/nl/enrol").status == 200
    page = stranger.send("/nl/enrol", token=stranger.get("/nl/enrol").token, secret="a" * 26)
    assert page.status == 429


def test_the_protocol_names_nobody_before_a_passkey_is_shown() -> None:
    """What a browser is given to sign in with is the same for everybody: no name is asked, no passkey is listed."""
    asked = {field.name for field in msgspec.structs.fields(said.SignInBegin)}
    assert asked == {"address", "browser"}
