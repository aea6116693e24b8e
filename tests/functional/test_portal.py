"""People of suppliers at the portal, over the real processes: what they see, fetch, may not, and what is recorded."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from keten.drills.throwaway import Throwaway
from keten.keeper.certificates import create_authority, issue
from tests.authenticator import Authenticator
from tests.house import NAME, SCRIPT, House
from tests.town import UNWATCHED
from tests.visitor import Answer, Visitor

SHARE, OBJECT = re.compile(r"/en/shares/([a-z2-7]{26})"), re.compile(r"/en/objects/([a-z2-7]{26})")
@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("portal"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


@pytest.fixture(scope="module")
def contact(house: House) -> Visitor:
    return house.person("drukwerk-ops")


@pytest.fixture(scope="module")
def member(house: House) -> Visitor:
    return house.person("drukwerk-two")


def asked(visitor: Visitor, path: str) -> Answer:
    """A page, asked for by a person and not by a page that refreshes itself."""
    return visitor.get(path, Sec_Fetch_User="?1")


def words(page: Answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def share_of(visitor: Visitor, label: str) -> str:
    text = asked(visitor, "/en").text
    found = re.search(rf'/en/shares/([a-z2-7]{{26}})"><bdi>{label}', text)
    assert found is not None, label
    return found[1]


def object_of(visitor: Visitor, label: str = "election-cards") -> str:
    """A file in a share: the first by name."""
    return str(OBJECT.findall(visitor.get(f"/en/shares/{share_of(visitor, label)}").text)[0])


# ---- what a person sees and fetches --------------------------------------------------------------------------------


def test_a_person_sees_what_is_shared_and_how_long(house: House, member: Visitor) -> None:
    page = asked(member, "/en")
    text = words(page)
    assert page.status == 200
    assert "Gemeente Voorbeeld shares with Drukwerk BV" in text
    assert "100 of 100 records left today" in text
    assert "31 Dec 2099 23:00 UTC" in text
    assert "from NL only" in text
    assert 'href="/en/people"' not in page.text
    read = house.entries("identity.standing.read")[-1]
    assert read["details"]["open"] == 2
    assert read["actor"] == house.keten.ids["person"]["drukwerk-two"]


def test_a_download_goes_through_the_one_door(house: House, member: Visitor) -> None:
    found = object_of(member)
    answer, body = fetch(member, f"/en/objects/{found}")
    assert (answer.status, body) == (200, SCRIPT)
    opened = house.entries("exchange.object.opened")[-1]
    assert answer.headers["keten-entry"] == opened["id"]
    assert (opened["details"]["channel"], opened["actor"]) == ("portal", house.keten.ids["person"]["drukwerk-two"])
    assert opened["details"]["policies"]
    ended = delivered(house, opened["id"])
    assert (ended["bytes"], ended["details"]["end"]) == (len(SCRIPT), "complete")


def test_what_is_in_a_file_never_runs_and_its_name_is_only_a_name(member: Visitor) -> None:
    answer, _body = fetch(member, f"/en/objects/{object_of(member)}", Range="bytes=0-9")
    headers = answer.headers
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["x-content-type-options"] == "nosniff"
    disposition = headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert unquote(disposition.rpartition("filename*=UTF-8''")[2]) == NAME
    assert re.fullmatch(r'attachment; filename="[^"\\\r\n]*"; filename\*=UTF-8\'\'[!-~]*', disposition)


def test_a_download_is_resumed(member: Visitor) -> None:
    path = f"/en/objects/{object_of(member)}"
    first, part = fetch(member, path, Range="bytes=0-999999")
    assert (first.status, first.headers["content-range"]) == (206, f"bytes 0-999999/{len(SCRIPT)}")
    tag = first.headers["etag"]
    rest, more = fetch(member, path, Range="bytes=1000000-", If_Range=tag)
    assert (rest.status, part + more) == (206, SCRIPT)
    other, whole = fetch(member, path, Range="bytes=1000000-", If_Range='"another"')
    assert (other.status, whole) == (200, SCRIPT)


@pytest.mark.parametrize(
    ("ranges", "status"),
    [
        ("bytes=9-1", 200),
        ("bytes=0-1,5-9", 200),
        ("lines=0-5", 200),
        ("bytes=" + "9" * 300 + "-", 200),
        ("bytes=99999999999-", 416),
        ("bytes=-0", 416),
    ],
)
def test_nonsense_for_a_range(member: Visitor, ranges: str, status: int) -> None:
    answer, _body = fetch(member, f"/en/objects/{object_of(member)}", Range=ranges)
    assert answer.status == status


def test_a_head_gives_no_content_and_charges_nothing(house: House, member: Visitor) -> None:
    found = object_of(member, "letters")
    answer, body = fetch(member, f"/en/objects/{found}", "HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["content-length"]) == house.letters.stat().st_size
    described = house.entries("exchange.object.described")[-1]
    assert described["id"] == answer.headers["keten-entry"]
    assert "100 of 100 records left today" in words(asked(member, "/en"))


def test_a_budget_is_charged_and_the_page_says_what_is_left(house: House) -> None:
    third = house.person("drukwerk-three")
    found = object_of(third, "letters")
    assert fetch(third, f"/en/objects/{found}")[0].status == 200
    assert "40 of 100 records left today" in words(asked(third, "/en"))
    house.keten.run("put", "letters", str(second(house)))
    others = set(OBJECT.findall(third.get(f"/en/shares/{share_of(third, 'letters')}").text)) - {found}
    refused = third.get(f"/en/objects/{others.pop()}")
    assert refused.status == 429
    assert "There are more records in it than are left of the budget" in words(refused)


def second(house: House) -> Path:
    path = house.letters.with_name("more.csv")
    path.write_text("id\n" + "".join(f"{n}\n" for n in range(60, 120)))
    return path


def test_who_breaks_a_download_off_is_recorded_with_what_it_got(house: House, member: Visitor) -> None:
    path = f"/en/objects/{object_of(member)}"
    with closing(raw(member)) as connection:
        connection.request("GET", path, headers=cookies(member))
        answer = connection.getresponse()
        entry = answer.headers["keten-entry"]
        answer.read(1000)
        connection.sock.close()
        answer.close()
    ended = delivered(house, str(entry))
    assert ended["details"]["end"] in ("client-closed", "complete")


# ---- who may not ---------------------------------------------------------------------------------------------------


def test_without_a_session_one_is_brought_to_where_one_signs_in(house: House, member: Visitor) -> None:
    found, size = object_of(member), house.size()
    stranger = Visitor(house.portal)
    for path in ("/en", "/en/log", "/en/people", "/en/keys", f"/en/objects/{found}", f"/en/shares/{found}"):
        answer = stranger.get(path)
        assert (answer.status, answer.place.partition("?")[0]) == (303, "/en/sign-in"), path
    assert stranger.get(f"/en/objects/{found}", Range="bytes=1-").status == 403
    stolen = Visitor(house.portal, agent="another browser")
    stolen.cookies = dict(member.cookies)
    assert stolen.get("/en").status == 303
    assert house.entries("exchange.object.opened")[-1]["index"] < size


def test_a_member_has_no_people_to_look_after(house: House, member: Visitor) -> None:
    for path in ("/en/people", "/en/nothing"):
        assert member.get(path).status == 404
    token = asked(member, "/en/keys").token
    target = house.keten.ids["person"]["drukwerk-three"]
    for path in ("invite", "invited", "end", "ended"):
        answer = member.send(f"/en/people/{path}", token=token, person=target, reason="x", ceremony="c", response="{}")
        assert answer.status == 404, path
    assert not house.entries("identity.colleagues.read")


def test_staff_does_not_sign_in_here(house: House) -> None:
    page = Visitor(house.portal).open_link(house.link("dpo"))
    assert page.status == 403
    assert "data-passkey" not in page.text


def test_another_suppliers_objects_are_absent(house: House, member: Visitor) -> None:
    found, share = object_of(member), share_of(member, "letters")
    planner = house.person("planner")
    assert "election-cards" not in asked(planner, "/en").text
    size = house.size()
    absent = planner.get(f"/en/objects/{'a' * 26}")
    forbidden = planner.get(f"/en/objects/{found}")
    assert (absent.status, absent.text) == (forbidden.status, forbidden.text)
    assert absent.status == 404
    assert planner.get(f"/en/shares/{share}").status == 404
    assert house.entries("exchange.object.opened")[-1]["index"] < size


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_no_other_site_makes_a_browser_download(house: House, member: Visitor, site: str) -> None:
    path, size = f"/en/objects/{object_of(member)}", house.size()
    assert member.get(path, Sec_Fetch_Site=site).status == 403
    assert house.size() == size


@pytest.mark.parametrize("path", ["/people/invite", "/people/invited", "/people/end", "/people/ended"])
def test_a_foreign_form_does_nothing(house: House, contact: Visitor, path: str) -> None:
    person, token = house.keten.ids["person"]["drukwerk-three"], asked(contact, "/en/people").token
    fields = {"person": person, "reason": "x", "ceremony": "c" * 26, "response": "{}"}
    size = house.size()
    for origin, said_token in (("https://evil.example", token), (contact.origin, "x" * 43), ("null", token)):
        visitor = Visitor(house.portal)
        visitor.cookies, visitor.origin = dict(contact.cookies), origin
        assert visitor.send(f"/en{path}", token=said_token, **fields).status == 403
    assert house.size() == size


# ---- the log -------------------------------------------------------------------------------------------------------


def test_a_member_reads_its_own_log_and_a_contact_the_suppliers(contact: Visitor, member: Visitor) -> None:
    fetch(member, f"/en/objects/{object_of(member, 'letters')}")
    own = words(member.get("/en/log"))
    assert "your own accesses" in own
    assert "drukwerk-three" not in own
    assert "letters.csv" in own
    whole = words(contact.get("/en/log"))
    assert "of your organisation" in whole
    assert "drukwerk-two" in whole
    older = re.search(r"/en/log\?before=\d+", contact.get("/en/log").text)
    for nonsense in ("-5", "x", "9" * 40, "1e3"):
        assert contact.get(f"/en/log?before={nonsense}").status == 200
    assert contact.get("/en/log?before=0").text.count("<tr") == 0
    assert older is None or contact.get(older[0]).status == 200


def test_the_zone_of_the_device_is_used(house: House, member: Visitor) -> None:
    name = f"keten-{urlsplit(house.portal).port}-zone"
    for zone, shown in (("Asia/Tokyo", "Asia/Tokyo"), ("../../etc/passwd", "UTC"), ("", "UTC")):
        visitor = Visitor(house.portal)
        visitor.cookies = dict(member.cookies) | {name: zone}
        assert f"the device you signed in on: {shown}." in words(visitor.get("/en/log")), zone


# ---- a contact's people --------------------------------------------------------------------------------------------


def confirmed(contact: Visitor, page: Answer, path: str, **fields: str) -> Answer:
    """Go on with an act, with the contact's passkey."""
    name, options = page.ceremony
    return contact.send(path, token=page.token, ceremony=name, response=contact.key.get(options), **fields)


