"""The end of what runs comes nearer: its gateway was told another moment, so it is cut at once (law 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keten.keeper import protocol as said
from tests.fault.keeper_inside import Inside, Peer, run
from tests.town import Town

CONTRACT = "vwo-2, supplier: zorgvervoer, starts: 2026-01-01, ends: "
RETENTION = "id: clients-in-care, owner: dpo, classification: confidential, retention_days: "
DAY_US = 86_400_000_000


def _contract_ends_tomorrow() -> tuple[str, str]:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{CONTRACT}2099-12-31", f"{CONTRACT}{tomorrow}"


def _retention_of_a_day() -> tuple[str, str]:
    return f"{RETENTION}30", f"{RETENTION}1"


def _contract_ends_later() -> tuple[str, str]:
    return f"{CONTRACT}2099-12-31", f"{CONTRACT}2100-12-31"


def _retention_of_a_year() -> tuple[str, str]:
    return f"{RETENTION}30", f"{RETENTION}365"


def _cut(gateway: Peer) -> list[str]:
    """What the gateway was told to cut so far."""
    pushes = [gateway.pushes.get_nowait() for _ in range(gateway.pushes.qsize())]
    assert not any(cut.everything for cut in pushes)
    return [opening for cut in pushes for opening in cut.openings]


@pytest.mark.parametrize(
    ("instead", "most_us"), [(_contract_ends_tomorrow(), DAY_US), (_retention_of_a_day(), 7 * DAY_US)]
)
def test_it_is_cut_and_goes_on_until_the_new_end(
    stopped: Town, tmp_path: Path, instead: tuple[str, str], most_us: int
) -> None:
    """What a shorter retention would destroy at once stays for a week."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        assert opened.valid_for_us > most_us
        applied: said.Applied = await inside.apply(instead=instead)
        assert applied.cut == 1
        assert _cut(gateway) == [opened.opening]
        await gateway.ask("exchange.delivered", said.Delivered(opened.opening, 4096, "cut"))
        (end,) = inside.entries("exchange.object.delivered")
        assert end.payload is not None
        assert end.payload.details["reason"] == "ends-sooner"
        again: said.Opened = await gateway.ask("exchange.open", carrier.open(opened.info.id))
        assert again.key
        assert again.valid_for_us <= most_us
        await inside.apply(instead=instead)  # the same again: it was opened under it
        assert _cut(gateway) == []

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("instead", [_contract_ends_later(), _retention_of_a_year()])
def test_a_later_end_cuts_nothing(stopped: Town, tmp_path: Path, instead: tuple[str, str]) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        applied: said.Applied = await inside.apply(instead=instead)
        assert applied.changes
        assert (applied.cut, _cut(gateway)) == (0, [])

    run(stopped, tmp_path, testing)
