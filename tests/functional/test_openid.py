"""Staff sign in through a real OpenID Connect provider, at a real instance; what the register says counts, always."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from keten.drills.neighbours import until
from keten.drills.throwaway import Throwaway
from tests.functional import organisation as at
from tests.openid import PASSWORD, SECRET, Guest, Provider, Setup, free_port
from tests.visitor import Visitor

PEOPLE = {name: f"{name}@rijnstad.example" for name in at.STAFF} | {
    "dora": "dora@drukker.example",
    "stranger": "stranger@rijnstad.example",
    "upper": "Wim@Rijnstad.example",
}
OUR_OWN_ADDRESSES = "trust_email = true"  # Canaille does not say `email_verified`


class Work(msgspec.Struct):
    """The instance and the provider, at work."""

    instance: Throwaway
    provider: Provider

    def visitor(self) -> Visitor:
        """A browser that nobody is signed in with."""
        return Visitor(self.instance.ready["console"])

    def enter(self, user: str, then: str = "/keys") -> Visitor:
        """A browser in which somebody has come back from the provider."""
        visitor = self.visitor()
        at.back(visitor, Guest().sign_in(at.out(visitor, then), user))
        return visitor


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """By Keten's own key (`private_key_jwt`)."""
    folder, port = tmp_path_factory.mktemp("o"), free_port()
    issuer = f"http://localhost:{port}"
    more = f'name = "Rijnstad"\naudience = "{issuer}/oauth/token"\namr = ["pwd"]\n{OUR_OWN_ADDRESSES}'
    with at.instance(folder / "keten", issuer, more) as made:
        jwks = at.state(made).keys
        setup = Setup(f"{made.ready['console']}/sign-in/answer", PEOPLE, jwks)
        with Provider(setup, folder / "provider.log", port) as provider:
            yield Work(made, provider)


def test_out_and_back_and_in(work: Work) -> None:
    """To the page that was asked for; PKCE, a nonce and a state of its own each time; an entry that says how."""
    visitor = work.visitor()
    page = visitor.get("/nl/sign-in")
    assert "Inloggen met Rijnstad" in page.text
    url = at.out(visitor, "/ledger")
    said, again = at.asked(url), at.asked(at.out(work.visitor()))
    assert said["redirect_uri"] == f"{visitor.origin}/sign-in/answer"
    assert (said["code_challenge_method"], said["max_age"], said["scope"]) == ("S256", "43200", "openid email")
    for name in ("state", "nonce", "code_challenge"):
        assert len(said[name]) >= 26
        assert said[name] != again[name]
    before = len(at.entries(work.instance, "identity.person.signed_in"))
    answer = at.back(visitor, Guest().sign_in(url, "carla"))
    assert answer.status == 200, work.instance.log()
    assert answer.headers["refresh"] == "0; url=/en/ledger"
    assert visitor.get("/en/ledger").status == 200
    (entry,) = at.entries(work.instance, "identity.person.signed_in")[before:]
    carla = work.instance.ids["person"]["carla"]
    assert (entry["actor"], entry["method"], entry["passkey"]) == (f"person:{carla}", "provider", "")
    assert "rijnstad.example" not in json.dumps(entry)


def test_an_address_counts_whatever_its_capitals(work: Work) -> None:
    assert at.signed_in(work.enter("upper"))


@pytest.mark.parametrize("user", ["stranger", "dora"])
def test_nobody_is_made_by_signing_in(work: Work, user: str) -> None:
    """Neither somebody who is not in the register, nor a supplier's person: those have passkeys only."""
    visitor = work.visitor()
    answer = at.back(visitor, Guest().sign_in(at.out(visitor), user))
    assert answer.status == 403
    assert "Signing in did not work." in answer.text
    assert not at.signed_in(visitor)


def test_who_is_ended_is_out_at_once_and_stays_out(work: Work) -> None:
    inside = work.enter("gone")
    assert at.signed_in(inside)
    work.instance.run("revoke", "person", "gone", "--reason", "left")
    assert not at.signed_in(inside)
    assert not at.signed_in(work.enter("gone"))
    refusals = at.entries(work.instance, "identity.person.refused")
    mine = [one for one in refusals if work.instance.ids["person"]["gone"] in one["subjects"]]
    assert ("provider", ["person-ended"], True) in [(one["method"], one["reasons"], one["proven"]) for one in mine]


def test_what_came_back_counts_once_and_in_its_own_browser(work: Work) -> None:
    """A replayed answer; one that somebody else's browser is given (CSRF at signing in); one from nowhere."""
    visitor, other = work.visitor(), work.visitor()
    url = Guest().sign_in(at.out(visitor), "anna")
    other.get("/en/sign-in")
    assert at.back(other, url).status == 403
    assert not at.signed_in(other)
    assert at.back(visitor, url).status == 403  # it was used up by being shown elsewhere
    again = Guest().sign_in(at.out(visitor), "anna")
    assert at.back(visitor, again).status == 200
    assert at.back(visitor, again).status == 403
    assert at.back(work.visitor(), f"{visitor.origin}/sign-in/answer?code=a&state={'a' * 26}").status == 403
    assert at.signed_in(visitor)
    work.enter("anna")  # no ten failures in a row


