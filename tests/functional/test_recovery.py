"""Getting back in, over the real processes: the whole way, and every way that is none."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from keten.core.errors import Denied, Unavailable
from keten.drills import rescue
from keten.drills.rescue import ASKED, CHANGED, CODE, DONE, OPENED, PART, House
from keten.identity.recovery import rules
from keten.keeper.client import KeeperClient
from keten.keeper.people_protocol import Done
from keten.keeper.protocol import CONSOLE_VERBS, GATEWAY_VERBS, OPERATOR_VERBS
from keten.keeper.recovery_protocol import (
    RECOVERY_FACE_VERBS,
    RECOVERY_VERBS,
    ApproveRecovery,
    AskRecoveries,
    OpenRecovery,
    Recoveries,
    RecoveryLine,
    RecoveryOpened,
)
from tests.visitor import Answer, Visitor

MANY = 9


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("recovery"), MANY)
    try:
        file = made.keten.folder / "voters.csv"
        file.write_text("name,street\na,b\n")
        made.keten.run("put", "voters", str(file))
        made.everybody("both", "other", "admin", "ciso", "dpo", "deputy3")
        yield made
    finally:
        made.close()


def says(answer: Answer, text: str, status: int) -> None:
    assert (answer.status, text in answer.text) == (status, True), (answer.status, answer.text[-2500:])


def back(house: House) -> RecoveryLine:
    """The newest case, once a killed keeper is there again."""
    for _each in range(300):
        with suppress(Unavailable):
            return house.case()
        time.sleep(0.2)
    raise AssertionError(house.keten.log())


def share(visitor: Visitor) -> str:
    """The path of the one file that is shared."""
    pages = {one for one in visitor.get("/en").text.split('"') if one.startswith("/en/shares/")}
    found = {one for page in pages for one in visitor.get(page).text.split('"') if one.startswith("/en/objects/")}
    return next(iter(found), "")


def test_the_whole_way_and_what_may_be_done_afterwards(house: House) -> None:
    path = share(house.browser("member0"))
    assert path
    parts = house.sent("member0")
    for address in ("member0@press.example", "member0@home.example"):
        letter = house.mail.wait(address, OPENED)
        assert "member0" in letter.text
        assert "Gemeente Voorbeeld" in letter.text
        assert not PART.findall(letter.text)
    # Everybody who may approve hears of it, and nobody else.
    for address in ("contact0@press.example", "deputy0@press.example", "owner@example.org", "both@example.org"):
        assert "member0" in house.mail.wait(address, ASKED).text
    asked = {mail.to for mail in house.mail.every() if ASKED in mail.subject}
    assert not [address for address in asked if address.startswith(("other", "member", "desk"))]
    new, answer = house.recover("member0", parts)
    assert (answer.status, answer.place) == (303, "/en")
    assert house.case().state == "done"
    for address in ("member0@press.example", "member0@home.example"):
        house.mail.wait(address, DONE)
    # It sees what is shared, and fetches and changes nothing for a while.
    assert new.get("/en").status == 200
    assert "voters" not in new.get("/en/log").text or new.get("/en/log").status == 200
    says(new.get(path, Sec_Fetch_Site="none"), "came back with a code", 403)
    token = new.get("/en/keys").token
    says(new.send("/en/keys/add", token=token), "came back with a code", 403)
    refused = house.entries("identity.person.refused")
    assert "recovered-lately" in {reason for one in refused for reason in one["reasons"]}
    # What was there before is as it was.
    assert house.browser("member0").get("/en").status == 200
    kinds = [one["kind"] for one in house.entries("identity.recovery.") if one["refs"].get("case") == house.case().id]
    short = [kind.rpartition(".")[2] for kind in kinds if kind != "identity.recovery.asked"]
    way = ["opened", "told", "told", "approved", "approved", "sent", "passed", "passed", "done", "told", "told"]
    assert sorted(short) == sorted(way)


def test_a_code_counts_once_also_for_two_at_once(house: House) -> None:
    parts = house.sent("member1")
    assert house.recover("member1", (parts[0], parts[0]))[1].status == 403
    assert house.recover("member1", (parts[0], "a" * 26))[1].status == 403
    answers: list[Answer] = []
    barrier = threading.Barrier(4)

    def one() -> None:
        new = Visitor(house.site("member1"))
        page = new.send("/en/recover", token=new.get("/en/recover").token, first=parts[1], second=parts[0].upper())
        name, options = page.ceremony
        made = new.key.create(options)
        barrier.wait(30)
        answers.append(new.send("/en/recover/key", token=page.token, ceremony=name, response=made))

    threads = [threading.Thread(target=one) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403]
    assert house.recover("member1", parts)[1].status == 403
    assert len(house.entries("identity.recovery.done")) == 2


def test_this_is_not_me_ends_a_case_and_what_a_code_gave(house: House) -> None:
    assert house.open("member2").status == 303
    link = house.stop_link("member2@home.example")
    assert Visitor(house.site("member2")).get(link).status == 302
    assert house.case().state == "open"  # looking stops nothing
    says(house.stop(link, "member2"), "It is stopped", 200)
    assert house.case().state == "vetoed"
    says(house.stop(link, "member2"), "Nothing was stopped", 403)
    says(house.approve("contact2"), "not open any more", 409)
    # And once it was done: the passkey is gone, and whoever is signed in with it is out.
    parts = house.sent("member2")
    thief, answer = house.recover("member2", parts)
    assert answer.status == 303
    assert thief.get("/en").status == 200
    says(house.stop(house.stop_link("member2@press.example", DONE), "member2"), "It is stopped", 200)
    assert thief.get("/en").status in (302, 303)
    assert thief.sign_in().status == 403
    assert house.browser("member2").sign_in().status == 303  # with the passkey that was there before


def test_who_may_not_approve(house: House) -> None:
    assert house.open("member3", by="both").status == 303
    case = house.case()
    says(house.approve("both"), "not yours to do", 409)  # who opened it
    says(house.approve("other"), "not yours to do", 409)  # owns nothing of it
    says(house.approve("ciso"), "There is no such page", 404)  # another role
    says(house.approve("contact4"), "There is no such page", 404)  # of another supplier: as what is not there
    absent = msgspec.structs.replace(case, id="a" * 26)
    assert house.approve("contact4", absent).text.split("<main")[1] == house.approve("contact4").text.split("<main")[1]
    says(house.approve("member3"), "There is no such page", 404)
    assert house.approve("contact3").status == 303
    says(house.approve("contact3"), "not yours to do", 409)  # twice
    says(house.approve("deputy3"), "not yours to do", 409)  # the same role again
    assert [one.by for one in house.case().approvals] == ["contact3"]
    says(house.open("member3"), "under way already", 409)
    says(house.stop(house.stop_link("member3@home.example"), "member3"), "It is stopped", 200)
    reasons = {one["details"]["reason"] for one in house.entries("identity.recovery.refused")}
    assert {"approver-opened", "approver-role", "approver-again", "role-again", "another-case"} <= reasons


def test_the_helpdesk_opens_and_nobody_else_and_not_for_everybody(house: House) -> None:
    says(house.open("single4"), "no two addresses", 409)
    says(house.open("desk"), "not yours to do", 409)
    says(house.open("member4", by="owner"), "There is no such page", 404)
    says(house.open("member4", by="admin"), "There is no such page", 404)
    with KeeperClient(house.keten.paths.operator_socket) as client:
        with pytest.raises(Denied, match="people-only"):
            client.call("recovery.open", OpenRecovery("member4"), RecoveryOpened)
        case = house.case()
        approval = ApproveRecovery(case.id, case.person, rules.act_digest(case.id, case.person))
        with pytest.raises(Denied, match="people-only"):
            client.call("recovery.approve", approval, Done)


def test_what_was_signed_is_this_case_and_this_person(house: House) -> None:
    assert house.open("member4").status == 303
    case = house.case()
    who = house.browser("contact4")
    page = who.send(f"/en/recoveries/{case.id}/approve", token=who.get("/en/keys").token)
    name, options = page.ceremony
    shown = who.key.get(options)
    path = f"/en/recoveries/{case.id}/approved"
    assert house.open("member5").status == 303
    other = house.case()
    # The assertion for one case is none for another; and it counts once.
    says(who.send(f"/en/recoveries/{other.id}/approved", token=page.token, ceremony=name, response=shown), "", 404)
    assert who.send(path, token=page.token, ceremony=name, response=shown).status == 303
    assert who.send(path, token=page.token, ceremony=name, response=shown).status in (403, 409)
    assert [len(one.approvals) for one in house.cases()[:2]] == [0, 1]


def test_a_burst_freezes_a_supplier_and_no_other(house: House) -> None:
    for person in ("member6", "contact6"):
        assert house.open(person).status == 303
    first = house.cases()[1]
    says(house.open("deputy6"), "frozen for a while", 409)
    with KeeperClient(house.keten.paths.operator_socket) as client:
        told = client.call("recovery.cases", AskRecoveries(), Recoveries)
    assert [one.supplier for one in told.frozen] == ["Supplier 6"]
    says(house.approve("owner", first), "frozen", 409)
    says(house.browser("desk").get("/en/recoveries"), "Recoveries at Supplier 6 are frozen", 200)


def test_somebody_of_the_organisation_is_approved_by_two_officers(house: House) -> None:
    parts = house.sent("admin")
    assert {one.slot for one in house.case().approvals} == {"security-officer", "privacy-officer"}
    new, answer = house.recover("admin", parts)
    assert answer.status == 303
    assert new.get("/en").status == 200
    person = house.ids["dpo"]
    says(new.send(f"/en/people/{person}/invite", token=new.get("/en/keys").token, hours="1"), "came back", 403)
    assert house.recover("admin", parts, Visitor(house.site("member0")))[1].status == 403


def test_a_changed_address_is_told_over_the_former_one(house: House) -> None:
    changed = {"member7": "thief@press.example"}
    house.keten.apply(rescue.estate(MANY, **changed))
    house.mail.wait("member7@press.example", CHANGED)
    house.mail.wait("member7@home.example", CHANGED)
    assert not house.mail.of("thief@press.example")
    time.sleep(2.5)  # so long one has to be there here, before a case
    assert house.open("member7").status == 303
    # In time the code would go to the new one; that it was asked for, the former one hears first.
    says(house.stop(house.stop_link("member7@press.example"), "member7"), "It is stopped", 200)


@pytest.mark.slow
def test_a_keeper_that_is_killed_goes_on_where_it_was(house: House) -> None:
    house.mail.refused.add("member8@home.example")
    assert house.open("member8").status == 303
    house.mail.wait("member8@press.example", OPENED)
    for by in ("contact8", "owner"):
        assert house.approve(by).status == 303
    time.sleep(4)
    assert house.case().state == "open"  # not everybody is told
    os.kill(house.keten.pid("keeper"), signal.SIGKILL)
    house.mail.refused.clear()
    assert back(house).state == "open"
    house.mail.wait("member8@home.example", OPENED, 60)
    assert len(house.mail.of("member8@press.example", OPENED)) == 1
    house.until("sent", 60)
    os.kill(house.keten.pid("keeper"), signal.SIGKILL)
    house.parts("member8")
    back(house)
    time.sleep(4)  # a part that was not noted as gone goes once more
    letters = [house.mail.of(f"member8@{at}", CODE)[-1] for at in ("press.example", "home.example")]
    newest = [PART.findall(letter.text)[0] for letter in letters]
    new, answer = house.recover("member8", (newest[0], newest[1]))
    deadline = time.monotonic() + 30
    while answer.status == 503 and time.monotonic() < deadline:  # the portal is not with the new keeper yet
        time.sleep(0.5)
        new, answer = house.recover("member8", (newest[0], newest[1]))
    assert answer.status == 303
    assert new.get("/en").status == 200


def test_no_answer_and_no_entry_holds_a_secret(house: House) -> None:
    """Whatever came by letter is in no answer of the keeper's, in no file, and in no entry."""
    secrets = {part for mail in _all(house) for part in PART.findall(mail)} | {
        link.rpartition("/")[2] for mail in _all(house) for link in rescue.STOP.findall(mail)
    }
    assert len(secrets) > 20
    with KeeperClient(house.keten.paths.operator_socket) as client:
        told = msgspec.json.encode(client.call("recovery.cases", AskRecoveries(), Recoveries)).decode()
    told += house.keten.command("ledger", "show", "--json", "--limit", "10000").stdout + house.keten.log()
    for person in ("desk", "contact3", "owner"):
        told += house.browser(person).get("/en/recoveries").text
    assert not [one for one in secrets if one in told]
    held = b"".join(path.read_bytes() for path in _files(house.keten.home))
    assert not [one for one in secrets if one.encode() in held]
    addresses = {f"{name}@press.example" for name in ("member2", "contact3")}
    assert not [one for one in addresses if one.encode() in held]


