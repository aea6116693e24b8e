"""Who has what: only what the policies allow is open, and what does not hold is never shown as fine."""

from __future__ import annotations

import pytest

from tests.unit.console.house import CLIENT, CONTRACT, DAY, GRANT, SUPPLIER, House
from tests.unit.suppliers.instances import ESTATE, START_US, key_line

ENDS_US = 1_798_758_000_000_000  # 2027-01-01T00:00 in Amsterdam
SECOND_GRANT = f"""
  - id: voters-again
    dataset: voters
    contract: {CONTRACT}
    purpose: election-cards
    form: file
"""


def test_a_grant_in_force_is_open_until_its_contract_ends(house: House) -> None:
    house.declare()
    house.put(records=100)
    house.put("more.csv", records=20)
    share = house.share()
    assert (share.state, share.reasons, share.until_us) == ("open", (), ENDS_US)
    assert (share.supplier, share.dataset, share.contract, share.purpose) == (
        "Drukwerk BV",
        "voters",
        CONTRACT,
        "election-cards",
    )
    assert (share.records, share.files, share.clients, share.received) == (120, 2, 1, None)
    assert (share.budget_records, share.budget_per) == (250_000, "day")
    assert START_US < (share.since_us or 0) < house.now_us


def test_a_contract_that_has_not_started_is_waiting(house: House) -> None:
    house.declare(ESTATE.replace("starts: 2026-01-01", "starts: 2026-06-01"))
    share = house.share()
    assert (share.state, share.reasons) == ("waiting", ("contract-not-started",))
    assert share.since_us == share.starts_us
    assert not share.never


def test_a_contract_ends_by_itself(house: House) -> None:
    house.declare()
    file = house.put()
    house.fetched(file)
    house.now_us = ENDS_US - 1_000_000
    assert house.share().state == "open"
    house.now_us = ENDS_US
    share = house.share()
    assert (share.state, share.reasons, share.until_us) == ("closed", ("contract-ended",), ENDS_US)
    assert share.received is not None
    assert share.received.sure == 100  # what went out stays out


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("supplier", SUPPLIER, "supplier-ended"),
        ("contract", CONTRACT, "revoked"),
        ("grant", GRANT, "revoked"),
        ("client", CLIENT, "client-ended"),
    ],
)
def test_what_was_revoked_is_closed_since_then(house: House, kind: str, name: str, reason: str) -> None:
    house.declare()
    house.put()
    assert house.share().state == "open"
    house.end(kind, house.id(kind, name))
    share = house.share()
    assert share.state == "closed"
    assert reason in share.reasons
    assert share.until_us == house.now_us


def test_a_dataset_that_left_the_estate_is_closed(house: House) -> None:
    house.declare()
    house.declare(ESTATE[: ESTATE.index("datasets:")] + "datasets: []\n")
    assert house.share().state == "closed"


def test_what_ended_before_it_began_was_never_open(house: House) -> None:
    house.declare(ESTATE.replace("starts: 2026-01-01", "starts: 2026-06-01"))
    house.end("grant", house.id("grant", GRANT))
    share = house.share()
    assert share.state == "closed"
    assert share.never


_CLIENTS = f'    clients: [{{id: drukwerk-batch, keys: ["{key_line("batch")}"]}}]\n'
_PEOPLE = "    people:  [{id: drukwerk-ops, email: ops@drukwerk.example}]\n"
_TO = "    to: [drukwerk-batch]\n"


def test_a_supplier_of_nobody_can_fetch_nothing(house: House) -> None:
    assert _CLIENTS in ESTATE
    assert _PEOPLE in ESTATE
    house.declare(ESTATE.replace(_CLIENTS, "").replace(_PEOPLE, "").replace(_TO, ""))
    share = house.share()
    assert (share.state, share.reasons, share.clients) == ("closed", ("no-client",), 0)


def test_people_who_fetch_at_the_portal_are_access_too(house: House) -> None:
    """Without any system account: open as long as somebody may, closed since the last one was ended."""
    house.declare(ESTATE.replace(_CLIENTS, "").replace(_TO, ""))
    assert (house.share().state, house.share().clients) == ("open", 0)
    house.end("person", house.id("person", "drukwerk-ops"))
    share = house.share()
    assert (share.state, share.reasons, share.until_us) == ("closed", ("revoked", "client-ended"), house.now_us)


def test_a_grant_to_systems_alone_gives_people_nothing(house: House) -> None:
    assert _TO in ESTATE
    house.declare()
    house.end("client", house.id("client", CLIENT))
    assert house.share().state == "closed"


def test_secret_data_is_not_open_though_it_is_granted(house: House) -> None:
    house.declare(ESTATE.replace("classification: confidential", "classification: secret"))
    share = house.share()
    assert (share.state, share.reasons) == ("closed", ("classification-not-allowed",))


def test_expired_content_cannot_be_fetched(house: House) -> None:
    house.declare()
    house.put(records=7)
    house.now_us += 90 * DAY - 2_000_000
    assert house.share().records == 7
    house.now_us += 3_000_000
    assert (house.share().records, house.share().files) == (0, 0)