def test_a_contact_invites_and_ends_a_colleague(house: House, contact: Visitor) -> None:
    target = house.keten.ids["person"]["drukwerk-three"]
    listed = words(asked(contact, "/en/people"))
    assert "drukwerk-two" in listed
    assert "planner" not in listed
    assert "dpo" not in listed
    token = asked(contact, "/en/people").token
    taken = contact.send("/en/people/invite", token=token, person=target)
    assert taken.status in (200, 409)  # somebody with a passkey gets no link; who has none is asked to confirm
    page = contact.send("/en/people/end", token=token, person=target, reason="left the house")
    assert "left the house" in page.text
    other = confirmed(contact, page, "/en/people/ended", person=target, reason="another reason")
    assert other.status == 403, "the passkey signed for another act"
    page = contact.send("/en/people/end", token=token, person=target, reason="left the house")
    assert confirmed(contact, page, "/en/people/ended", person=target, reason="left the house").status == 303
    ended = house.entries("identity.person.ended")[-1]
    assert ended["actor"] == f"person:{house.keten.ids['person']['drukwerk-ops']}"
    acted = house.entries("identity.person.acted")[-1]
    assert acted["details"]["verb"] == "revocation.revoke"
    assert acted["index"] < ended["index"]


@pytest.mark.parametrize("who", ["planner", "dpo", "nobody"])
@pytest.mark.parametrize("path", ["/people/invite", "/people/end"])
def test_foreign_and_absent_people_are_alike(house: House, contact: Visitor, who: str, path: str) -> None:
    person = house.keten.ids["person"].get(who, "b" * 26)
    token = asked(contact, "/en/people").token
    answer = contact.send(f"/en{path}", token=token, person=person, reason="x")
    assert answer.status == 404
    assert person not in answer.text
    assert who not in answer.text