def test_no_verb_of_a_recovery_can_say_one() -> None:
    """What these verbs answer, to the last field: there is none in which a secret could be."""
    told = {verb: answer.__name__ for verb, (_asked, answer) in (RECOVERY_VERBS | RECOVERY_FACE_VERBS).items()}
    assert told == {
        "recovery.open": "RecoveryOpened",
        "recovery.approve": "Done",
        "recovery.cases": "Recoveries",
        "people.recover_begin": "Enrolment",
        "people.recover": "SessionOpened",
        "people.stop_recovery": "Done",
    }
    assert not {"mail.letter"} & (set(GATEWAY_VERBS) | set(OPERATOR_VERBS) | set(CONSOLE_VERBS))
    assert RecoveryOpened.__struct_fields__ == ("case",)


def _all(house: House) -> list[str]:
    return [mail.text for mail in house.mail.every()]


def _files(home: Path) -> Iterator[Path]:
    return (path for path in home.rglob("*") if path.is_file() and not path.is_socket())


def test_the_doctor_says_that_these_times_are_short(house: House) -> None:
    told = json.loads(house.keten.command("doctor", "--json").stdout)["findings"]
    (found,) = [one for one in told if one["code"] == "recovery-times"]
    assert "seasoned 2s" in found["what"]
    assert not [one for one in told if one["code"] == "no-mail"]


