"""The screens on which people ask for what takes two, sign it, refuse it, and see what waits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.functional.staff import House
from tests.visitor import Visitor

HASH = re.compile(r'class="id">([0-9a-f]{64})<')


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("proposals"))
    for role in ("administrator", "privacy-officer", "security-officer", "auditor"):
        made.browser(role)
    yield made
    made.instance.run("ledger", "verify")
    made.close()


def ask(house: House, who: Visitor, path: str, **fields: str) -> str:
    """Ask for it with the passkey; the page of what then waits."""
    page = who.get(path)
    confirm = who.send(path, token=page.token, **fields)
    assert "until another person has signed too" in confirm.text, confirm.text
    done = house.confirmed(who, confirm, f"{path}/done", **fields)
    assert done.status == 303, done.text
    assert re.fullmatch(r"/en/proposals/[a-z2-7]{26}", done.place)
    return done.place


def sign(house: House, who: Visitor, path: str, **changed: str) -> int:
    """Sign it with the passkey; the status. changed: what the form carries on in place of what was shown."""
    page = who.get(path)
    confirm = who.send(path, token=page.token, action="sign")
    assert "Your passkey signs for exactly this" in confirm.text, confirm.text
    (what,), (act,) = HIDDEN["what"].findall(confirm.text), HIDDEN["act"].findall(confirm.text)
    assert act in page.text
    return house.confirmed(who, confirm, f"{path}/done", **({"what": what, "act": act} | changed)).status


HIDDEN = {name: re.compile(rf'name="{name}" value="([^"]*)"') for name in ("what", "act")}


def test_a_dataset_is_destroyed_by_two(house: House) -> None:
    officer, administrator = house.browser("security-officer"), house.browser("administrator")
    dataset = f"/en/datasets/{house.id('dataset', 'voters')}"
    assert f"{dataset}/destroy" in officer.get(dataset).text
    assert f"{dataset}/destroy" not in administrator.get(dataset).text
    asked = officer.get(f"{dataset}/destroy")
    assert "Files with their keys and content (1)" in asked.text
    for reason in ("", "  ", "two\nlines", "x" * 501):
        refused = officer.send(f"{dataset}/destroy", token=asked.token, reason=reason)
        assert refused.status == 400
        assert 'aria-invalid="true"' in refused.text
    path = ask(house, officer, f"{dataset}/destroy", reason="the <b>election</b> is over")
    page = officer.get(path)
    assert "the &lt;b&gt;election&lt;/b&gt; is over" in page.text
    assert "You have signed. It waits for another person." in page.text
    assert ">Sign…<" not in page.text
    assert officer.send(path, token=page.token, action="sign").status == 403
    listed = administrator.get("/en/proposals").text
    assert path in listed
    assert "drukster" in listed
    # What was changed in between is not signed, and nothing happens.
    (other,) = HASH.findall(administrator.get(f"/en/proposals/{house.proposed}").text)
    assert sign(house, administrator, path, act=other) == 403
    assert "Waits" in administrator.get(path).text
    assert sign(house, administrator, path) == 303
    done = administrator.get(path).text
    assert "Carried out" in done
    for name in ("security-officer", "administrator"):
        assert name in done
    assert administrator.get(f"{dataset}/destroy").status == 404
    assert officer.get(f"{dataset}/destroy").status == 409


def test_what_the_command_line_asked_takes_two_signatures(house: House) -> None:
    privacy, administrator = house.browser("privacy-officer"), house.browser("administrator")
    path = f"/en/proposals/{house.proposed}"
    page = privacy.get(path).text
    assert "at the command line, without a passkey" in page
    assert "2 people have to sign" in page
    assert "GDPR 17" in page
    officer = house.browser("security-officer")
    assert officer.send(path, token=officer.get("/en/keys").token).status == 400
    assert ">Sign…<" not in house.browser("security-officer").get(path).text, "no right to approve an erasure"
    assert sign(house, privacy, path) == 303
    assert "It waits for another person" in privacy.get(path).text
    assert sign(house, administrator, path) == 303
    assert "Carried out" in administrator.get(path).text
    assert path not in administrator.get("/en/proposals").text
    assert path in administrator.get("/en/proposals?state=all").text


def test_it_is_refused_and_taken_back(house: House) -> None:
    privacy, administrator = house.browser("privacy-officer"), house.browser("administrator")
    person = f"/en/people/{house.id('person', 'leaver')}"
    assert f"{person}/erase" in privacy.get(person).text
    path = ask(house, privacy, f"{person}/erase", reason="asked by letter", basis="GDPR 17(1)(b)")
    page = administrator.get(path)
    assert administrator.send(path, token=page.token, action="refuse", reason="").status == 400
    assert administrator.send(path, token=page.token, action="burn").status == 400
    assert administrator.send(path, token=page.token, action="refuse", reason="the dispute goes on").place == path
    page = administrator.get(path)
    assert "the dispute goes on" in page.text
    assert administrator.send(path, token=administrator.get("/en/keys").token, action="sign").status == 409
    path = ask(house, privacy, f"{person}/erase", reason="asked by letter", basis="")
    assert privacy.send(path, token=privacy.get(path).token, action="refuse", reason="a mistake").place == path
    assert "Refused" in privacy.get(path).text


def test_what_is_held_is_not_signed(house: House) -> None:
    privacy, administrator = house.browser("privacy-officer"), house.browser("administrator")
    person = f"/en/people/{house.id('person', 'leaver')}"
    path = ask(house, privacy, f"{person}/erase", reason="asked by letter", basis="")
    house.instance.run("hold", "set", "subject", "leaver", "--reason", "case 2026-31")
    page = administrator.get(path)
    assert "A legal hold keeps it" in page.text
    assert ">Sign…<" not in page.text
    assert administrator.send(path, token=page.token, action="sign").status == 409


def test_an_auditor_sees_it_and_answers_nothing(house: House) -> None:
    auditor = house.browser("auditor")
    path = f"/en/proposals/{house.proposed}"
    page = auditor.get(path)
    assert page.status == 200
    assert ">Sign…<" not in page.text
    token = auditor.get("/en/keys").token
    for action in ("sign", "refuse"):
        assert auditor.send(path, token=token, action=action, reason="x").status in (403, 409)
    for absent in (f"/en/proposals/{house.id('person', 'auditor')}", "/en/proposals/x"):
        assert auditor.get(absent).status == 404