def test_a_contact_does_not_end_itself(house: House, contact: Visitor) -> None:
    own = house.keten.ids["person"]["drukwerk-ops"]
    token = asked(contact, "/en/people").token
    answer = contact.send("/en/people/end", token=token, person=own, reason="x")
    assert answer.status == 409
    assert not [one for one in house.entries("identity.person.ended") if own in one["subjects"]]


# ---- what changes meanwhile ----------------------------------------------------------------------------------------


def test_a_page_that_refreshes_itself_makes_no_entries_of_its_own(house: House, member: Visitor) -> None:
    asked(member, "/en")
    size = house.size()
    for _each in range(5):
        assert member.get("/en").headers["refresh"] == "10"
    assert house.size() == size
    assert "refresh" not in member.get("/en?refresh=off").headers


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


@pytest.mark.slow
def test_a_revocation_cuts_a_download_and_shows_on_the_page(own_house: House) -> None:
    member = own_house.person("drukwerk-two")
    share = share_of(member, "election-cards")
    assert "Open to you" in words(member.get("/en"))
    own_house.page.write_bytes(b"x" * 60_000_000)
    own_house.keten.run("put", "--replace", "voters", str(own_house.page))
    path = f"/en/objects/{object_of(member)}"
    with closing(raw(member)) as connection:
        connection.request("GET", path, headers=cookies(member))
        answer = connection.getresponse()
        entry = str(answer.headers["keten-entry"])
        answer.read(100_000)
        assert own_house.keten.command("revoke", "contract", "vwo-1", "--reason", "test").returncode == 0
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            answer.read()
    ended = delivered(own_house, entry)
    assert ended["details"]["end"] == "cut"
    page = words(member.get("/en"))  # as the browser does it: by itself
    assert "Nothing is open to you now." in page
    assert "election-cards" in page
    assert "closed" in page
    assert re.search(r"contract|revoked", page)
    gone = member.get(f"/en/shares/{share}")
    assert gone.status == 404
    assert "This is not open to you now." in words(gone)
    assert member.get(path).status == 404
    log = words(member.get("/en/log"))
    assert "cut off" in log


