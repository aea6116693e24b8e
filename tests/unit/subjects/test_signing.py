"""Two people sign by passkeys: which two, until when, and what of it counts when they change meanwhile."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from keten.core.errors import Conflict, Denied, Invalid, KetenError
from keten.identity import passkeys
from keten.identity.model import Ended, Person, Restraint
from keten.identity.passkeys import Made
from keten.identity.people_model import Passkey, Signed
from keten.identity.rows import people
from keten.ledger.query import Filter, find
from keten.subjects import requests, signing
from keten.subjects.model import Operator, Request
from tests.made_ledger import MadeLedger

ACT, OTHER = "ab" * 32, "cd" * 32
ROOT = Operator("root", 0)


class Office:
    """A ledger with some people."""

    def __init__(self, made: MadeLedger) -> None:
        self.made = made
        self.keys = 0
        self.own: dict[str, Passkey] = {}
        self.dpo = self.person("dpo", "privacy-officer")
        self.admin = self.person("admin", "administrator")
        self.officer = self.person("officer", "security-officer")
        self.deputy = self.person("deputy", "privacy-officer")

    def person(self, name: str, *roles: str, supplier: str = "") -> Person:
        row = Person(id=self.made.id(), name=name, supplier=supplier, sealed="", roles=roles)
        with self.made.writing() as writing:
            people.declare(writing, row, "operator:test")
        return row

    def change(self, row: Person, **fields: object) -> None:
        with self.made.writing() as writing:
            before = people.get(writing.connection, row.id)
            assert before is not None
            people.change(writing, before, msgspec.structs.replace(before, **fields), "operator:test")

    def passkey(self, row: Person) -> Passkey:
        self.keys += 1
        made = Made(credential=f"{self.keys:04d}", public_key="AAAA", counter=0, synced=False)
        with self.made.writing() as writing:
            return passkeys.add(writing, row.id, made, "localhost", f"person:{row.id}")[0]

    def signed(self, who: Person, act: str = ACT) -> Signed:
        if who.id not in self.own:
            self.own[who.id] = self.passkey(who)
        return Signed(who.id, self.own[who.id].id, act)

    def propose(self, who: Person, target: str = "", act: str = ACT) -> Request:
        signed, target = self.signed(who, act), target or self.made.id()
        with self.made.writing() as writing:
            return signing.propose(writing, "erase", "person", target, signed, ACT, "a letter", "")

    def sign(self, request: Request, who: Person, what: str = "erase", act: str = ACT) -> Request:
        signed = self.signed(who, OTHER)
        with self.made.writing() as writing:
            return signing.sign(writing, request.id, what, act, signed)

    def end_key(self, who: Person) -> None:
        """The passkey that it signed with is ended; it has another."""
        with self.made.writing() as writing:
            passkeys.end(writing, self.own.pop(who.id), "stolen", "operator:test")

    def kinds(self) -> list[str]:
        with self.made.reading() as connection:
            return [entry.kind for entry in find(connection, Filter(kind="subjects"))]

    def people_sign(self) -> bool:
        with self.made.reading() as connection:
            return signing.people_sign(connection)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(MadeLedger.create(tmp_path / "made"))


def test_one_opens_another_signs(office: Office) -> None:
    asked = office.propose(office.dpo)
    assert [one.person for one in asked.signatures] == [office.dpo.id]
    done = office.sign(asked, office.admin)
    assert (done.state, done.approvers, done.approver) == ("approved", 2, f"person:{office.admin.id}")
    assert [(one.person, one.act) for one in done.signatures] == [(office.dpo.id, ACT), (office.admin.id, OTHER)]
    assert office.kinds() == ["subjects.erasure.requested", "subjects.erasure.approved"]
    for who in (office.dpo, office.admin, office.deputy):
        with pytest.raises(Conflict, match="approved already"):
            office.sign(asked, who)


@pytest.mark.parametrize(
    ("who", "what", "act", "code"),
    [
        ("dpo", "erase", ACT, "second-person"),
        ("officer", "erase", ACT, "not-allowed"),
        ("admin", "erase", OTHER, "act-changed"),
        ("admin", "erase", "", "act-changed"),
        ("admin", "release", ACT, "act-changed"),
        ("admin", "destroy-dataset", ACT, "act-changed"),
    ],
)
def test_who_and_what_is_not_signed(office: Office, who: str, what: str, act: str, code: str) -> None:
    asked = office.propose(office.dpo)
    with pytest.raises(KetenError) as caught:
        office.sign(asked, getattr(office, who), what, act)
    assert caught.value.code == code
    with office.made.reading() as connection:
        assert requests.get(connection, asked.id) == asked


def test_what_was_signed_is_what_is_asked(office: Office) -> None:
    with pytest.raises(Invalid):
        office.propose(office.dpo, act=OTHER)
    with pytest.raises(Denied):
        office.propose(office.admin)
    assert office.kinds() == []


def test_what_waits_is_not_opened_again_nor_signed_by_that(office: Office) -> None:
    target = office.made.id()
    asked = office.propose(office.dpo, target)
    again = office.propose(office.deputy, target)
    assert again == asked
    assert office.sign(again, office.deputy).state == "approved"


def test_a_users_request_takes_two_signatures(office: Office) -> None:
    with office.made.writing() as writing:
        asked = requests.ask(writing, "erase", "person", office.made.id(), ROOT, "a letter", "", ACT)
    first = office.sign(asked, office.admin)
    assert (first.state, first.decided_by, first.decided_us) == ("waiting", "", 0)
    with pytest.raises(Denied):
        office.sign(asked, office.admin)
    assert office.sign(asked, office.dpo).state == "approved"
    assert office.kinds() == [f"subjects.erasure.{verb}" for verb in ("requested", "signed", "approved")]


def test_one_from_before_has_no_hash_and_is_not_signed(office: Office) -> None:
    with office.made.writing() as writing:
        asked = requests.ask(writing, "erase", "person", office.made.id(), ROOT, "a letter", "")
    with pytest.raises(Conflict):
        office.sign(asked, office.dpo, act="")


@pytest.mark.parametrize(
    "change",
    [
        {"ended": Ended(1, "left", "operator:test")},
        {"roles": ("auditor",)},
        {"roles": ()},
        {"restraint": Restraint(suspended_until_us=2**60)},
    ],
)
def test_a_signature_of_who_may_not_any_more_does_not_count(office: Office, change: dict[str, object]) -> None:
    asked = office.propose(office.dpo)
    office.change(office.dpo, **change)
    first = office.sign(asked, office.deputy)
    assert (first.state, [one.person for one in first.signatures]) == ("waiting", [office.deputy.id])
    with pytest.raises(KetenError):
        office.sign(asked, office.dpo)
    assert office.sign(asked, office.admin).state == "approved"


def test_a_signature_by_a_passkey_that_was_ended_does_not_count(office: Office) -> None:
    """Whoever ends a stolen passkey takes back what the thief signed with it, and may sign itself."""
    asked = office.propose(office.dpo)
    office.end_key(office.dpo)
    first = office.sign(asked, office.admin)
    assert (first.state, [one.person for one in first.signatures]) == ("waiting", [office.admin.id])
    office.end_key(office.admin)
    assert office.sign(asked, office.admin).state == "waiting"
    with pytest.raises(Denied):
        office.sign(asked, office.admin)
    assert office.sign(asked, office.dpo).state == "approved"


def test_somebody_of_a_supplier_never_signs(office: Office) -> None:
    outsider = office.person("outsider", "privacy-officer", "administrator", supplier=office.made.id())
    with pytest.raises(Denied):
        office.propose(outsider)
    asked = office.propose(office.dpo)
    with pytest.raises(Denied):
        office.sign(asked, outsider)


def test_what_has_lapsed_is_not_signed(office: Office) -> None:
    asked = office.propose(office.dpo)
    office.made.time_us += requests.LAPSE_US
    with pytest.raises(Conflict, match="lapsed"):
        office.sign(asked, office.admin)


def test_what_was_refused_is_not_signed(office: Office) -> None:
    asked = office.propose(office.dpo)
    with office.made.writing() as writing:
        refused = requests.refuse(writing, asked.id, Operator(f"person:{office.admin.id}", -1), "not now")
    assert refused.approver == f"person:{office.admin.id}"
    with pytest.raises(Conflict, match="refused"):
        office.sign(asked, office.admin)
    with office.made.reading() as connection:
        (entry,) = find(connection, Filter(kind="subjects.erasure.refused"))
    assert entry.payload is not None
    assert entry.payload.actor == refused.approver


def test_reading_is_open_for_an_hour(office: Office) -> None:
    target = office.made.id()

    def may() -> bool:
        with office.made.reading() as connection:
            return signing.may_read(connection, target, office.made.time_us)

    assert may(), "as long as people do not sign"
    office.passkey(office.dpo)
    office.passkey(office.officer)
    assert not may()
    with office.made.writing() as writing:
        asked = requests.ask(writing, "read", "client", target, ROOT, "a case", "", ACT)
    office.sign(asked, office.officer, "read")
    assert not may()
    approved = office.sign(asked, office.dpo, "read")
    assert not may(), "not before it is recorded that it is done"
    with office.made.writing() as writing:
        requests.done(writing, approved)
    assert may()
    office.made.time_us = approved.decided_us + signing.READ_US - 1
    assert may()
    office.made.time_us += 1
    assert not may()


def test_from_when_on_people_sign(office: Office) -> None:
    assert not office.people_sign()
    office.passkey(office.dpo)
    office.passkey(office.dpo)
    outsider = office.person("outsider", "contact", supplier=office.made.id())
    office.passkey(outsider)
    assert not office.people_sign(), "one of the organisation's own people, with two passkeys"
    with office.made.writing() as writing:
        signing.note_unsigned(writing, "erase", {"person": office.dpo.id}, "operator:root")
    second = office.passkey(office.officer)
    assert office.people_sign()
    with office.made.writing() as writing:
        passkeys.end(writing, second, "lost", "operator:root")
    office.change(office.officer, ended=Ended(1, "left", "operator:test"), roles=())
    assert office.people_sign(), "it never goes back"
    with pytest.raises(Denied) as caught, office.made.writing() as writing:
        signing.note_unsigned(writing, "erase", {"person": office.dpo.id}, "operator:root")
    assert caught.value.code == "people-sign"
    assert office.kinds() == ["subjects.request.unsigned"]
