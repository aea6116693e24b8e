"""The estate at the console, over the real processes: looked at, applied as it was shown, and never over another's."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from keten.core.errors import Denied
from keten.drills.throwaway import Throwaway
from keten.keeper.client import KeeperClient
from keten.keeper.people_protocol import Invite, Invited
from keten.keeper.protocol import Apply
from keten.suppliers.estate import encode
from keten.suppliers.reading import parse
from tests.functional.staff import House
from tests.visitor import Answer, Visitor

PATH = "/en/estate"
MORE = '  - {id: nieuw, name: "Nieuw & <b>Zn</b>", country: NL, tier: low}\n'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("estate"))
    yield made
    made.close()


def hidden(page: Answer) -> dict[str, str]:
    """What the form of a page carries on."""
    found = re.findall(r'<input type="hidden" name="(text|base)" value="([^"]*)"', page.text)
    return {name: html.unescape(value) for name, value in found}


def looked(who: Visitor, text: str) -> Answer:
    """What a file would change."""
    page = who.get(PATH)
    return who.upload(PATH, text.encode(), token=page.token, text="")


def applied(house: House, who: Visitor, shown: Answer) -> Answer:
    """What was shown is applied, confirmed by the passkey."""
    fields = hidden(shown)
    confirm = who.send(f"{PATH}/confirm", token=shown.token, **fields)
    assert confirm.status == 200, confirm.text
    return house.confirmed(who, confirm, f"{PATH}/done", **hidden(confirm))


def test_a_file_is_looked_at_and_applied(house: House) -> None:
    administrator = house.browser("administrator")
    before = house.entries()
    shown = looked(administrator, house.estate(MORE))
    assert shown.status == 200
    assert "Nieuw &amp; &lt;b&gt;Zn&lt;/b&gt; becomes a supplier, by the name nieuw." in shown.text
    assert "Ends, for good" not in shown.text
    assert house.entries() == before, "looking records nothing"
    done = applied(house, administrator, shown)
    assert done.status == 200
    assert "The register was changed" in done.text
    assert "Nieuw &amp; &lt;b&gt;Zn&lt;/b&gt;" in administrator.get("/en/suppliers").text
    lines = house.instance.command("ledger", "show", "--kind", "suppliers.supplier.declared", "--json").stdout
    assert f"person:{house.id('person', 'administrator')}" in lines.splitlines()[-1]
    # What ends stands first, and is named on the page that is confirmed.
    shown = looked(administrator, house.estate())
    assert shown.text.index("Ends, for good") < shown.text.index("The supplier nieuw ends")
    confirm = administrator.send(f"{PATH}/confirm", token=shown.token, **hidden(shown))
    assert "The supplier nieuw ends: nobody of it gets anything any more." in confirm.text
    done = house.confirmed(administrator, confirm, f"{PATH}/done", **hidden(confirm))
    assert "The supplier nieuw ends" in done.text
    again = looked(administrator, house.estate(MORE))
    assert "The supplier nieuw stays ended." in again.text
    assert "Nothing: the register is what the file says." in again.text


def test_exactly_what_was_confirmed_is_applied(house: House) -> None:
    administrator = house.browser("administrator")
    shown = looked(administrator, house.estate(MORE.replace("nieuw", "exact")))
    confirm = administrator.send(f"{PATH}/confirm", token=shown.token, **hidden(shown))
    fields = hidden(confirm)
    before = house.entries()
    for lie in (
        {"text": fields["text"].replace("exact", "other")},
        {"text": fields["text"].replace("tier: low", "tier: high")},
        {"base": str(int(fields["base"]) - 1)},
    ):
        told = house.confirmed(administrator, confirm, f"{PATH}/done", **(fields | lie))
        assert told.status == 403, told.text
        confirm = administrator.send(f"{PATH}/confirm", token=shown.token, **hidden(shown))
    for base in ("", "0", "-1", "x", "9" * 30):
        told = house.confirmed(administrator, confirm, f"{PATH}/done", **(fields | {"base": base}))
        assert told.status == 400
    assert "exact" not in administrator.get("/en/suppliers").text
    assert house.entries() - before < 10, "refusals alone"
    # The lines of a browser's form end with two signs, which change nothing of what a file says.
    crossed = fields | {"text": fields["text"].replace("\r\n", "\n").replace("\n", "\r\n")}
    assert house.confirmed(administrator, confirm, f"{PATH}/done", **crossed).status == 200


def test_of_two_who_change_it_the_second_sees_what_the_first_did(house: House) -> None:
    administrator, manager = house.browser("administrator"), house.browser("supplier-manager")
    present = administrator.get(f"{PATH}/present").text
    first = looked(administrator, present.replace("countries:\n    - NL\n", "countries:\n    - NL\n    - BE\n"))
    second = looked(manager, present.replace("tier: high", "tier: critical"))
    confirm = manager.send(f"{PATH}/confirm", token=second.token, **hidden(second))
    assert applied(house, administrator, first).status == 200
    before = house.entries()
    for told in (
        house.confirmed(manager, confirm, f"{PATH}/done", **hidden(confirm)),
        manager.send(f"{PATH}/confirm", token=second.token, **hidden(second)),
    ):
        assert told.status == 409
        assert "somebody else changed the register" in told.text
        meanwhile, _, now = told.text.partition("Below is what your file would do now")
        assert "Contract changed" in now
        assert "administrator" in now
        assert "countries: no longer BE" in now, "it would take that back, and says so"
        assert meanwhile
    assert house.entries() - before <= 2, "that it was confirmed, and nothing else"
    # With the present estate at hand both changes hold.
    now = manager.get(f"{PATH}/present").text
    assert "- BE" in now
    shown = looked(manager, now.replace("tier: high", "tier: critical"))
    assert "importance: was high importance, becomes critical" in shown.text
    assert "countries: no" not in shown.text
    assert applied(house, manager, shown).status == 200


def test_who_may_not_take_the_others_change_back_is_told_what_it_was(house: House) -> None:
    administrator, manager = house.browser("administrator"), house.browser("supplier-manager")
    present = administrator.get(f"{PATH}/present").text
    second = looked(manager, present.replace("tier: low", "tier: medium"))
    assert applied(house, administrator, looked(administrator, present.replace("days: 90", "days: 60"))).status == 200
    told = manager.send(f"{PATH}/confirm", token=second.token, **hidden(second))
    assert told.status == 409
    assert "somebody else changed the register" in told.text
    assert "Dataset changed" in told.text
    assert "which an administrator does" in told.text
    assert "Apply it" not in told.text


def test_who_manages_suppliers_gives_nobody_of_the_organisation_a_role(house: House) -> None:
    """Not by a file at the screen, and not by the keeper's verb itself; nor takes a dataset from its owner."""
    manager = house.browser("supplier-manager")
    present = manager.get(f"{PATH}/present").text
    itself = "  - id: supplier-manager\n    email: unchanged\n    roles:\n    - supplier-manager\n"
    assert itself in present
    for own in (
        present.replace(itself, itself + "    - administrator\n"),
        present.replace(itself, ""),
        present.replace("people:\n", "people:\n  - {id: friend, email: f@example.org, roles: [administrator]}\n", 1),
        present.replace("owner: data-owner", "owner: supplier-manager"),
        present.replace("name: Gemeente Voorbeeld", "name: Other"),
    ):
        assert own != present
        before = house.entries()
        told = looked(manager, own)
        assert told.status == 403
        assert "which an administrator does" in told.text
        assert looked(house.browser("administrator"), own).status == 200
        estate = msgspec.Raw(encode(parse(own.encode(), "estate")))
        for body in (Apply(estate, plan_only=True), Apply(estate, base=1)):
            with pytest.raises(Denied, match=r"estate-inside|step-up"):
                house.say("supplier-manager", "suppliers.apply", body)
        assert house.entries() - before <= 1, "a refusal alone"
    own = present.replace("roles:\n      - contact", "roles:\n      - member")
    assert own != present
    shown = looked(manager, own)
    assert shown.status == 200
    assert "no longer contact" in shown.text
    # What is confirmed is looked at again in the transaction.
    confirm = manager.send(f"{PATH}/confirm", token=shown.token, **hidden(shown))
    assert house.confirmed(manager, confirm, f"{PATH}/done", **hidden(confirm)).status == 200
    assert applied(house, manager, looked(manager, present)).status == 200


