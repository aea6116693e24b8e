"""A provider that lies, hangs, leads elsewhere or floods, and people who play with what the browser carries."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey

from keten.drills.throwaway import Throwaway
from tests.functional import organisation as at
from tests.rogue import Rogue, dripping, endless, told
from tests.visitor import Answer, Visitor


class Work(msgspec.Struct):
    """The instance and the provider."""

    instance: Throwaway
    rogue: Rogue

    def visitor(self) -> Visitor:
        """A browser that nobody is signed in with."""
        return Visitor(self.instance.ready["console"])

    def come_back(self, visitor: Visitor, then: str = "/keys", *, issuer: str | None = None, **claims: Any) -> Answer:
        """Out, and back with a code for which the provider gives these claims."""
        asked = at.asked(at.out(visitor, then))
        self.rogue.nonce = asked["nonce"]
        self.rogue.claims = {"email": "anna@rijnstad.example"} | claims
        said = self.rogue.issuer if issuer is None else issuer
        return visitor.get(f"/sign-in/answer?code=c&state={asked['state']}&iss={said}", Accept_Language="en")

    def last_cause(self) -> str:
        """Why somebody was refused last, as the keeper's log has it."""
        (*_, line) = [one for one in self.instance.log().splitlines() if "provider refused" in one]
        return line.partition("refused: ")[2].partition(":")[0]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    with (
        Rogue() as rogue,
        at.instance(tmp_path_factory.mktemp("r"), rogue.issuer, 'acr = ["loa3"]\nmax_age = "1h"') as made,
    ):
        rogue.claims = {"acr": "loa3"}
        yield Work(made, rogue)


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("id-token-nonce", {"nonce": "another"}),
        ("id-token-audience", {"aud": "another"}),
        ("id-token-issuer", {"iss": "https://evil.example"}),
        ("id-token-expired", {"exp": 1_700_000_000}),
        ("id-token-acr", {"acr": "loa2"}),
        ("id-token-auth-time", {"auth_time": 1_700_000_000}),
        ("email-unverified", {"email_verified": None}),
        ("email-unverified", {"email_verified": "true"}),
        ("claim-missing", {"email": None}),
        ("claim-missing", {"email": ["anna@rijnstad.example"]}),
        ("claim-missing", {"email": "anna@rijnst\u00e4d.example"}),
        ("person-unknown", {"email": "anna@rijnstad.example "}),
        ("person-unknown", {"email": "dora@drukker.example"}),
    ],
)
def test_what_it_says_of_somebody_is_not_so(work: Work, cause: str, claims: dict[str, Any]) -> None:
    """Answered alike, whatever it was; the machine's log says which."""
    visitor = work.visitor()
    answer = work.come_back(visitor, **({"acr": "loa3"} | claims))
    assert answer.status == 403
    assert "Signing in did not work." in answer.text
    assert work.last_cause() == cause
    assert not at.signed_in(visitor)
    assert work.come_back(work.visitor(), acr="loa3").status == 200


def test_another_providers_answer_and_none_at_all(work: Work) -> None:
    """RFC 9207: the code is shown to nobody when the answer is not this provider's, or does not say whose it is."""
    before = len(work.rogue.forms)
    for issuer in ("https://evil.example", ""):
        assert work.come_back(work.visitor(), acr="loa3", issuer=issuer).status == 403
        assert work.last_cause() == "provider-mixed-up"
    assert len(work.rogue.forms) == before


def test_what_the_browser_carries_is_changed(work: Work) -> None:
    """No state, somebody else's, twice one thing, an error, no code, far too much: refused, and nothing is asked."""
    before = len(work.rogue.forms)
    own = work.visitor()
    state = at.asked(at.out(own))["state"]
    issuer = work.rogue.issuer
    for query in (
        f"code=c&iss={issuer}",
        f"code=c&iss={issuer}&state={'a' * 26}",
        f"code=c&code=d&iss={issuer}&state={state}",
        f"error=access_denied&iss={issuer}&state={state}",
        f"code={'c' * 5000}&iss={issuer}&state={state}",
    ):
        assert own.get(f"/sign-in/answer?{query}").status == 403
    assert len(work.rogue.forms) == before
    assert work.come_back(work.visitor(), acr="loa3").status == 200


