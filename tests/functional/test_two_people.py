"""Two people sign for what cannot be undone, each with a passkey, whoever opened it and wherever (law 14)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keten.core.errors import KetenError
from keten.drills.throwaway import Throwaway
from keten.identity.ceremonies import act_of
from keten.keeper import protocol
from keten.keeper.client import KeeperClient
from keten.keeper.subject_protocol import (
    Addresses,
    Approve,
    Erase,
    Everything,
    OpenedAddresses,
    Outcome,
    Refuse,
    RequestInfo,
    Requests,
)
from tests.authenticator import Authenticator
from tests.functional.test_people import ORIGIN, Face, invite, refusal

T = TypeVar("T")
DESTROY, ERASE, APPROVE, REFUSE = "revocation.destroy", "subjects.erase", "subjects.approve", "subjects.refuse"
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: dpo, email: a@example.org, roles: [privacy-officer]}
  - {id: deputy, email: b@example.org, roles: [privacy-officer]}
  - {id: officer, email: c@example.org, roles: [security-officer]}
  - {id: admin, email: d@example.org, roles: [administrator]}
  - {id: auditor, email: e@example.org, roles: [auditor]}
suppliers:
  - id: drukker
    name: Drukkerij
    country: NL
    tier: high
    people: [LEAVERS]
    clients: [{id: batch, keys: ["KEY"]}, {id: other, keys: ["OTHER"]}]
contracts: []
datasets:
  - {id: first, owner: dpo, classification: internal, retention_days: 90}
"""
KEYS = [
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    for _each in range(2)
]
LEAVERS = [f"leaver-{number}" for number in range(12)]
SETS = [f"set-{number}" for number in range(12)]


def estate(*without: str) -> str:
    people = ", ".join(f"{{id: {one}, email: {one}@example.org}}" for one in LEAVERS)
    sets = "".join(
        f"  - {{id: {one}, owner: dpo, classification: internal, retention_days: 90}}\n" for one in SETS
    )
    text = ESTATE.replace("LEAVERS", people).replace("KEY", KEYS[0]).replace("OTHER", KEYS[1]) + sets
    return "\n".join(line for line in text.splitlines() if not any(f"id: {one}," in line for one in without))


