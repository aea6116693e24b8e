"""Signing in and out, and one's own keys: what the browser gets, what the keeper is asked, what strangers can't do."""

from __future__ import annotations

import re

import pytest

from keten.core.errors import Busy, Denied
from keten.pages.forms import MOST_BYTES, safe_next
from keten.pages.guard import HEADERS
from keten.pages.signing import OPEN, OWN
from tests.unit.pages.faces import HOSTILE, ORIGIN, SECRET, Answer, Browser, Told, browser

TOKEN = re.compile(r'name="token" value="([A-Za-z0-9_-]{43})"')


def token(answer: Answer) -> str:
    """The token of a page's forms."""
    found = set(TOKEN.findall(answer.text))
    assert len(found) == 1
    return str(found.pop())


def send(client: Browser, path: str, origin: str | None = ORIGIN, **fields: str) -> Answer:
    """A form, as a browser sends it."""
    headers = {} if origin is None else {"origin": origin}
    return client.send(path, fields, headers)


def signed_in(keeper: Told) -> Browser:
    """A browser that is signed in."""
    client = browser(keeper)
    given = token(client.get("/nl/sign-in"))
    assert send(client, "/nl/sign-in", token=given, ceremony="c", response="{}").status_code == 303
    return client


def test_signing_in_gives_a_cookie_that_only_this_host_gets() -> None:
    keeper = Told()
    client = browser(keeper)
    page = client.get("/nl/sign-in?next=/suppliers")
    assert 'data-passkey="get"' in page.text
    mark = page.headers["set-cookie"]
    assert mark.startswith("__Host-keten-browser=")
    answer = send(client, "/nl/sign-in", token=token(page), ceremony="c", response="{}", next="/suppliers")
    assert (answer.status_code, answer.headers["location"]) == (303, "/nl/suppliers")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-keten-session={SECRET};")
    for part in ("HttpOnly", "Path=/", "SameSite=strict", "Secure"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "Max-Age" not in cookie
    (_, begun), (_, finished) = keeper.asked
    assert begun.browser == finished.browser
    assert re.fullmatch(r"[0-9a-f]{64}", finished.browser)


def test_another_browser_is_another_one_to_the_keeper() -> None:
    keeper = Told()
    client = signed_in(keeper)
    client.get("/nl/keys")
    client.get("/nl/keys", headers={"user-agent": "other"})
    del client.cookies["__Host-keten-browser"]
    client.get("/nl/keys")
    shown = [body.proof.browser for verb, body in keeper.asked if verb == "people.authorise"]
    assert len(set(shown)) == 3


@pytest.mark.parametrize("path", [path for method, path, _name in (*OPEN, *OWN) if method == "POST"])
@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://console.gemeente.example", ORIGIN])
def test_a_form_of_a_stranger_does_nothing(path: str, origin: str | None) -> None:
    keeper = Told()
    client = signed_in(keeper)
    given = token(client.get("/nl/keys")) if origin != ORIGIN else "A" * 43
    before = len(keeper.asked)
    answer = send(client, f"/nl{path}", origin, token=given, secret="x", ceremony="c", response="{}", key="k")
    assert answer.status_code == 403
    assert len(keeper.asked) == before
    assert "set-cookie" not in answer.headers


def test_a_form_that_the_browser_says_is_from_elsewhere_does_nothing() -> None:
    keeper = Told()
    client = signed_in(keeper)
    given = token(client.get("/nl/keys"))
    for said in ("cross-site", "same-site", "none"):
        headers = {"origin": ORIGIN, "sec-fetch-site": said}
        assert client.send("/nl/keys/end", {"token": given, "key": "k"}, headers).status_code == 403
    assert "people.end_key" not in keeper.verbs()
    assert send(client, "/nl/keys/end", token=given, key="k").status_code == 303
    assert keeper.verbs()[-1] == "people.end_key"


def test_the_token_of_another_session_or_browser_does_nothing() -> None:
    keeper = Told()
    client, other = signed_in(keeper), browser(keeper)
    before = token(other.get("/nl/sign-in"))
    assert send(client, "/nl/keys/end", token=before, key="k").status_code == 403
    assert "people.end_key" not in keeper.verbs()


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
def test_what_is_no_form_is_refused(kind: str) -> None:
    client = signed_in(Told())
    answer = client.ask("POST", "/nl/sign-out", b"token=x", {"origin": ORIGIN, "content-type": kind})
    assert answer.status_code == 400


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%ff", b"\xff", b"x=" + b"y" * MOST_BYTES, b"&".join([b"a=1"] * 300)])
def test_a_form_that_cannot_be_read_is_refused(body: bytes) -> None:
    client = signed_in(Told())
    headers = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/nl/sign-out", body, headers).status_code == 400


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a//b",
        "/a/../b",
        "/%2fevil",
        "/a?b",
        "/a\n",
        "a",
        "/",
        " /a",
    ],
)
def test_nothing_leads_elsewhere_after_signing_in(wanted: str) -> None:
    assert safe_next(wanted, "/start") == "/start"
    client = browser(Told())
    given = token(client.get("/nl/sign-in"))
    answer = send(client, "/nl/sign-in", token=given, ceremony="c", response="{}", next=wanted)
    assert answer.headers["location"] == "/nl"


