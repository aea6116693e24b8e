"""The portal's screens: which there are and who may see them, what they say of hostile names, what they keep."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any, TypeVar

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from keten.core.clock import wall_us
from keten.core.errors import Denied, KetenError, NotFound, Unavailable
from keten.core.settings import Listener, Settings
from keten.identity.roles import ACTS, STAFF, SUPPLIERS, acts_of
from keten.keeper.budget_protocol import BudgetLine, MoreState
from keten.keeper.people_protocol import Authorised, Ceremony, PersonProof, PersonView
from keten.keeper.portal_protocol import Colleague, Colleagues, OwnLogLine, OwnLogPage, Standing, StandingLine
from keten.keeper.protocol import LookedUp, MoreTold, ObjectInfo, Share, Shares
from keten.keeper.recovery_protocol import ApprovalLine, FreezeLine, Recoveries, RecoveryLine
from keten.pages.guard import Guard
from keten.pages.words import LANGUAGES
from keten.portal.kept import MOST, MOST_SECONDS, Kept
from keten.portal.site import MENU, origin_of
from keten.portal.web import build, screens
from tests.unit.pages.faces import HOSTILE, Browser

T = TypeVar("T")
ORIGIN = "https://portal.gemeente.example:8444"
SECRET = "s" * 26
MOMENT = "2026-11-29T12:00:00Z"
ID = "p" * 26
SETTINGS = Settings(portal=Listener(bind="127.0.0.1:0", public_url=ORIGIN))
SIGNED_IN = {"__Host-keten-8444-session": SECRET, "__Host-keten-8444-browser": "b" * 22}


def recoveries(name: str, now: int) -> Recoveries:
    """A case in each state, and a freeze."""
    approved = (ApprovalLine(name, "contact", now), ApprovalLine(name, "owner", now))
    line = RecoveryLine(
        id=ID,
        person=ID,
        person_name=name,
        supplier=ID,
        supplier_name=name,
        opened_by=name,
        opened_us=now,
        lapses_us=now,
        state="open",
        told=1,
        noticed=2,
        cool_us=1,
        ready_us=0,
        sent_us=now,
        ended_us=now,
        reduced_until_us=now,
        approvals=approved,
        act="a" * 64,
        able="contact",
    )
    states = ("open", "sent", "done", "vetoed", "lapsed")
    lines = tuple(msgspec.structs.replace(line, state=state) for state in states)
    waiting = msgspec.structs.replace(line, ready_us=now, able="")
    return Recoveries((*lines, waiting), (FreezeLine(name, now),), cut=True)


class Told:
    """The gateway as these screens know it: answers what the test put in, keeps what was asked."""

    def __init__(self, name: str = "mia", roles: tuple[str, ...] = ("contact",)) -> None:
        self.asked: list[str] = []
        self.given: list[str] = []
        self.forget: list[Any] = []
        self.refuses: dict[str, KetenError] = {}
        self.share: Share | None = None
        self._name = name
        self._person = PersonView(ID, name, "x" * 26, name, name, roles, acts_of(roles))

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        self.asked.append(verb)
        if verb in self.refuses:
            raise self.refuses[verb]
        act = getattr(body, "act", "")
        if act and act not in self._person.acts:
            raise Denied("not-allowed", "No.")
        name, now = self._name, wall_us()
        budget = (BudgetLine("day", 100, 0, 100, 0, "2026-11-30T00:00:00Z"),)
        lines = (
            StandingLine(ID, name, "file", name, "open", until_us=now, countries=("NL",), budget=budget),
            StandingLine("q" * 26, name, "file", name, "waiting", ("contract-not-started",), now, now),
            StandingLine("r" * 26, name, "file", name, "closed", ("revoked", "no-such-reason"), now),
        )
        found = ObjectInfo("o" * 26, name, 5, "sha-256=:AAAA:", "text/html", now)
        entry = OwnLogLine("e" * 26, 7, now, "exchange.object.delivered", name, name, name, "", ("revoked",), 5, "cut")
        other = OwnLogLine("f" * 26, 6, now, "some.new.kind", "", "", "", "deny", ())
        people = (
            Colleague(ID, name, ("contact",), 1, now),
            Colleague("q" * 26, name, ("member",), 0, 0, now),
            Colleague("r" * 26, name, ("member",), 0, 0, 0, now),
        )
        file = Share(ID, "file", name, name, now, (found,))
        answers: dict[type, object] = {
            Authorised: Authorised(self._person, now, now),
            Standing: Standing("e" * 26, 1, lines, "NL", 60_000_000),
            Shares: Shares("e" * 26, 1, (self.share or file,), 60_000_000, "next"),
            LookedUp: LookedUp("e" * 26, 1, ({name: name, "debt": None, "open": True, "number": 5},)),
            MoreTold: MoreTold("e" * 26, 1, budget, MoreState("m" * 26, "refused", 5, "day", MOMENT, why=name)),
            OwnLogPage: OwnLogPage("e" * 26, 1, (entry, other), 5, whole=True),
            Colleagues: Colleagues("e" * 26, 1, people, cut=True),
            Ceremony: Ceremony("c" * 26, "{}", now + 300_000_000),
            Recoveries: recoveries(name, now),
        }
        return answers[answer]  # type: ignore[return-value]  # by its own type

    def from_(self, _scope: Scope) -> tuple[str, bool]:
        return "192.0.2.1", True

    def when_changed(self, callback: Any) -> None:
        self.forget.append(callback)

    async def give(self, person: PersonProof, scope: Scope, _receive: Receive, send: Send) -> None:
        if "give" in self.refuses:
            raise self.refuses["give"]
        self.given.append(f"{person.session} {scope['path_params']['id']}")
        own = [(b"content-security-policy", b"default-src 'none'; sandbox"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b"<script>", "more_body": False})


def lookup(name: str = "register") -> Share:
    """A share of which records are looked up."""
    return Share(ID, "lookup", name, name, wall_us(), (), key=name, columns=(name,))


def browser(door: Told, *, signed_in: bool = True) -> Browser:
    found = Browser(build(SETTINGS, "127.0.0.1", ORIGIN, door), ORIGIN)
    found.cookies = dict(SIGNED_IN) if signed_in else {}
    return found


def routes() -> list[Route]:
    guard = build(SETTINGS, "127.0.0.1", ORIGIN, Told())
    assert isinstance(guard, Guard)
    app = guard._app
    assert isinstance(app, Starlette)
    assert all(isinstance(one, Route) for one in app.routes)
    return [one for one in app.routes if isinstance(one, Route)]


def test_every_route_is_in_a_table() -> None:
    """A new route has to be given its act in the table of screens, or its reason here."""
    from keten.pages import recovering, signing, static

    own = {(one.method, one.path) for one in screens(Told())} | {("GET", "/objects/{id}")}
    own |= {(method, path) for method, path, _handler in (*signing.OPEN, *signing.OWN, *recovering.OPEN)}
    expected = {(method, f"/{language}{path}") for method, path in own for language in LANGUAGES}
    expected |= {("GET", "/"), ("GET", "/enrol"), *(("GET", path) for path in recovering.LETTERS)}
    expected |= {("GET", f"/static/{name}") for name in (*static.TYPES, static.THEME)}
    found = {(method, one.path) for one in routes() for method in (one.methods or set()) - {"HEAD"}}
    assert found == expected


def test_every_act_is_of_suppliers_people_and_of_nobody_else() -> None:
    acts = {one.act for one in screens(Told())} | {act for act, _path, _text in MENU}
    for act in acts:
        assert set(ACTS[act]) <= set(SUPPLIERS), act


@pytest.mark.parametrize("role", [*SUPPLIERS, *STAFF])
def test_each_role_gets_the_screens_of_its_acts_alone(role: str) -> None:
    door = Told(roles=(role,))
    for one in screens(door):
        door.share = lookup() if one.path.endswith("/more") else None
        if one.method == "GET":
            path = one.path.replace("{share}", ID)
            status = browser(door).get(f"/en{path}", {"sec-fetch-user": "?1"}).status_code
            assert status == (200 if role in ACTS[one.act] else 404), one.path
        else:
            asked = list(door.asked)
            answer = browser(door).send(f"/en{one.path}", {"person": ID}, {"origin": ORIGIN})  # without a token
            assert answer.status_code == (403 if role in ACTS[one.act] else 404), one.path
            assert set(door.asked[len(asked) :]) <= {"people.authorise"}


@pytest.mark.parametrize("path", ["", f"/shares/{ID}", "/log", "/people", "/recoveries"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_are_only_names(language: str, path: str) -> None:
    page = browser(Told(HOSTILE)).get(f"/{language}{path}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "no-store" in page.headers["cache-control"]
    assert "script-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", [f"/shares/{ID}", f"/shares/{ID}/more"])
def test_hostile_names_of_a_lookup_are_only_names(path: str) -> None:
    door = Told(HOSTILE)
    door.share = lookup(HOSTILE)
    page = browser(door).get(f"/nl{path}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


def test_a_record_of_hostile_values_is_only_shown() -> None:
    door = Told(HOSTILE)
    visitor = browser(door)
    door.share = lookup()
    (token,) = set(re.findall(r'name="token" value="([^"]+)"', visitor.get(f"/en/shares/{ID}").text))
    answer = visitor.send(f"/en/shares/{ID}/lookup", {"token": token, "key": "1", "case": "C-1"}, {"origin": ORIGIN})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "no-store" in answer.headers["cache-control"]


def test_long_lists_are_told_a_page_at_a_time() -> None:
    visitor = browser(Told())
    share = visitor.get(f"/en/shares/{ID}")
    assert f'href="/en/shares/{ID}?cursor=next"' in share.text
    assert "To the first files" not in share.text
    assert "To the first files" in visitor.get(f"/en/shares/{ID}?cursor=next").text
    log = visitor.get("/en/log")
    assert 'href="/en/log?before=5"' in log.text
    assert "To the newest" in visitor.get("/en/log?before=5").text


def test_what_is_given_is_in_a_sandbox_and_never_a_page_of_the_portal() -> None:
    door = Told()
    answer = browser(door).get(f"/en/objects/{ID}")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert door.given == [f"{SECRET} {ID}"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_nothing_is_given_to_another_sites_page(site: str) -> None:
    door = Told()
    assert browser(door).get(f"/en/objects/{ID}", {"sec-fetch-site": site}).status_code == 403
    assert not door.given


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("absent", "There is nothing here."), 404),
        (Denied("budget-step-up", "x"), 403),
        (Unavailable("keeper-unreachable", "x"), 503),
        (Denied("session-ended", "x"), 303),
    ],
)
def test_what_goes_wrong_before_the_first_byte_is_a_page(error: KetenError, status: int) -> None:
    door = Told()
    door.refuses["give"] = error
    answer = browser(door).get(f"/nl/objects/{ID}")
    assert answer.status_code == status
    if status == 303:
        assert answer.headers["location"].startswith("/nl/sign-in")
        going_on = browser(door).get(f"/nl/objects/{ID}", {"range": "bytes=5-"})
        assert going_on.status_code == 403, "a browser would keep the page of signing in as the file"


def test_what_breaks_here_is_said_and_nothing_of_it() -> None:
    door = Told()
    door.refuses["portal.log"] = Unavailable("keeper-unreachable", "x")
    assert browser(door).get("/en/log").status_code == 503
    assert browser(door, signed_in=False).get("/en/log").status_code == 303


# ---- what a page that refreshes itself shows again -----------------------------------------------------------------


def test_a_page_that_refreshes_itself_asks_once() -> None:
    door = Told()
    visitor = browser(door)
    for _each in range(3):
        assert visitor.get("/en").headers["refresh"] == "10"
    assert door.asked.count("portal.standing") == 1
    visitor.get("/en", {"sec-fetch-user": "?1"})
    assert door.asked.count("portal.standing") == 2, "a person asks"
    for callback in door.forget:
        callback()
    visitor.get("/en")
    assert door.asked.count("portal.standing") == 3, "something changed"
    assert door.asked.count("people.authorise") == 5, "whether the session holds is asked each time"


def test_kept_answers_end() -> None:
    now = [0.0]
    kept = Kept[str](lambda: now[0])
    kept.put("a", "told", kept.changes, 5_000_000)
    assert kept.get("a") == "told"
    now[0] = 4.9
    assert kept.get("a") == "told"
    now[0] = 5.0
    assert kept.get("a") is None
    kept.put("a", "told", kept.changes, 10**15)
    now[0] += MOST_SECONDS
    assert kept.get("a") is None
    asked = kept.changes
    kept.forget()
    kept.put("a", "of before", asked, 10**15)
    assert kept.get("a") is None
    for number in range(MOST + 1):
        kept.put(str(number), "told", kept.changes, 10**9)
    assert kept.get("0") is None
    assert kept.get(str(MOST)) == "told"


# ---- what it is called, what it loads ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "origin"),
    [
        (Listener(), "http://localhost:5"),
        (Listener(certificate="a"), "https://localhost:5"),
        (Listener(public_url="https://p.example/"), "https://p.example"),
        (Listener(public_url="https://p.example:443/x"), "https://p.example"),
        (Listener(public_url="https://p.example:8444"), "https://p.example:8444"),
    ],
)
def test_what_browsers_call_it(listener: Listener, origin: str) -> None:
    assert origin_of(listener, 5) == origin


def test_the_screens_load_nothing_that_decides_or_remembers() -> None:
    """Law 2: also a gateway with a portal has no database, no engine of policies and no register."""
    code = "import sys, keten.gateway.portal, keten.portal.web; print('\\n'.join(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    forbidden = {"sqlalchemy", "sqlite3", "cedarpy", "alembic", "joserfc", "keten.core.db", "keten.vault.keys"}
    assert not set(said) & forbidden
    policy = {name for name in said if name.startswith("keten.policy.")}
    assert policy <= {"keten.policy.reasons"}
    assert not any(name.startswith(("keten.suppliers", "keten.identity", "keten.exchange")) for name in said)