class Someone:
    """A person at the console, with a passkey of its own."""

    def __init__(self, instance: Throwaway, name: str) -> None:
        self.instance, self.name = instance, name
        self.key = Authenticator(ORIGIN)
        self.browser = token_hex(32)
        self.session = self.face().enrol(invite(instance, name), self.key).session

    def face(self) -> Face:
        """The console in this person's browser, by another connection each time."""
        return Face(self.instance, browser=self.browser)

    @property
    def id(self) -> str:
        return str(self.instance.ids["person"][self.name])

    def again(self) -> None:
        """Signed in anew, after the keeper was away."""
        self.session = self.face().sign_in(self.key).session

    def signs(self, verb: str, body: msgspec.Struct, answer: type[T], shown_for: msgspec.Struct | None = None) -> T:
        """Say a verb with the passkey. shown_for: another body than the one that is said."""
        face = self.face()
        begun = face.step_up(self.session, verb, shown_for or body)
        return face.do(self.session, verb, body, answer, face.shown(begun, self.key))

    def says(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say a verb without it."""
        return self.face().do(self.session, verb, body, answer)

    def destroys(self, dataset: str) -> str:
        """Ask for the destruction of a dataset; the request."""
        body = protocol.Destroy(self.instance.ids["dataset"][dataset], "it is over")
        return self.signs(DESTROY, body, protocol.Destroyed).request

    def approves(self, request: str) -> Outcome:
        found = self.request(request)
        return self.signs(APPROVE, Approve(found.id, what=found.what, act=found.act), Outcome)

    def request(self, request: str) -> RequestInfo:
        every = self.says("subjects.requests", Everything(all=True), Requests).requests
        (found,) = [one for one in every if one.id == request]
        return found


class House:
    """The instance and its people."""

    def __init__(self, instance: Throwaway) -> None:
        self.instance = instance
        self.people: dict[str, Someone] = {}

    def __getattr__(self, name: str) -> Someone:
        if name.startswith("_") or name not in ("dpo", "deputy", "officer", "admin", "auditor"):
            raise AttributeError(name)
        if name not in self.people:
            self.people[name] = Someone(self.instance, name)
        return self.people[name]

    def operator(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        with KeeperClient(self.instance.paths.operator_socket) as client:
            return client.call(verb, body, answer)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        shown = self.instance.command("ledger", "show", "--kind", kind, "--json").stdout
        return [json.loads(line) for line in shown.splitlines()]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Throwaway(tmp_path_factory.mktemp("two")) as made:
        made.up()
        made.apply(estate())
        house = House(made)
        first_days(house)
        yield house
        made.run("ledger", "verify")


def first_days(house: House) -> None:
    """Before two people have a passkey: one operator alone destroys, and an entry cannot be avoided."""
    done = house.instance.run("destroy", "dataset", "first", "--reason", "nobody signs yet", "--yes")
    assert done["entry"]
    (unsigned,) = house.entries("subjects.request.unsigned")
    assert (unsigned["actor"].startswith("operator:"), unsigned["details"]["people"]) == (True, 0)
    assert unsigned["index"] < house.entries("datasets.dataset.ended")[-1]["index"]
    assert house.dpo.says("subjects.requests", Everything(), Requests).requests == []
    assert house.admin.session, "from here on two have one"


def test_the_command_line_opens_it_and_two_people_sign(house: House) -> None:
    done = house.instance.run("destroy", "dataset", "set-0", "--reason", "the election is over", "--yes")
    request = done["request"]
    assert request
    assert not done["entry"]
    refused = house.instance.command("subject", "approve", request, "--yes", "--json")
    assert refused.returncode == 1
    assert "Two people sign" in refused.stderr
    assert house.dpo.request(request).people == 2
    first = house.dpo.approves(request)
    assert (first.steps, first.request and first.request.state, first.request and first.request.people) == (
        [],
        "waiting",
        1,
    )
    assert refusal(lambda: house.dpo.approves(request)) == "second-person"
    second = house.admin.approves(request)
    assert second.steps
    assert second.entry
    found = house.dpo.request(request)
    assert [one.name for one in found.signed] == ["dpo", "admin"]
    assert found.state == "done"
    end = house.entries("subjects.destruction.done")[-1]["details"]
    assert end["signed_by"] == [f"person:{house.dpo.id}", f"person:{house.admin.id}"]
    assert refusal(lambda: house.officer.approves(request)) == "request-over"
    assert len(house.entries("subjects.request.unsigned")) == 1


def test_one_person_opens_it_and_another_one_signs(house: House) -> None:
    leaver = house.instance.ids["person"]["leaver-0"]
    body = Erase(leaver, "a letter", "GDPR 17(1)(b)")
    asked = house.dpo.signs(ERASE, body, Outcome)
    assert asked.request is not None
    assert asked.request.act == act_of(ERASE, msgspec.msgpack.encode(body)).hex()
    assert (asked.steps, asked.request.people, asked.request.asked_by) == ([], 1, "dpo")
    request = asked.request.id
    assert refusal(lambda: house.dpo.approves(request)) == "second-person"
    assert refusal(lambda: house.operator(APPROVE, Approve(request), Outcome)) == "people-sign"
    done = house.deputy.approves(request)
    assert {step["outcome"] for step in done.steps} == {"done"}, done.steps
    (erased,) = [one for one in house.entries("subjects.subject.erased") if one["refs"]["request"] == request]
    assert erased["details"]["asked_by"] == f"person:{house.dpo.id}"
    assert erased["details"]["approved_by"] == f"person:{house.deputy.id}"
    # What each passkey signed for stands in the ledger: the act itself, and an approval that holds its hash.
    signed = Approve(request, what="erase", act=asked.request.act)
    approval = act_of(APPROVE, msgspec.msgpack.encode(signed)).hex()
    acted = {(one["actor"], one["details"]["act"]) for one in house.entries("identity.person.acted")}
    assert {(f"person:{house.dpo.id}", asked.request.act), (f"person:{house.deputy.id}", approval)} <= acted


def test_without_the_passkey_nothing_is_asked_or_signed(house: House) -> None:
    body = protocol.Destroy(house.instance.ids["dataset"]["set-1"], "over")
    assert refusal(lambda: house.dpo.says(DESTROY, body, protocol.Destroyed)) == "step-up"
    request = house.dpo.destroys("set-1")
    found = house.dpo.request(request)
    approve = Approve(request, what=found.what, act=found.act)
    assert refusal(lambda: house.admin.says(APPROVE, approve, Outcome)) == "step-up"
    house.admin.says(REFUSE, Refuse(request, "not now", found.what), RequestInfo)
    assert house.dpo.request(request).state == "refused"
    assert refusal(lambda: house.admin.approves(request)) == "request-over"


def test_what_was_changed_is_not_signed(house: House) -> None:
    request, other = house.dpo.destroys("set-2"), house.dpo.destroys("set-3")
    found, second = house.dpo.request(request), house.dpo.request(other)
    good = Approve(request, what=found.what, act=found.act)
    for wrong in (
        msgspec.structs.replace(good, act=second.act),
        msgspec.structs.replace(good, act=""),
        msgspec.structs.replace(good, act=found.act.upper()),
        msgspec.structs.replace(good, what="destroy-object"),
    ):
        assert refusal(lambda wrong=wrong: house.admin.signs(APPROVE, wrong, Outcome)) == "act-changed"
    assert refusal(lambda: house.admin.signs(APPROVE, good, Outcome, shown_for=Approve(other))) in (
        "ceremony-over",
        "kind",
    )
    wrong = msgspec.structs.replace(good, what="everything")
    assert refusal(lambda: house.admin.signs(APPROVE, wrong, Outcome)) == "kind"
    # A name for an id is another body than the one that is carried out.
    named = protocol.Destroy("set-4", "by name")
    assert refusal(lambda: house.dpo.signs(DESTROY, named, protocol.Destroyed)) == "act-changed"
    assert house.dpo.request(request).people == 1
    for one in (request, other):
        house.dpo.says(REFUSE, Refuse(one, "mine", found.what), RequestInfo)
    assert refusal(lambda: house.dpo.says(REFUSE, Refuse(other, "again", "erase"), RequestInfo)) == "act-changed"


def test_who_may_not_does_not(house: House) -> None:
    request = house.dpo.destroys("set-5")
    assert refusal(lambda: house.auditor.approves(request)) == "not-allowed"
    assert refusal(lambda: house.auditor.destroys("set-6")) == "not-allowed"
    assert refusal(lambda: house.admin.destroys("set-6")) == "not-allowed"
    leaver = house.instance.ids["person"]["leaver-1"]
    asked = house.dpo.signs(ERASE, Erase(leaver, "a letter"), Outcome).request
    assert asked is not None
    assert refusal(lambda: house.officer.approves(asked.id)) == "not-allowed"
    # Saying that it is a destruction does not help whoever may approve those.
    lie = Approve(asked.id, what="destroy-dataset", act=asked.act)
    assert refusal(lambda: house.officer.signs(APPROVE, lie, Outcome)) == "act-changed"
    house.instance.run("subject", "refuse", request, "--reason", "a test")
    house.instance.run("subject", "refuse", asked.id, "--reason", "a test")


def test_at_once_it_is_done_once(house: House) -> None:
    request = house.dpo.destroys("set-6")
    found = house.dpo.request(request)
    body = Approve(request, what=found.what, act=found.act)

    def sign(name: str) -> str:
        try:
            return "steps" if getattr(house, name).signs(APPROVE, body, Outcome).steps else "waits"
        except KetenError as error:
            return error.code

    with ThreadPoolExecutor(3) as pool:
        said_ = sorted(pool.map(sign, ("admin", "officer", "deputy")))
    assert said_ == ["request-over", "request-over", "steps"]
    ended = [one for one in house.entries("subjects.destruction.done") if one["refs"].get("request") == request]
    assert len(ended) == 1


def test_an_opener_who_may_not_any_more_does_not_count(house: House) -> None:
    deputy = house.deputy
    by_role, by_end = deputy.destroys("set-7"), deputy.destroys("set-8")
    roles = "{id: deputy, email: b@example.org, roles: [privacy-officer]}"
    house.instance.apply(estate().replace(roles, roles.replace("privacy-officer", "auditor")))
    first = house.admin.approves(by_role)
    assert first.request is not None
    assert ([one.name for one in first.request.signed], first.request.people) == (["admin"], 1)
    house.instance.apply(estate())
    assert deputy.approves(by_role).steps, "who may again signs again"
    house.instance.run("revoke", "person", "deputy", "--reason", "left")
    first = house.admin.approves(by_end)
    assert first.request is not None
    assert (first.steps, first.request.people) == ([], 1)
    assert refusal(lambda: deputy.approves(by_end)) == "session-ended"
    assert house.officer.approves(by_end).steps


def test_a_keeper_that_is_killed_between_forgets_nothing(house: House) -> None:
    request = house.dpo.destroys("set-9")
    house.instance.die()
    house.instance.up()
    assert house.dpo.request(request).people == 1
    assert house.admin.approves(request).steps


@pytest.mark.parametrize("after", [0.02, *(pytest.param(one, marks=pytest.mark.slow) for one in (0.0, 0.06))])
def test_a_keeper_that_is_killed_while_it_carries_it_out_goes_on(house: House, after: float) -> None:
    """Killed so many seconds after the last signature was sent: it is done in the end, or still waits for it."""
    asked = house.dpo.signs(ERASE, Erase(house.instance.ids["person"][f"leaver-{2 + int(after * 100)}"], "x"), Outcome)
    assert asked.request is not None
    found = asked.request
    body = Approve(found.id, what=found.what, act=found.act)
    admin = house.admin
    face = admin.face()
    begun = face.step_up(admin.session, APPROVE, body)
    shown = face.shown(begun, admin.key)
    with ThreadPoolExecutor(1) as pool:
        signing = pool.submit(face.do, admin.session, APPROVE, body, Outcome, shown)
        time.sleep(after)
        house.instance.die()
        signing.exception()
    house.instance.up()
    if house.dpo.request(found.id).state == "waiting":
        assert house.dpo.request(found.id).people == 1
        admin.approves(found.id)
    deadline = time.monotonic() + 60
    while (now := house.dpo.request(found.id)).state != "done":
        assert now.state == "approved"
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    assert [one.name for one in now.signed] == ["dpo", "admin"]
    done = [one for one in house.entries("subjects.subject.erased") if one["refs"]["request"] == found.id]
    assert len(done) == 1
    assert done[0]["details"]["approved_by"] == f"person:{admin.id}"


def test_addresses_are_read_by_two_for_an_hour(house: House) -> None:
    client = house.instance.ids["client"]["batch"]
    ask = Addresses("batch", (0, 1))
    assert refusal(lambda: house.operator("subjects.addresses", ask, OpenedAddresses)) == "people-sign"
    assert house.instance.command("subject", "trace", "batch").returncode == 0, "without the addresses as before"
    asked = house.instance.run("subject", "open", "batch", "--reason", "case 2026-31")["request"]
    house.dpo.approves(asked["id"])
    assert refusal(lambda: house.operator("subjects.addresses", ask, OpenedAddresses)) == "people-sign"
    assert house.officer.approves(asked["id"]).entry
    assert house.operator("subjects.addresses", ask, OpenedAddresses).entry
    other = Addresses("other", (0, 1))
    assert refusal(lambda: house.operator("subjects.addresses", other, OpenedAddresses)) == "people-sign"
    (done,) = house.entries("subjects.reading.done")
    assert done["details"]["signed_by"] == [f"person:{house.dpo.id}", f"person:{house.officer.id}"]
    assert done["client"] == client


def test_people_go_on_signing_when_one_of_them_is_left(house: House) -> None:
    """Ending people does not bring back the days in which one operator was enough."""
    for name in ("officer", "admin"):
        house.instance.run("revoke", "person", name, "--reason", "left")
    request = house.instance.run("destroy", "dataset", "set-10", "--reason", "alone", "--yes")["request"]
    assert request
    assert house.dpo.approves(request).steps == []
    assert refusal(lambda: house.operator(APPROVE, Approve(request), Outcome)) == "people-sign"
    assert refusal(lambda: house.dpo.approves(request)) == "second-person"