@pytest.mark.slow
def test_a_code_that_is_over_and_rights_that_come_back(tmp_path: Path) -> None:
    with House(tmp_path, 1, code="6s", reduced="6s") as short:
        file = short.keten.folder / "voters.csv"
        file.write_text("name,street\na,b\n")
        short.keten.run("put", "voters", str(file))
        short.everybody()
        parts = short.sent("member0")
        opened = Visitor(short.site("member0"))
        page = opened.send("/en/recover", token=opened.get("/en/recover").token, first=parts[0], second=parts[1])
        short.until("lapsed")
        name, options = page.ceremony  # begun in time, finished too late
        made = opened.key.create(options)
        assert opened.send("/en/recover/key", token=page.token, ceremony=name, response=made).status == 403
        assert short.recover("member0", parts)[1].status == 403
        again, answer = short.recover("member0", short.sent("member0"))
        assert answer.status == 303
        path = share(again)
        says(again.get(path, Sec_Fetch_Site="none"), "came back with a code", 403)
        time.sleep(6.5)
        assert again.get(path, Sec_Fetch_Site="none").status == 200
        # And then it is too late for "this is not me": who is in by now, is ended otherwise.
        says(short.stop(short.stop_link("member0@press.example", DONE), "member0"), "Nothing was stopped", 403)
