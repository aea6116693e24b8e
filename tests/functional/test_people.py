"""People sign in at a real keeper's sockets with passkeys of a software authenticator, and every lie is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
import pytest

from keten.core.db import reading_engine
from keten.core.errors import Busy, Conflict, Invalid, KetenError
from keten.core.ids import new_id
from keten.drills.throwaway import Throwaway
from keten.identity import rows
from keten.identity.failures import IN_A_ROW
from keten.keeper import people_protocol as said
from keten.keeper import protocol
from keten.keeper.client import KeeperClient
from keten.keeper.recovery_protocol import RecoverBegin
from tests.authenticator import Authenticator

T = TypeVar("T")
ORIGIN = "http://localhost:8085"
OTHER = "b" * 64
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: officer, email: officer@example.org, roles: [security-officer, administrator]}
  - {id: reader, email: reader@example.org, roles: [auditor]}
  - {id: second, email: second@example.org, roles: [auditor]}
suppliers:
  - id: drukker
    name: Drukkerij
    country: NL
    tier: high
    people:
      - {id: drukster, email: d@example.org, roles: [contact]}
"""
_address = iter(f"192.0.{number}.7" for number in range(1, 250))


_open: list[KeeperClient] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Every connection of a test is closed after it."""
    yield
    while _open:
        _open.pop().close()


class Face:
    """The console with one browser, as the keeper sees it. browser: the digest of one that was there before."""

    def __init__(self, instance: Throwaway, origin: str = ORIGIN, browser: str = "") -> None:
        self.client = KeeperClient(instance.paths.console_socket, timeout=60)
        _open.append(self.client)
        self.client.call("people.origin", said.Origin(origin), said.Done)
        self.address = next(_address)
        self.browser = browser or token_hex(32)

    def enrol(self, token: str, key: Authenticator, **lies: Any) -> said.SessionOpened:
        begun = self.client.call(
            "people.enrol_begin", said.EnrolBegin(token, self.address, self.browser), said.Enrolment
        ).ceremony
        return self.finish("people.enrol", begun.id, key.create(begun.options, **lies))

    def begin(self) -> said.Ceremony:
        return self.client.call("people.sign_in_begin", said.SignInBegin(self.address, self.browser), said.Ceremony)

    def sign_in(self, key: Authenticator, **lies: Any) -> said.SessionOpened:
        begun = self.begin()
        return self.finish("people.sign_in", begun.id, key.get(begun.options, **lies))

    def finish(self, verb: str, name: str, response: str, browser: str = "") -> said.SessionOpened:
        body = said.Finished(name, response, self.address, browser or self.browser)
        return self.client.call(verb, body, said.SessionOpened)

    def proof(self, session: str, browser: str = "") -> said.PersonProof:
        return said.PersonProof(session, browser or self.browser)

    def authorise(self, session: str, act: str = "", browser: str = "") -> said.Authorised:
        body = said.Authorise(self.proof(session, browser), act)
        return self.client.call("people.authorise", body, said.Authorised)

    def do(
        self, session: str, verb: str, body: msgspec.Struct, answer: type[T], finished: said.Finished | None = None
    ) -> T:
        packed = msgspec.msgpack.encode(body)
        return self.client.call("people.do", said.Do(self.proof(session), verb, packed, finished), answer)

    def step_up(self, session: str, verb: str, body: msgspec.Struct) -> said.Ceremony:
        packed = msgspec.msgpack.encode(body)
        begin = said.StepUpBegin(self.proof(session), verb, packed)
        return self.client.call("people.step_up_begin", begin, said.Ceremony)

    def shown(self, ceremony: said.Ceremony, key: Authenticator) -> said.Finished:
        return said.Finished(ceremony.id, key.get(ceremony.options), self.address, self.browser)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    with Throwaway(tmp_path_factory.mktemp("p")) as made:
        made.up()
        made.apply(ESTATE)
        yield made


def invite(instance: Throwaway, person: str) -> str:
    with KeeperClient(instance.paths.operator_socket) as client:
        return client.call("people.invite", said.Invite(person), said.Invited).token


@pytest.fixture(scope="module")
def officer(instance: Throwaway) -> Authenticator:
    key = Authenticator(ORIGIN)
    Face(instance).enrol(invite(instance, "officer"), key)
    return key


def refusal(run: Any) -> str:
    with pytest.raises(KetenError) as caught:
        run()
    return caught.value.code


def test_a_new_instance_knows_nobody(tmp_path: Path) -> None:
    """No account is there by default, and so no link to one."""
    with Throwaway(tmp_path) as made:
        made.up(timeout=180)
        with KeeperClient(made.paths.operator_socket) as client:
            assert client.call("people.list", said.AskPeople(), said.PersonLines).people == ()
        engine = reading_engine(made.place)
        with engine.connect() as connection:
            assert [*rows.people.each(connection), *rows.clients.each(connection)] == []
        engine.dispose()


def test_a_person_enrols_and_signs_in(instance: Throwaway) -> None:
    key, face = Authenticator(ORIGIN), Face(instance)
    opened = face.enrol(invite(instance, "reader"), key)
    assert (opened.person.name, opened.person.roles) == ("reader", ("auditor",))
    again = face.sign_in(key)
    assert again.session != opened.session
    assert face.authorise(again.session, "see-ledger").person.name == "reader"
    assert refusal(lambda: face.authorise(again.session, "end-access")) == "not-allowed"
    assert refusal(lambda: face.authorise(again.session, "no-such-act")) == "not-allowed"
    assert refusal(lambda: face.authorise(again.session, browser=OTHER)) == "session-ended"
    assert refusal(lambda: invite(instance, "reader")) == "has-passkey"


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://evil.example"},
        {"rp": "evil.example"},
        {"verified": False},
        {"challenge": "AAAA"},
        {"framed": True},
        {"signature": b"0"},
        {"user": b"1" * 16},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_a_lie_is_answered_like_every_other(instance: Throwaway, officer: Authenticator, lie: dict[str, Any]) -> None:
    face = Face(instance)
    assert refusal(lambda: face.sign_in(officer, **lie)) == "sign-in-failed"
    assert face.sign_in(officer).person.name == "officer"


def test_a_counter_that_went_back_is_refused_and_recorded(instance: Throwaway, officer: Authenticator) -> None:
    face = Face(instance)
    face.sign_in(officer)
    seen = officer.counter
    assert refusal(lambda: face.sign_in(officer, counter=seen)) == "sign-in-failed"
    officer.counter = seen
    entries = instance.command("ledger", "show", "--kind", "identity.person.refused", "--json").stdout
    assert "passkey-copied" in entries


def test_a_ceremony_counts_once(instance: Throwaway, officer: Authenticator) -> None:
    face = Face(instance)
    begun = face.begin()
    response = officer.get(begun.options)
    face.finish("people.sign_in", begun.id, response)
    assert refusal(lambda: face.finish("people.sign_in", begun.id, response)) == "sign-in-failed"
    replayed = face.begin()
    assert refusal(lambda: face.finish("people.sign_in", replayed.id, response)) == "sign-in-failed"
    elsewhere = face.begin()
    shown = officer.get(elsewhere.options)
    assert refusal(lambda: face.finish("people.sign_in", elsewhere.id, shown, OTHER)) == "sign-in-failed"


@pytest.mark.parametrize("response", ["", "{", "[]", "null", "x" * 70_000, '{"id":1}', "[" * 5000, '{"id":"é"}'])
def test_malformed_responses(instance: Throwaway, response: str) -> None:
    face = Face(instance)
    begun = face.begin()
    assert refusal(lambda: face.finish("people.sign_in", begun.id, response)) == "sign-in-failed"


def test_a_link_works_once_and_only_the_newest(instance: Throwaway) -> None:
    older, newer = invite(instance, "second"), invite(instance, "second")
    face = Face(instance)
    assert refusal(lambda: face.enrol(older, Authenticator(ORIGIN))) == "link-invalid"
    assert face.enrol(newer, Authenticator(ORIGIN)).person.name == "second"
    assert refusal(lambda: face.enrol(newer, Authenticator(ORIGIN))) == "link-invalid"
    assert refusal(lambda: face.enrol("nonsense", Authenticator(ORIGIN))) == "link-invalid"


def test_a_suppliers_person_is_not_let_in_at_the_console(instance: Throwaway) -> None:
    token = invite(instance, "drukster")
    assert refusal(lambda: Face(instance).enrol(token, Authenticator(ORIGIN))) == "link-invalid"


def test_ten_failures_block_the_network_and_no_other(instance: Throwaway, officer: Authenticator) -> None:
    face = Face(instance)
    for _each in range(IN_A_ROW):
        assert refusal(lambda: face.sign_in(officer, verified=False)) == "sign-in-failed"
    with pytest.raises(Busy, match="from your network"):
        face.begin()
    assert Face(instance).sign_in(officer).person.name == "officer"


@pytest.mark.parametrize("what", ["link", "code"])
def test_ten_wrong_links_or_codes_block_the_network_too(instance: Throwaway, what: str) -> None:
    face = Face(instance)

    def guess() -> None:
        guessed = new_id()
        if what == "link":
            face.client.call("people.enrol_begin", said.EnrolBegin(guessed, face.address, face.browser), said.Enrolment)
        else:
            parts = RecoverBegin((guessed, new_id()), face.address, face.browser)
            face.client.call("people.recover_begin", parts, said.Enrolment)

    for _each in range(IN_A_ROW):
        assert refusal(guess) == "link-invalid"
    for asked in (guess, face.begin):
        with pytest.raises(Busy, match="from your network"):
            asked()


def test_an_act_takes_a_passkey_for_that_very_act(instance: Throwaway, officer: Authenticator) -> None:
    face = Face(instance)
    session = face.sign_in(officer).session
    ending = protocol.Revoke("supplier", "drukker", "test")
    other = protocol.Revoke("supplier", "another", "test")
    assert refusal(lambda: face.do(session, "revocation.revoke", ending, protocol.Revoked)) == "step-up"
    begun = face.step_up(session, "revocation.revoke", other)
    shown = face.shown(begun, officer)
    assert refusal(lambda: face.do(session, "revocation.revoke", ending, protocol.Revoked, shown)) == "ceremony-over"
    begun = face.step_up(session, "revocation.revoke", ending)
    shown = face.shown(begun, officer)
    done = face.do(session, "revocation.revoke", ending, protocol.Revoked, shown)
    assert done.entry
    assert refusal(lambda: face.do(session, "keeper.accept_clock", protocol.Nothing(), said.Done)) == "not-allowed"
    acted = instance.command("ledger", "show", "--kind", "identity.person.acted", "--json").stdout
    assert "revocation.revoke" in acted


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://intranet", "ftp://localhost", "https://u@h", "x", ""])
def test_no_passkeys_at_such_an_origin(instance: Throwaway, url: str) -> None:
    with pytest.raises(Invalid):
        Face(instance, url)


def test_ending_a_person_ends_its_sessions(instance: Throwaway) -> None:
    leaver = "  - {id: leaver, email: l@example.org, roles: [auditor]}\nsuppliers:"
    instance.apply(ESTATE.replace("suppliers:", leaver))
    key, face = Authenticator(ORIGIN), Face(instance)
    session = face.enrol(invite(instance, "leaver"), key).session
    face.authorise(session)
    with KeeperClient(instance.paths.operator_socket) as client:
        client.call("revocation.revoke", protocol.Revoke("person", "leaver", "left"), protocol.Revoked)
        ended = time.monotonic()
        while client.call("people.sessions", said.OfPerson("leaver"), said.PersonSessionList).own.sessions:
            assert time.monotonic() - ended < 1, "a session ends within a second, whether or not anybody uses it"
            time.sleep(0.01)
    assert refusal(lambda: face.authorise(session)) == "session-ended"
    assert refusal(lambda: face.sign_in(key)) == "sign-in-failed"
    with pytest.raises(Conflict):
        invite(instance, "leaver")
