"""Grants and roles that have to be confirmed, over the real processes: at the console and at the command line."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest

from keten.core.errors import Denied, NotFound
from keten.keeper.client import KeeperClient
from keten.keeper.rights_protocol import AskUnconfirmed, ConfirmGrants, ConfirmRoles, EndGrant, Unconfirmeds
from tests.functional.staff import House
from tests.visitor import Visitor

OTHERS = """
  - {id: elsewhere-for-print, dataset: elsewhere, contract: vwo-2026-014, purpose: print, form: file, label: elsewhere}
  - {id: spare, dataset: voters, contract: vwo-2026-014, purpose: print, form: file, label: spare}
"""
PATH = "/en/rights"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("rights"))
    made.confirming(OTHERS)
    yield made
    made.close()


def page(who: Visitor) -> str:
    answer = who.get(PATH)
    assert answer.status == 200, answer.text
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.text)))


def waiting(house: House) -> dict[str, Any]:
    with KeeperClient(house.instance.paths.operator_socket) as client:
        found = client.call("rights.unconfirmed", AskUnconfirmed(), Unconfirmeds)
    assert not found.broken
    assert not found.cut
    return {one.name: one for one in found.rights}


def test_an_owner_confirms_grants_of_its_own(house: House) -> None:
    owner, start, before = house.browser("data-owner"), house.entries(), waiting(house)
    said = page(owner)
    assert "voters-for-print" in said
    assert "elsewhere-for-print" not in said, "of another owner"
    assert "People's roles" not in said, "not for an owner"
    row = house.id("grant", "voters-for-print")
    asked = owner.send(f"{PATH}/grants", token=owner.get(PATH).token, **{f"right-{row}": "on"})
    assert asked.status == 200
    assert "drukwerk may use voters for print, 20 days more from now (voters-for-print)" in html.unescape(asked.text)
    assert house.confirmed(owner, asked, f"{PATH}/grants/done", ids=row).status == 303
    after = waiting(house)
    assert after["voters-for-print"].until > before["voters-for-print"].until
    assert after["spare"].until == before["spare"].until
    assert house.acted(start) == ["identity.person.acted", "suppliers.grant.confirmed"]
    assert after["voters-for-print"].used, "it was fetched"
    assert not after["spare"].used


def test_nothing_ticked_is_said(house: House) -> None:
    owner = house.browser("data-owner")
    answer = owner.send(f"{PATH}/grants", token=owner.get(PATH).token)
    assert answer.status == 400
    assert "Choose what you confirm" in answer.text


def test_another_owners_grant_looks_absent(house: House) -> None:
    row, before, refused = house.id("grant", "elsewhere-for-print"), waiting(house), house.refusals("data-owner")
    for verb, body in (
        ("rights.confirm_grants", ConfirmGrants((house.id("grant", "spare"), row))),
        ("rights.end", EndGrant(row, "over")),
        ("rights.unconfirmed", AskUnconfirmed()),
        ("rights.unconfirmed", AskUnconfirmed(house.id("person", "other-owner"))),
    ):
        with pytest.raises(NotFound) as caught:
            house.say("data-owner", verb, body)
        assert caught.value.code == "absent"
    assert waiting(house) == before
    assert house.refusals("data-owner") == refused + 4


def test_an_owner_ends_a_grant(house: House) -> None:
    owner, start = house.browser("data-owner"), house.entries()
    path = f"{PATH}/{house.id('grant', 'spare')}/end"
    assert "End the grant spare" in owner.get(path).text
    asked = owner.send(path, token=owner.get(path).token, reason="the project is over")
    done = house.confirmed(owner, asked, f"{path}/done", reason="the project is over")
    assert done.status == 200, done.text
    assert "spare" not in waiting(house)
    assert house.acted(start) == ["identity.person.acted", "suppliers.grant.ended"]
    assert owner.get(path).status == 409, "what has ended stays ended"


def test_roles_are_confirmed_by_somebody_else(house: House) -> None:
    admin, start, before = house.browser("administrator"), house.entries(), waiting(house)
    shown = admin.get(PATH).text
    own, auditor = house.id("person", "administrator"), house.id("person", "auditor")
    assert f'name="right-{auditor}"' in shown
    assert f'name="right-{own}"' not in shown
    assert f'name="right-{house.id("grant", "voters-for-print")}"' not in shown, "no owner of data"
    asked = admin.send(f"{PATH}/persons", token=admin.get(PATH).token, **{f"right-{auditor}": "on"})
    assert "auditor keeps its roles, 20 days more from now." in asked.text
    assert house.confirmed(admin, asked, f"{PATH}/persons/done", ids=auditor).status == 303
    assert waiting(house)["auditor"].until > before["auditor"].until
    assert house.acted(start) == ["identity.person.acted", "identity.person.confirmed"]


def test_who_may_confirm_whose_roles(house: House) -> None:
    contact, auditor = house.id("person", "drukster"), house.id("person", "auditor")
    shown = house.browser("supplier-manager").get(PATH).text
    assert f'name="right-{contact}"' in shown
    assert f'name="right-{auditor}"' not in shown
    manager = house.browser("supplier-manager")
    asked = manager.send(f"{PATH}/persons", token=manager.get(PATH).token, **{f"right-{contact}": "on"})
    assert house.confirmed(manager, asked, f"{PATH}/persons/done", ids=contact).status == 303
    for person, people in (
        ("supplier-manager", (auditor,)),
        ("supplier-manager", (contact, auditor)),
        ("privacy-officer", (contact,)),
        ("auditor", (contact,)),
    ):
        with pytest.raises(Denied) as caught:
            house.say(person, "rights.confirm_roles", ConfirmRoles(people))
        assert caught.value.code == "not-allowed"


@pytest.mark.parametrize("role", ["privacy-officer", "auditor"])
def test_whoever_may_only_see_it_has_nothing_to_tick(house: House, role: str) -> None:
    shown = house.browser(role).get(PATH).text
    assert "voters-for-print" in shown
    assert "checkbox" not in shown
    assert "Confirm what is ticked" not in shown


def test_the_helpdesk_does_not_see_it(house: House) -> None:
    assert house.browser("helpdesk").get(PATH).status == 404


def test_at_the_command_line(house: House) -> None:
    rights = {one["name"]: one for one in house.instance.run("confirm", "list")["rights"]}
    assert rights["elsewhere-for-print"]["by"] == "other-owner"
    assert rights["drukster"]["roles"] == ["contact"]
    assert house.instance.run("confirm", "list", "--days", "1")["rights"] == []
    done = house.instance.run("confirm", "grant", "elsewhere-for-print", "voters-for-print")["entries"]
    assert set(done) == {"elsewhere-for-print", "voters-for-print"}
    assert len(house.instance.run("confirm", "role", "auditor")["entries"]) == 1
    shown = house.instance.command("confirm", "list").stdout
    assert "elsewhere, print" in shown
    assert "never" in shown


def test_all_of_them_or_none(house: House) -> None:
    before = waiting(house)
    failed = house.instance.command("confirm", "grant", "elsewhere-for-print", "spare")
    assert failed.returncode != 0
    assert "It has ended" in failed.stderr
    assert waiting(house) == before
    unknown = house.instance.command("confirm", "grant", "nobody-knows")
    assert unknown.returncode != 0
    assert "There is no grant 'nobody-knows'" in unknown.stderr