def test_it_is_begun_by_a_page_of_this_site_and_leads_to_one(work: Work) -> None:
    """CSRF at signing in; an open redirect by `next`; nothing of a fragment, a host or a scheme gets through."""
    visitor = work.visitor()
    page = visitor.get("/en/sign-in")
    assert visitor.get("/en/sign-in/organisation").status in (404, 405)
    assert visitor.send("/en/sign-in/organisation", token="x" * 43, next="").status == 403
    foreign = Visitor(visitor.origin)
    foreign.cookies = visitor.cookies
    foreign.origin = "https://evil.example"
    assert foreign.send("/en/sign-in/organisation", token=page.token, next="").status == 403
    for wanted in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/%2f/evil",
        "javascript:x",
        "/a?b=//c",
    ):
        answer = work.come_back(work.visitor(), then=wanted, acr="loa3")
        assert (answer.status, answer.headers["refresh"]) == (200, "0; url=/en")
    csp = page.headers["content-security-policy"]
    assert "form-action 'self'" in csp
    assert "unsafe" not in csp


def test_a_new_key_is_looked_for_once_and_recorded(work: Work) -> None:
    """The provider took another key: found at once. For tokens that name made-up ones none are fetched for a while."""
    work.rogue.key = ECKey.generate_key("P-256", {"kid": "second"})
    assert work.come_back(work.visitor(), acr="loa3").status == 200
    fetched = work.rogue.asked.count("/keys")
    kept = work.rogue.key
    work.rogue.key = ECKey.generate_key("P-256", {"kid": "third"})
    assert work.come_back(work.visitor(), acr="loa3").status == 403
    assert work.last_cause() == "id-token-key"
    assert work.rogue.asked.count("/keys") == fetched
    work.rogue.key = kept
    assert work.come_back(work.visitor(), acr="loa3").status == 200
    taken = at.entries(work.instance, "identity.provider.keys_taken")
    assert [one["issuer"] for one in taken] == [work.rogue.issuer] * 2
    assert taken[0]["keys"] != taken[1]["keys"]


@pytest.mark.parametrize(
    "tell",
    [
        told(b'{"error": "invalid_client"}', 401),
        told(b"<html>", 200),
        told(b"{}", 200),
        told(b"", 302, Location="http://localhost:1/elsewhere"),
        told(b"", 503),
        endless,
        dripping,
    ],
    ids=["refuses", "html", "empty", "elsewhere", "down", "endless", "dripping"],
)
def test_its_token_endpoint_gives_no_token(work: Work, tell: Any) -> None:
    """That is nobody's failure to sign in: the page says that it is not available, in time."""
    work.rogue.said["/token"] = tell
    began = time.monotonic()
    answer = work.come_back(work.visitor(), acr="loa3")
    assert answer.status == 503
    assert "sign-in page" in answer.text
    assert time.monotonic() - began < 20
    del work.rogue.said["/token"]
    assert work.come_back(work.visitor(), acr="loa3").status == 200


def test_what_it_says_of_itself_is_no_use_and_then_is_again(work: Work) -> None:
    """Keys without an end, another issuer, a redirect, a clock: the keeper goes on, and tells operators what it is."""
    elsewhere = told(b"", 301, Location=f"{work.rogue.issuer}/keys")
    false = told(json.dumps({"issuer": "https://evil.example"}).encode())
    for path, tell, says in (
        ("/keys", endless, "longer than"),
        ("/keys", elsewhere, "answered 301"),
        ("/.well-known/openid-configuration", false, "calls itself"),
    ):
        work.rogue.said[path] = tell
        (problem,) = work.instance.run("provider", expect=1)["problems"]
        assert says in problem
        page = work.visitor().get("/en/sign-in")
        assert page.status == 200
        del work.rogue.said[path]
    work.rogue.date = "Sun, 29 Nov 2020 12:00:00 GMT"
    findings = {one["code"]: one["what"] for one in work.instance.run("doctor", expect=1)["findings"]}
    assert "its clock says 2020-11-29T12:00:00Z" in findings["provider"]
    assert {"provider-plain"} == {code for code in findings if code.startswith("provider-")}
    (problem,) = at.state(work.instance).problems
    assert problem.startswith("its clock says 2020-11-29T12:00:00Z")
    work.rogue.date = ""
    assert work.instance.run("provider")["problems"] == []
    assert work.come_back(work.visitor(), acr="loa3").status == 200


def test_ten_failures_in_a_row_and_the_network_waits(work: Work) -> None:
    """As with passkeys; the last test of this instance."""
    found: list[int] = []
    for _ in range(12):
        visitor = work.visitor()
        page = visitor.get("/en/sign-in")
        found.append(page.status)
        if page.status == 429:
            break
        visitor.get(f"/sign-in/answer?code=c&state={'a' * 26}")
    assert found[-1] == 429
    assert len(found) == 11