def test_the_present_estate_is_a_file_without_addresses(house: House) -> None:
    administrator = house.browser("administrator")
    answer = administrator.get(f"{PATH}/present")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "application/yaml"
    assert "@" not in answer.text
    assert "drukwerk-batch" in answer.text
    shown = looked(administrator, answer.text)
    assert "Nothing: the register is what the file says." in shown.text


@pytest.mark.parametrize(
    ("content", "status", "there"),
    [
        (b"", 400, "Choose a file"),
        (b"  \n", 400, "Choose a file"),
        (b"organisation: {name: x\n", 400, "Line 2:"),
        (b"a: 1\n\nb: \xff\xfe\n", 400, "Line 3:"),
        (b"a: \x00\n", 400, "Line 1:"),
        (b"[" * 100_000, 400, "Line 1:"),
        (b"a: &x [1]\nb: *x\n", 400, "Line 2:"),
        (b"organisation: {name: x, country: NL, timezone: Europe/Amsterdam}\nsuppliers: [{id: a}]\n", 400, "Line 2:"),
        (b"x" * (4 * 1024 * 1024 + 1), 413, "larger than"),
        (b"# " + b"x" * (17 * 1024 * 1024), 400, "larger than"),
    ],
    ids=["empty", "blank", "half", "not-utf8", "nul", "deep", "alias", "missing", "large", "huge"],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(house: House, content: bytes, status: int, there: str) -> None:
    administrator = house.browser("administrator")
    before = house.entries()
    told = administrator.upload(PATH, content, token=administrator.get(PATH).token)
    assert told.status == status
    assert there in told.text
    assert house.entries() == before


def test_half_a_file_shows_what_would_end(house: House) -> None:
    """A file that was cut short where it is still whole YAML ends a lot: that stands first."""
    administrator = house.browser("administrator")
    text = administrator.get(f"{PATH}/present").text
    shown = looked(administrator, text[: text.index("\ngrants:")])
    assert shown.status == 200
    assert "The grant voters-for-print ends: nobody gets anything by it any more." in shown.text
    assert 'class="note tone-grave"' in shown.text


def test_a_file_with_mistakes_comes_back_in_the_form(house: House) -> None:
    administrator = house.browser("administrator")
    text = "organisation: {name: '</textarea><script>alert(1)</script>'}\n"
    told = administrator.send(PATH, token=administrator.get(PATH).token, text=text)
    assert told.status == 400
    assert "<script" not in told.text
    assert "&lt;/textarea&gt;&lt;script&gt;" in told.text
    assert 'aria-invalid="true"' in told.text


def test_a_file_goes_nowhere_else(house: House) -> None:
    officer = house.browser("security-officer")
    path = f"/en/suppliers/{house.id('supplier', 'leeg')}/end"
    told = officer.upload(path, b"x", token=officer.get(path).token, reason="x")
    assert told.status == 400


def test_a_mistake_is_told_in_dutch_with_the_line_that_has_it(house: House) -> None:
    administrator, path = house.browser("administrator"), "/nl/estate"
    text = house.estate().replace("tier: high", "tier: hoog")
    told = administrator.send(path, token=administrator.get(path).token, text=text)
    assert told.status == 400
    said = html.unescape(told.text)
    assert '<bdi lang="nl">belang \'hoog\' is niet bekend; het is een van: low, medium, high, critical</bdi>' in said
    assert '<code class="source">tier: hoog</code>' in said


def test_whoever_would_end_itself_is_told(house: House) -> None:
    administrator = house.browser("administrator")
    other = house.estate().replace("{id: administrator,", "{id: other-administrator,")
    shown = looked(administrator, other)
    assert "This ends you" in shown.text
    confirm = administrator.send(f"{PATH}/confirm", token=shown.token, **hidden(shown))
    assert "This ends you" in confirm.text
    assert "This ends you" not in looked(administrator, house.estate(MORE)).text


def test_what_was_looked_at_can_be_changed_again(house: House) -> None:
    administrator = house.browser("administrator")
    shown = looked(administrator, house.estate(MORE))
    form = administrator.send(PATH, token=shown.token, edit="yes", **hidden(shown))
    assert form.status == 200
    assert MORE in html.unescape(form.text)


def test_the_example_is_not_put_below_what_is_there(house: House) -> None:
    page = house.browser("administrator").get(f"{PATH}?example=yes").text
    assert "Put the example into the field" not in page
    assert re.search(r"<textarea[^>]*>\s*</textarea>", page)
    assert "Example Printers" in page, "to look at"


def test_a_new_instance_is_filled_by_the_example(tmp_path: Path) -> None:
    """Put into the field and applied as it stands: something comes in, and nobody ends."""
    instance = Throwaway(tmp_path)
    instance.up()
    try:
        me = "people: [{id: me, email: me@example.org, roles: [administrator]}]\n"
        instance.apply(f"organisation: {{name: Proef, country: NL, timezone: Europe/Amsterdam}}\n{me}")
        with KeeperClient(instance.paths.operator_socket) as client:
            token = client.call("people.invite", Invite("me"), Invited).token
        site = str(instance.ready["console"])
        visitor = Visitor(site)
        assert visitor.enrol(f"{site}/en/enrol#{token}").status == 303
        assert "an example is there" in visitor.get("/en").text
        assert 'href="/nl/estate?example=yes#text"' in visitor.get("/nl/estate").text
        page = visitor.get("/nl/estate?example=yes")
        found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
        assert found is not None
        shown = visitor.send("/nl/estate", token=page.token, text=html.unescape(found[1]))
        assert shown.status == 200
        assert "Drukkerij Voorbeeld wordt leverancier" in shown.text
        assert "Eindigt, voorgoed" not in shown.text
    finally:
        instance.down()
