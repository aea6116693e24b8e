"""What a person may reach, who owns it, and the ways to reach the person itself, from an estate file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from keten.core.clock import DAY
from keten.core.errors import Invalid
from keten.identity.forgetting import forget
from keten.identity.model import Addresses, Person
from keten.identity.recovery import channels, service
from keten.identity.recovery.rows import ChannelRow
from keten.identity.recovery.service import Reach
from keten.suppliers.reach import STAFF_REACH, reach_of
from keten.vault.personal import Seals
from tests.unit.suppliers.instances import Instance, key_line

ESTATE = """
organisation: {{name: Rijnstad, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: owner, email: owner@example.org, roles: [data-owner]}}
  - {{id: other, email: other@example.org, roles: [data-owner, helpdesk]}}
  - {{id: nobody, email: nobody@example.org, roles: [auditor]}}
suppliers:
  - id: drukker
    name: Drukkerij
    country: NL
    tier: high
    people:
      - {{id: contact, email: contact@example.org, roles: [contact]}}
      - {{id: member, {member}}}
      - {{id: idle, email: idle@example.org}}
    clients: [{{id: batch, keys: ["{key}"]}}]
contracts:
  - {{id: now, supplier: drukker, starts: 2025-01-01, ends: 2026-12-31, purposes: [cards]}}
  - {{id: later, supplier: drukker, starts: 2027-01-01, ends: 2027-12-31, purposes: [cards]}}
datasets:
  - {{id: voters, owner: owner, classification: confidential, retention_days: 90}}
  - {{id: streets, owner: other, classification: internal, retention_days: 90}}
  - {{id: plans, owner: nobody, classification: secret, retention_days: 90}}
grants:
  - {{id: g1, dataset: voters, contract: now, purpose: cards, form: file, to: [member]}}
  - {{id: g2, dataset: streets, contract: later, purpose: cards, form: file, to: [batch]}}
  - {{id: g3, dataset: plans, contract: now, purpose: cards, form: file, to: [contact]}}