def test_whoever_is_not_signed_in_is_brought_to_where_one_signs_in() -> None:
    client = browser(Told())
    answer = client.get("/en/keys")
    assert (answer.status_code, answer.headers["location"]) == (303, "/en/sign-in?next=/keys")


def test_a_refused_passkey_opens_nothing_and_says_so_in_the_readers_language() -> None:
    keeper = Told()
    keeper.refuses["people.sign_in"] = Denied("proof-invalid", "No.", "why, for the operator alone")
    client = browser(keeper)
    answer = send(client, "/nl/sign-in", token=token(client.get("/nl/sign-in")), ceremony="c", response="{}")
    assert answer.status_code == 403
    assert "niet geldig" in answer.text
    assert "operator alone" not in answer.text
    assert "session" not in answer.headers.get("set-cookie", "")


def test_a_block_is_said_as_one() -> None:
    keeper = Told()
    keeper.refuses["people.sign_in_begin"] = Busy("too-many", "Try again later.")
    assert browser(keeper).get("/nl/sign-in").status_code == 429


def test_signing_out_takes_the_cookie_away_and_ends_the_session() -> None:
    keeper = Told()
    client = signed_in(keeper)
    answer = send(client, "/nl/sign-out", token=token(client.get("/nl/keys")))
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert keeper.verbs()[-1] == "people.sign_out"
    assert client.get("/nl/keys").status_code == 303


def test_one_button_signs_out_everywhere_else() -> None:
    keeper = Told()
    keeper.sessions = 2
    client = signed_in(keeper)
    page = client.get("/nl/keys")
    assert 'action="/nl/sessions/end-others"' in page.text
    answer = send(client, "/nl/sessions/end-others", token=token(page))
    assert (answer.status_code, answer.headers["location"]) == (303, "/nl/keys")
    verb, body = keeper.asked[-1]
    assert (verb, body.others, body.which) == ("people.sign_out", True, "")
    keeper.sessions = 1
    assert "end-others" not in client.get("/nl/keys").text


def test_an_address_is_led_to_the_name_that_passkeys_belong_to() -> None:
    client = browser(Told(), "http://localhost:8080")
    answer = client.get("/nl/sign-in", headers={"host": "127.0.0.1:8080"})
    assert (answer.status_code, answer.headers["location"]) == (303, "http://localhost:8080/nl/sign-in")


def test_a_link_shows_for_whom_it_is_only_after_its_secret() -> None:
    keeper = Told("Anna de Vries")
    client = browser(keeper)
    page = client.get("/en/enrol")
    assert "Anna" not in page.text
    assert keeper.asked == []
    answer = send(client, "/en/enrol", token=token(page), secret=" abc ")
    assert "Anna de Vries" in answer.text
    assert keeper.asked[0][1].token == "abc"
    assert 'data-passkey="create"' in answer.text
    made = send(client, "/en/enrol/key", token=token(answer), ceremony="c", response="{}")
    assert SECRET in made.headers["set-cookie"]


@pytest.mark.parametrize("language", ["nl", "en"])
def test_a_hostile_name_stays_text(language: str) -> None:
    client = signed_in(Told(HOSTILE))
    page = client.get(f"/{language}/keys")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert page.headers["strict-transport-security"]