# ---- what was received ---------------------------------------------------------------------------------------------


def test_a_file_fetched_twice_counts_once(house: House) -> None:
    house.declare()
    file = house.put(records=100)
    house.fetched(file)
    house.fetched(file)
    received = house.share().received
    assert received is not None
    assert (received.sure, received.most, received.files) == (100, 100, 1)


def test_a_part_may_be_all_of_it(house: House) -> None:
    house.declare()
    file = house.put(records=100, size=5000)
    house.delivered(file, house.opened(file), end="cut", bytes=1000)
    received = house.share().received
    assert received is not None
    assert (received.sure, received.most) == (0, 100)
    house.delivered(file, house.opened(file, 4000), bytes=4000)  # the rest of it
    resumed = house.share().received
    assert resumed is not None
    assert (resumed.sure, resumed.most) == (100, 100)


def test_nothing_sent_is_nothing_received(house: House) -> None:
    house.declare()
    file = house.put()
    house.delivered(file, house.opened(file), end="client-closed", bytes=0)
    assert house.share().received is None


def test_after_a_kill_what_may_have_gone_counts_as_possible(house: House) -> None:
    house.declare()
    file = house.put(records=100)
    house.delivered(file, house.opened(file), end="unknown", at_least=0, at_most=5000)
    received = house.share().received
    assert received is not None
    assert (received.sure, received.most) == (0, 100)


def test_two_grants_show_their_own_and_count_together_once(house: House) -> None:
    house.declare(ESTATE + SECOND_GRANT)
    file = house.put(records=100)
    house.fetched(file)
    house.fetched(file, grant="voters-again")
    overview = house.overview()
    assert [one.received.sure for one in overview.shares if one.received] == [100, 100]
    assert (overview.held.sure, overview.held.most) == (100, 100)


def test_destroyed_content_was_still_received(house: House) -> None:
    from keten.vault import service as vault

    house.declare()
    file = house.put(records=100)
    house.fetched(file)
    house.write(lambda writing: vault.destroy_object(writing, file, "no longer needed", "operator:tester"))
    share = house.share()
    assert share.records == 0
    assert share.received is not None
    assert share.received.sure == 100


# ---- what someone changed behind the keeper's back -----------------------------------------------------------------

TABLES = ("suppliers", "contracts", "grants", "datasets", "clients")
CHANGES = {
    "longer": "UPDATE {table} SET body = CAST(replace(CAST(body AS TEXT), '2026', '2099') AS BLOB)",
    "renamed": "UPDATE {table} SET name = 'someone-else'",
    "empty": "UPDATE {table} SET body = x''",
    "no json": "UPDATE {table} SET body = x'ff00ff'",
    "number": "UPDATE {table} SET body = 42",
    "text": "UPDATE {table} SET body = CAST(body AS TEXT)",
    "no text": "UPDATE {table} SET name = CAST(x'ff' AS TEXT)",
    "other entry": "UPDATE {table} SET entry = 1",
    "no such entry": "UPDATE {table} SET entry = 999999",
}


PAIRS = [(table, change) for table in TABLES for change in CHANGES if change != "longer"] + [("contracts", "longer")]


@pytest.mark.parametrize(("table", "change"), PAIRS)
def test_a_changed_row_is_named_and_nothing_on_it_is_open(house: House, table: str, change: str) -> None:
    house.declare()
    file = house.put()
    house.fetched(file)
    assert house.tamper(CHANGES[change].format(table=table)) > 0
    overview = house.overview()
    assert all(one.state in ("unknown", "closed") for one in overview.shares)
    assert any(one.state == "unknown" for one in overview.shares)
    concern = next(one for one in overview.concerns if one.code == "rows-mismatch")
    assert concern.grave
    assert {row.table for row in concern.rows} == {table}


def test_what_was_received_under_a_changed_grant_is_still_shown(house: House) -> None:
    house.declare()
    house.fetched(house.put(records=100))
    house.tamper("UPDATE grants SET body = x''")
    (share,) = house.overview().shares
    assert (share.state, share.supplier, share.dataset) == ("unknown", "Drukwerk BV", "voters")
    assert share.received is not None
    assert share.received.sure == 100
    assert share.until_us is None


def test_a_changed_file_makes_the_count_unknown(house: House) -> None:
    house.declare()
    file = house.put(records=100)
    house.fetched(file)
    house.tamper("UPDATE objects SET body = CAST(replace(CAST(body AS TEXT), '100', '1') AS BLOB)")
    overview = house.overview()
    (share,) = overview.shares
    assert share.records is None
    assert share.received is not None
    assert share.received.most is None
    assert overview.held.most is None


def test_a_row_that_nobody_recorded_is_named(house: House) -> None:
    house.declare()
    house.tamper(
        "INSERT INTO grants (id, name, dataset, contract, supplier, body, entry) "
        "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaa', name, dataset, contract, supplier, body, entry FROM grants"
    )
    overview = house.overview()
    assert [one.state for one in overview.shares] == ["open"]
    (concern,) = [one for one in overview.concerns if one.code == "rows-mismatch"]
    assert [row.row for row in concern.rows] == ["a" * 26]