def test_a_code_of_another_sign_in_is_of_no_use(work: Work) -> None:
    """Somebody's own `state` with a code that was made for another one: PKCE's verifier is not that one's."""
    victim, thief = work.visitor(), work.visitor()
    code = at.asked(Guest().sign_in(at.out(victim), "bert"))["code"]
    mine = at.asked(at.out(thief))["state"]
    issuer = work.provider.issuer
    answer = at.back(thief, f"{thief.origin}/sign-in/answer?code={code}&state={mine}&iss={issuer}")
    assert answer.status == 403
    assert not at.signed_in(thief)
    work.enter("anna")


def test_a_dangerous_act_takes_a_passkey_all_the_same(work: Work) -> None:
    """Nothing is ended by the provider's word, and no passkey is made by it; with a passkey both go on as ever."""
    visitor = work.enter("bert")
    keys = visitor.get("/en/keys")
    assert "You have no passkey here." in keys.text
    added = visitor.send("/en/keys/add", token=keys.token)
    assert (added.status, "fresh confirmation" in added.text) == (403, True)
    path = f"/en/suppliers/{work.instance.ids['supplier']['drukker']}/end"
    reason = {"reason": "the contract was ended"}
    asked = visitor.send(path, token=visitor.get(path).token, **reason)
    assert (asked.status, "you have none" in asked.text) == (403, True)
    bert = work.instance.ids["person"]["bert"]

    def refusals() -> list[list[str]]:
        found = at.entries(work.instance, "identity.person.refused")
        return [one["reasons"] for one in found if bert in one["subjects"]]

    assert until(lambda: ["no-passkey"] in refusals())

    with_key = Visitor(visitor.origin)
    assert with_key.enrol(work.instance.run("person", "invite", "bert")["link"]).status == 303
    asked = visitor.send(path, token=visitor.get(path).token, **reason)
    name, options = asked.ceremony
    shown = {"token": asked.token, "ceremony": name, "response": with_key.key.get(options)}
    assert visitor.send(f"{path}/done", **shown, **reason).status in (200, 303)
    (acted,) = at.entries(work.instance, "identity.person.acted")
    assert (acted["verb"], acted["subjects"]) == ("revocation.revoke", [bert])
    assert visitor.send("/en/keys/add", token=visitor.get("/en/keys").token).status == 200


def test_it_says_where_and_with_which_key_it_is_set_up(work: Work) -> None:
    found = at.state(work.instance)
    assert found.redirect_uris == (f"{work.instance.ready['console']}/sign-in/answer",)
    assert found.problems == ()
    (key,) = json.loads(found.keys)["keys"]
    assert (key["kty"], key["crv"], key["alg"], "d" in key) == ("EC", "P-256", "ES256", False)


@pytest.mark.slow
def test_by_a_secret_and_by_name_and_other_keys_meanwhile(tmp_path: Path) -> None:
    """A client secret from a file; `sub` is the name in the register; a provider that takes new keys is found out."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    more = f'claim = "sub"\nmatch = "name"\nsecret_file = "{secret}"\nmax_age = ""'
    with at.instance(tmp_path / "keten", issuer, more) as made:
        setup = Setup(f"{made.ready['console']}/sign-in/answer", PEOPLE)
        for _time in range(2):  # its own keys are others each time
            with Provider(setup, tmp_path / "provider.log", port):
                visitor = Visitor(made.ready["console"])
                answer = at.back(visitor, Guest().sign_in(at.out(visitor), "carla"))
                assert answer.status == 200, made.log()
                assert at.signed_in(visitor)
                nobody = Visitor(made.ready["console"])
                assert at.back(nobody, Guest().sign_in(at.out(nobody), "upper")).status == 403
        keys = [one["keys"] for one in at.entries(made, "identity.provider.keys_taken")]
        assert len(keys) == 2
        assert not set(keys[0]) & set(keys[1])
        secret.chmod(0o644)
        assert [one for one in at.state(made).problems if "chmod 600" in one]
        secret.chmod(0o600)
        assert [one for one in at.state(made).problems if "refused" in one.lower()]


@pytest.mark.slow
def test_required_methods_must_have_been_used(tmp_path: Path) -> None:
    """A password alone where the settings want more factors."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    more = f'amr = ["mfa"]\nsecret_file = "{secret}"\n{OUR_OWN_ADDRESSES}'
    with at.instance(tmp_path / "keten", issuer, more) as made:
        setup = Setup(f"{made.ready['console']}/sign-in/answer", PEOPLE)
        with Provider(setup, tmp_path / "provider.log", port):
            visitor = Visitor(made.ready["console"])
            assert at.back(visitor, Guest().sign_in(at.out(visitor), "anna", PASSWORD)).status == 403
            assert not at.signed_in(visitor)
        assert "id-token-amr" in made.log()