"""
ONE = "email: Member@example.org"
TWO = "email: Member@example.org, second_email: member@home.example"
AFTER_2026 = 1_800_000_000_000_000


class House:
    """A register made from the estate, again with other words about the member."""

    def __init__(self, folder: Path) -> None:
        self.instance = Instance(folder)

    def apply(self, member: str = ONE) -> dict[str, str]:
        estate = ESTATE.format(member=member, key=key_line("batch"))
        return self.instance.apply(estate).ids["person"]

    def reach(self, name: str, now_us: int = 0) -> Reach:
        register = self.instance.register()
        person = register.named("person", name)
        assert isinstance(person, Person)
        return reach_of(register, person, now_us or self.instance.now_us)

    def rows(self, person: str) -> list[tuple[str, ChannelRow]]:
        with self.instance.reader.connect() as reading:
            seals = Seals(self.instance.keys, reading)
            return [(channels.address_of(row, seals), row) for row in service.channel_rows(reading, person)]

    def addresses(self, person: str) -> set[tuple[str, bool]]:
        return {(address, not row.ended_us) for address, row in self.rows(person)}

    def told(self, person: str) -> set[str]:
        with self.instance.reader.connect() as reading:
            seals = Seals(self.instance.keys, reading)
            return {channels.address_of(row, seals) for row in channels.to_be_told(reading, person)}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_person_reaches_what_it_is_granted(house: House) -> None:
    ids = house.apply()
    assert house.reach("member") == Reach(("confidential",), (ids["owner"],))


def test_a_contact_reaches_all_that_is_granted_to_its_supplier_also_what_begins_later(house: House) -> None:
    ids = house.apply()
    # The owner of `plans` holds no role that approves; its class counts all the same.
    everything = Reach(("confidential", "internal", "secret"), tuple(sorted((ids["owner"], ids["other"]))))
    assert house.reach("contact") == everything
    assert house.reach("idle") == everything


def test_what_nobody_has_confirmed_is_reached_as_long_as_it_may_come_back(house: House) -> None:
    """Else a person whose secret data has lapsed for a week would recover after a day, and get it back by a tick."""
    ids = house.apply()
    text = ESTATE.format(member=ONE, key=key_line("batch")).replace("Amsterdam}", "Amsterdam, confirm_grants_days: 5}")
    house.instance.apply(text)
    house.instance.now_us += 6 * DAY
    assert house.reach("member") == Reach(("confidential",), (ids["owner"],))


def test_what_is_over_is_not_reached(house: House) -> None:
    ids = house.apply()
    assert house.reach("contact", AFTER_2026) == Reach(("internal",), (ids["other"],))
    register = house.instance.register()
    grant = register.named("grant", "g1")
    assert grant is not None
    house.instance.end("grant", grant.id)
    assert house.reach("member").classes == ("confidential", "internal", "secret")[1:]
    house.instance.end("person", ids["other"])
    assert house.reach("member").owners == ()


def test_the_organisations_own_reach_the_highest_class(house: House) -> None:
    house.apply()
    assert house.reach("other") == STAFF_REACH == Reach(("secret",), ())


def test_one_address_is_no_channel_and_two_are(house: House) -> None:
    ids = house.apply()
    assert house.addresses(ids["member"]) == set()
    house.apply(TWO)
    assert house.addresses(ids["member"]) == {("Member@example.org", True), ("member@home.example", True)}
    assert house.told(ids["member"]) == set()
    size = house.instance.size()
    house.apply(TWO)
    assert house.instance.size() == size
    row = house.instance.register().person(ids["member"])
    assert row is not None
    opened = Seals(house.instance.keys, house.instance.reader.connect()).open_for(row.id, row.sealed)
    assert msgspec.json.decode(opened, type=Addresses).all == ("Member@example.org", "member@home.example")


def test_who_comes_with_two_has_both_from_then_on(house: House) -> None:
    ids = house.apply(TWO)
    assert {row.since_us for _address, row in house.rows(ids["member"])} == {house.instance.now_us}


def test_a_changed_address_is_told_where_it_led_before(house: House) -> None:
    ids = house.apply()
    house.apply("email: thief@example.net, second_email: thief@example.com")
    every = {("Member@example.org", False), ("thief@example.net", True), ("thief@example.com", True)}
    assert house.addresses(ids["member"]) == every
    house.apply("email: thief@example.net, second_email: thief@example.org")
    assert house.told(ids["member"]) >= {"Member@example.org", "thief@example.com", "thief@example.net"}
    assert "thief@example.org" not in house.told(ids["member"])
    assert ("thief@example.com", False) in house.addresses(ids["member"])


def test_it_begins_anew_when_it_comes_back(house: House) -> None:
    ids = house.apply(TWO)
    began = house.instance.now_us
    house.apply(ONE)
    house.apply(TWO)
    home = [row for address, row in house.rows(ids["member"]) if address == "member@home.example"]
    assert [bool(row.ended_us) for row in home] == [True, False]
    assert home[1].since_us > began
    assert house.rows(ids["member"])[0][1].since_us == began


def test_erasing_takes_all_of_them(house: House) -> None:
    ids = house.apply(TWO)

    house.instance.write(lambda writing: forget(writing, ids["member"], "operator:x"))
    with house.instance.reader.connect() as reading:
        assert all(not row.sealed and row.ended_us for row in service.channel_rows(reading, ids["member"]))


@pytest.mark.parametrize("second", ["no.address", "MEMBER@example.org", "a@b"])
def test_what_is_no_second_address_is_refused(house: House, second: str) -> None:
    with pytest.raises(Invalid) as refused:
        house.apply(f"{ONE}, second_email: {second}")
    assert "address" in str(refused.value)
    assert second not in str(refused.value)


def test_what_is_unchanged_is_as_in_the_register(house: House) -> None:
    ids = house.apply(TWO)
    size = house.instance.size()
    for said in ("email: unchanged", "email: unchanged, second_email: unchanged", f"{ONE}, second_email: unchanged"):
        house.apply(said)
        assert house.instance.size() == size, said
    house.apply("email: unchanged, second_email: m@other.example")
    every = {("Member@example.org", True), ("member@home.example", False), ("m@other.example", True)}
    assert house.addresses(ids["member"]) == every
    house.apply("email: new@example.org, second_email: unchanged")
    assert {one for one, there in house.addresses(ids["member"]) if there} == {"new@example.org", "m@other.example"}
    with pytest.raises(Invalid, match="write both"):
        house.apply("email: M@other.example, second_email: unchanged")
    house.apply("email: new@example.org")
    assert {one for one, there in house.addresses(ids["member"]) if there} == {"new@example.org"}


def test_nothing_is_unchanged_of_somebody_new(house: House) -> None:
    with pytest.raises(Invalid, match="needs one in the register"):
        house.apply(f"{ONE}, second_email: unchanged")
