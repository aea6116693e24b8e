"""Wrapped keys that changed places in the database open nothing, and the access that was recorded ends as failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.core.errors import Corrupt
from keten.keeper import protocol as said
from tests.fault.keeper_inside import Inside, run
from tests.statements import run as statement
from tests.town import Town

SWAPS = {
    "content": "UPDATE content_keys SET wrapped = (SELECT wrapped FROM content_keys AS other"
    " WHERE other.object <> content_keys.object) WHERE object = ?",
    "gone": "DELETE FROM content_keys WHERE object = ?",
    "dataset": "UPDATE dataset_keys SET wrapped = (SELECT wrapped FROM content_keys LIMIT 1)"
    " WHERE dataset = (SELECT dataset FROM content_keys WHERE object = ?)",
}


@pytest.fixture(scope="module")
def two(stopped: Town) -> Town:
    """With a second object in the same dataset, whose key can be taken for the other's."""
    other = stopped.keten.folder / "other.bin"
    other.write_bytes(b"other")
    stopped.keten.run("put", "clients-in-care", str(other))
    return stopped


@pytest.mark.parametrize("swap", SWAPS)
def test_nothing_is_handed_out(two: Town, tmp_path: Path, swap: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        assert statement(inside.trusted.settings.state, SWAPS[swap], care) == [(1,)]
        with pytest.raises(Corrupt):
            await gateway.ask("exchange.open", carrier.open(care))
        await inside.trusted.writer.run(lambda _writing: None)
        (opened,), (end,) = inside.entries("exchange.object.opened"), inside.entries("exchange.object.delivered")
        assert end.payload is not None
        assert (end.payload.details["opening"], end.payload.details["bytes"]) == (opened.id, 0)
        assert end.payload.details["end"] == "failed"
        status: said.Status = await inside.operator.ask("keeper.status", said.Nothing())
        assert status.open_accesses == 0

    run(two, tmp_path, testing)