def test_whoever_is_ended_is_signed_out_and_a_keeper_that_is_away_is_said(own_house: House) -> None:
    contact, member = own_house.person("drukwerk-ops"), own_house.person("drukwerk-two")
    target = own_house.keten.ids["person"]["drukwerk-two"]
    new = own_house.keten.ids["person"]["drukwerk-three"]
    token = asked(contact, "/en/people").token
    page = contact.send("/en/people/invite", token=token, person=new)
    shown = confirmed(contact, page, "/en/people/invited", person=new)
    link = re.search(r'<code class="secret">([^<]+)</code>', shown.text)
    assert link is not None
    third = Visitor(own_house.portal, Authenticator(own_house.portal))
    assert third.enrol(link[1]).status == 303
    assert asked(third, "/en").status == 200
    page = contact.send("/en/people/end", token=token, person=target, reason="left")
    assert confirmed(contact, page, "/en/people/ended", person=target, reason="left").status == 303
    assert member.get("/en").status == 303
    keeper = own_house.keten.pid("keeper")
    os.kill(keeper, signal.SIGKILL)
    deadline = time.monotonic() + 60
    statuses = set[int]()
    while time.monotonic() < deadline and statuses != {200, 503}:
        statuses.add(asked(contact, "/en").status)
        assert statuses <= {200, 503}
        time.sleep(0.05)
    assert statuses == {200, 503}, "away it is said, and back the session holds"


