"""From traffic over the real door to signals: what suppliers do, as the watch reads it in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.core.errors import Invalid
from keten.core.ids import new_id
from keten.core.settings import load_settings
from keten.identity.networks import Networks
from keten.keeper.follow_protocol import Follow, Following
from keten.watch.detectors import default
from keten.watch.engine import Engine
from keten.watch.model import Event, Signal
from keten.watch.reading import event_of
from tests.town import UNWATCHED, Town

LISTED = "# where we are\n127.0.0.0/8\n"


@pytest.fixture(scope="module")
def listed_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"))
    with town.keten:
        # Unwatched: the watch would ask for a new sign-in, at any moment, of a system in a listed network.
        town.keten.configure(UNWATCHED + 'bad_networks = ["bad.txt"]\n')
        (town.keten.home / "bad.txt").write_text(LISTED)
        town.start()
        yield town


def events(town: Town) -> list[Event]:
    """Everything that the ledger holds and the watch looks at."""
    found: list[Event] = []
    after = 0
    with town.keten.keeper() as keeper:
        while True:
            answer = keeper.call("ledger.follow", Follow(after), Following)
            if not answer.entries:
                return found
            for one in answer.entries:
                event = event_of(one.index, one.id, one.time_us, one.kind, one.read())
                if event is not None:
                    found.append(event)
            after = answer.entries[-1].index + 1


def signals(town: Town) -> list[Signal]:
    engine = Engine(default())
    return [signal for event in events(town) for signal in engine.step(event)]


def test_what_a_supplier_does_is_read_with_all_that_detectors_need(town: Town) -> None:
    system = town.printer()
    (share,) = system.shares()
    (found,) = share["objects"]
    assert system.get(f"/v1/objects/{found['id']}").status == 200
    mine = [event for event in events(town) if event.principal == system.client_id]
    by_what = {event.what: event for event in mine}
    assert {"sign-in", "list", "open"} <= set(by_what)
    networks = {event.network for event in mine if event.what != "delivered"}
    assert len(networks) == 1
    (network,) = networks
    assert len(network) == 16
    opened, signed_in = by_what["open"], by_what["sign-in"]
    assert (opened.records, opened.country, opened.channel, opened.purpose) == (20_000, "NL", "https", "election-cards")
    assert opened.object == found["id"]
    assert opened.contract_ends_us > opened.time_us
    assert all((opened.supplier, opened.dataset, opened.grant, opened.contract, signed_in.supplier, signed_in.key))
    assert not any(event.listed for event in mine)


def test_guessing_ids_is_seen_within_ten(town: Town) -> None:
    system = town.carrier()
    for _ in range(10):
        assert system.get(f"/v1/objects/{new_id()}").status == 404
    found = [one for one in signals(town) if one.principal == system.client_id and one.detector == "misses"]
    assert [one.severity for one in found] == ["high"]
    assert int(found[0].facts["missed"]) <= 7


def test_honest_use_is_not(town: Town) -> None:
    printer = town.keten.ids["client"]["drukwerk-batch"]
    assert [one for one in signals(town) if one.principal == printer and one.severity != "low"] == []


def test_a_network_on_the_list_is_said_and_seen(listed_town: Town) -> None:
    system = listed_town.printer()
    mine = [event for event in events(listed_town) if event.principal == system.client_id]
    assert mine
    assert all(event.listed for event in mine if event.what == "sign-in")
    assert "network-listed" in {one.detector for one in signals(listed_town)}


def test_no_entry_says_the_address(listed_town: Town) -> None:
    listed_town.printer().shares()
    with listed_town.keten.keeper() as keeper:
        answer = keeper.call("ledger.follow", Follow(0), Following)
    read = [one.read() for one in answer.entries if one.kind.startswith("exchange")]
    payloads = [payload for payload in read if payload is not None]
    said = [json.dumps(payload.details) for payload in payloads]
    assert said
    assert not any("127.0.0" in text for text in said)


def test_a_list_that_cannot_be_used_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "keten.toml").write_text('[watch]\nbad_networks = ["bad.txt"]\n')
    (tmp_path / "bad.txt").write_text("192.0.2.0/24\nrubbish\n")
    settings = load_settings(tmp_path, {})
    with pytest.raises(Invalid, match="line 2"):
        Networks(b"k" * 32, [tmp_path / name for name in settings.watch.bad_networks])
