"""What happened, read from the ledger: accesses with their ends, refusals, endings; and entries that cannot be read."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keten.console.history import RECENT, History
from keten.keeper import entries as keeper
from tests.unit.console.house import CLIENT, CONTRACT, DATASET, SUPPLIER, House
from tests.unit.suppliers.instances import ESTATE


def test_an_access_is_shown_with_its_end(house: House) -> None:
    house.declare()
    file = house.put("voters.csv", size=5000)
    opened = house.opened(file)
    (access,) = house.overview().accesses
    assert (access.progress, access.asked, access.sent) == ("under-way", 5000, None)
    house.delivered(file, opened, bytes=5000)
    (access,) = house.overview().accesses
    assert (access.progress, access.sent) == ("complete", 5000)
    assert access.network == ""  # it was no stranger, though the entry names the network
    assert (access.who, access.supplier, access.file, access.dataset) == (CLIENT, "Drukwerk BV", "voters.csv", DATASET)


def test_how_accesses_end(house: House) -> None:
    house.declare()
    file = house.put()
    for end in ("client-closed", "cut", "ended", "damaged", "failed", "unknown", "something-new"):
        house.delivered(file, house.opened(file), end=end, bytes=1, reason="contract-ended")
    progress = [one.progress for one in house.overview().accesses]
    assert progress[::-1] == ["stopped", "cut", "cut", "failed", "failed", "unknown", "unknown"]
    assert house.overview().accesses[-2].reasons == ("contract-ended",)


def test_refusals_of_clients_their_impostors_and_strangers(house: House) -> None:
    house.declare()
    house.refused("no-grant", "contract-ended", count=3)
    house.sign_in_refused(proven=True)
    house.sign_in_refused(proven=False)
    house.strangers(12)
    strangers, impostor, own, refused = house.overview().accesses
    assert (refused.progress, refused.reasons, refused.count, refused.file) == (
        "refused",
        ("no-grant", "contract-ended"),
        3,
        "",
    )
    assert (own.who, own.proven, own.sign_in) == (CLIENT, True, True)
    assert (impostor.who, impostor.proven) == (CLIENT, False)
    assert [own.network, impostor.network, refused.network] == ["", "", ""]
    assert (strangers.network, strangers.count, strangers.who) == ("203.0.113.0/24", 12, "keeper")


def test_only_the_newest_are_kept(house: House) -> None:
    house.declare()
    for number in range(RECENT + 5):
        house.refused("no-grant", count=number + 1)
    assert [one.count for one in house.overview().accesses] == list(range(RECENT + 5, 5, -1))


def test_what_ended_in_the_last_day(house: House) -> None:
    house.declare()
    file = house.put("voters.csv")
    house.delivered(file, house.opened(file), end="cut", bytes=1234, reason="revoked")
    house.end("client", house.id("client", CLIENT), "laptop stolen")
    house.end("supplier", house.id("supplier", SUPPLIER), "contract broken")
    supplier, client, cut = house.overview().endings
    assert (supplier.what, supplier.name, supplier.how, supplier.reason) == (
        "supplier",
        "Drukwerk BV",
        "ended",
        "contract broken",
    )
    assert (client.what, client.name, client.by) == ("client", CLIENT, "operator:tester")
    assert (cut.what, cut.name, cut.sent, cut.reason) == ("transfer", "voters.csv", 1234, "revoked")
    house.now_us += 86_400_000_000 - 1_000_000
    assert [one.what for one in house.overview().endings] == ["supplier", "client"]
    house.now_us += 10_000_000
    assert house.overview().endings == ()


def test_a_contract_that_is_over_ended_by_itself(house: House) -> None:
    house.declare(ESTATE.replace("ends: 2026-12-31", "ends: 2026-01-01T12:00:00+01:00"))
    assert house.overview().endings == ()
    house.now_us += 12 * 3_600_000_000
    (ending,) = house.overview().endings
    assert (ending.what, ending.name, ending.how, ending.supplier) == ("contract", CONTRACT, "expired", "Drukwerk BV")


def test_a_contract_that_was_revoked_does_not_end_again(house: House) -> None:
    house.declare(ESTATE.replace("ends: 2026-12-31", "ends: 2026-01-01T12:00:00+01:00"))
    house.end("contract", house.id("contract", CONTRACT), "broken")
    house.now_us += 12 * 3_600_000_000
    assert [one.how for one in house.overview().endings] == ["ended"]


def test_a_damaged_entry_is_named_and_passed_over(house: House) -> None:
    house.declare()
    file = house.put()
    opened = house.opened(file)
    house.delivered(file, opened, bytes=5000)
    house.refused("no-grant")
    house.tamper("UPDATE entries SET payload = x'00' WHERE idx = :index", index=opened)
    overview = house.overview()
    assert (overview.complete, overview.unread) == (True, 1)
    assert [one.progress for one in overview.accesses] == ["refused"]
    (concern,) = [one for one in overview.concerns if one.code == "entries-damaged"]
    assert concern.about["indexes"] == str(opened)
    (share,) = overview.shares
    assert share.received is not None  # the delivery is there still


def test_missing_entries_are_named(house: House) -> None:
    house.declare()
    gone = [house.refused("no-grant") for _ in range(3)]
    house.refused("absent")
    house.tamper("DELETE FROM entries WHERE idx IN (:one, :two)", one=gone[0], two=gone[2])
    overview = house.overview()
    assert overview.unread == 2
    assert [one.reasons for one in overview.accesses] == [("absent",), ("no-grant",)]


def test_an_erased_entry_is_not_counted_and_no_fault(house: House) -> None:
    house.declare()
    index = house.refused("no-grant")
    house.tamper("UPDATE entries SET payload = NULL, salt = NULL WHERE idx = :index", index=index)
    overview = house.overview()
    assert overview.unread == 1
    assert overview.accesses == ()
    assert "entries-damaged" not in house.codes()


def test_a_ledger_that_became_shorter_is_read_anew(house: House) -> None:
    house.declare()
    house.refused("no-grant")
    assert len(house.overview().accesses) == 1
    house.tamper("UPDATE head SET size = 3")
    overview = house.overview()
    assert overview.accesses == ()
    assert overview.read == overview.entries == 3
    assert "head-faults" in house.codes()


def test_a_long_ledger_is_read_in_stretches(house: House) -> None:
    house.declare()
    for _ in range(20):
        house.refused("no-grant")
    history = History(house.reader)
    stretches = 0
    while not history.advance(7):
        stretches += 1
        assert history.read == 7 * stretches
    assert history.read == history.entries == house.size()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.integers(0, 6000), max_size=6), stretch=st.integers(1, 50))
def test_reading_in_stretches_makes_no_difference(house: House, sent: list[int], stretch: int) -> None:
    if not house.kinds().count("suppliers.grant.declared"):
        house.declare()
    file = house.put(f"{house.size()}.csv")
    for count in sent:
        house.delivered(file, house.opened(file), bytes=count)
    at_once, bit_by_bit = History(house.reader), History(house.reader)
    assert at_once.advance(1_000_000)
    while not bit_by_bit.advance(stretch):
        continue
    assert bit_by_bit.pieces == at_once.pieces
    assert bit_by_bit.recent == at_once.recent
    assert sum(piece.sure for pieces in at_once.pieces.values() for piece in pieces.values()) >= sum(sent)


def test_facts_are_the_newest(house: House) -> None:
    house.record(keeper.KEEPER_STARTED, "keeper", {}, {"key_kind": "bare"})
    house.record(keeper.CLOCK_JUMPED, "keeper", {}, {"what": "the clock jumped by +90 s"})
    assert {"key-bare", "clock-jumped"} <= house.codes()
    house.record(keeper.CLOCK_ACCEPTED, "keeper", {}, {})
    house.record(keeper.KEEPER_STARTED, "keeper", {}, {"key_kind": "credential"})
    assert not {"key-bare", "clock-jumped", "key-unknown"} & house.codes()
    house.record(keeper.CLOCK_JUMPED, "keeper", {}, {"what": "the clock jumped by +90 s"})
    house.record(keeper.KEEPER_STARTED, "keeper", {}, {"key_kind": "credential"})
    assert "clock-jumped" not in house.codes(), "the next keeper looks for itself"
    assert house.overview().proof.copied_us is None
    house.record(keeper.LEDGER_EXPORTED, "operator:tester", {}, {"size": 1, "target": "x"})
    assert house.overview().proof.copied_us == house.now_us