# ---- where it may be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "bind", "code"),
    [
        ("", "0.0.0.0:0", "settings"),
        ('[portal]\npublic_url = "https://192.0.2.1:8444"\n', "127.0.0.1:0", "origin"),
        ('[portal]\npublic_url = "http://portal.example"\n', "127.0.0.1:0", "origin"),
        ('[portal]\ncertificate = "/absent"\ncertificate_key = "/absent"\n', "127.0.0.1:0", "certificate"),
    ],
)
def test_a_portal_at_which_nobody_could_sign_in_does_not_start(
    tmp_path: Path, settings: str, bind: str, code: str
) -> None:
    with Throwaway(tmp_path, settings=UNWATCHED + settings) as made:
        words = ("--gateway", "off", "--sftp", "off", "--console", "off", "--portal", bind)
        done = made.command("up", "--json", *words)
        said = json.loads(done.stdout.splitlines()[0])
        assert (said["ready"], said["code"]) == (False, code)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_it_speaks_https_and_keeps_its_cookies_to_itself(tmp_path: Path) -> None:
    authority = create_authority("test")
    issued = issue(authority, ("localhost",))
    certificate, key = tmp_path / "portal.pem", tmp_path / "portal.key"
    certificate.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    settings = f'[portal]\ncertificate = "{certificate}"\ncertificate_key = "{key}"\n'
    with Throwaway(tmp_path, settings=UNWATCHED + settings) as made:
        ready = made.up("--portal", "127.0.0.1:0")
        parts = urlsplit(ready["portal"])
        assert (parts.scheme, parts.hostname) == ("https", "localhost")
        context = ssl.create_default_context(cadata=authority.certificate.decode())
        with closing(http.client.HTTPSConnection("localhost", parts.port, context=context, timeout=60)) as asked_by:
            asked_by.request("GET", "/en/sign-in")
            answer = asked_by.getresponse()
            assert answer.status == 200
            assert "data-passkey" in answer.read().decode()
            cookie = str(answer.headers["set-cookie"])
            assert cookie.startswith(f"__Host-keten-{parts.port}-browser=")
            assert "Secure" in cookie
            assert "HttpOnly" in cookie
            assert answer.headers["strict-transport-security"]
        with closing(http.client.HTTPConnection("localhost", parts.port, timeout=60)) as plain:
            plain.request("GET", "/en/sign-in")
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                plain.getresponse()


# ---- helpers -------------------------------------------------------------------------------------------------------


class Got:
    """An answer's head."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}


def raw(visitor: Visitor) -> http.client.HTTPConnection:
    parts = urlsplit(visitor.origin)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)


def cookies(visitor: Visitor) -> dict[str, str]:
    kept = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    return {"Cookie": kept, "User-Agent": "visitor", "Sec-Fetch-Site": "same-origin"}


def fetch(visitor: Visitor, path: str, method: str = "GET", **headers: str) -> tuple[Got, bytes]:
    """A file."""
    with closing(raw(visitor)) as connection:
        said_too = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=cookies(visitor) | said_too)
        answer = connection.getresponse()
        return Got(answer), answer.read()


def delivered(house: House, opening: str) -> dict[str, Any]:
    """How an access ended, once that is recorded."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in house.entries("exchange.object.delivered"):
            if one["details"]["opening"] == opening:
                return one
        time.sleep(0.1)
    raise AssertionError("how it ended was not recorded")
