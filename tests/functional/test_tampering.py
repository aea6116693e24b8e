"""Somebody changes what is stored: it is refused, and `keten ledger verify` names it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from http.client import HTTPException

import pytest

from tests.cluster import chosen
from tests.statements import run
from tests.town import PRINTER, Town

LATER = {
    "as bytes": "UPDATE contracts SET body = CAST(replace(body, '2099', '2199') AS BLOB) WHERE name = 'vwo-1'",
    "as text": "UPDATE contracts SET body = replace(body, '2099', '2199') WHERE name = 'vwo-1'",
    "as another": "UPDATE contracts SET body = (SELECT body FROM contracts WHERE name = 'vwo-2') WHERE name = 'vwo-1'",
    "its column": "UPDATE contracts SET supplier = (SELECT max(id) || 'x' FROM suppliers) WHERE name = 'vwo-1'",
}


def change(town: Town, statement: str) -> None:
    """Change the database behind the keeper's back, and have the keeper start again."""
    assert run(town.keten.place, statement) >= [(1,)]
    os.kill(town.keten.pid("keeper"), signal.SIGKILL)


_EVERYDAY = "as another"
_HOW = [_EVERYDAY, *(pytest.param(one, marks=pytest.mark.slow) for one in LATER if one != _EVERYDAY)]


def sign_in(town: Town, client: str = PRINTER) -> int:
    """The status of a sign-in, once the keeper is back."""
    key = town.printer_key if client == PRINTER else town.carrier_key
    system = town.system(client, key)
    for _attempt in range(200):
        status = system.sign_in().status
        if status != 503:
            return status
        time.sleep(0.05)
    return 503


@pytest.mark.parametrize("how", _HOW)
def test_a_contract_made_longer(fresh_town: Town, how: str) -> None:
    town = fresh_town
    if chosen() and how in ("as bytes", "as text"):
        pytest.skip("a server keeps bytes as bytes, and has no 'replace' of them")
    change(town, LATER[how])
    assert sign_in(town) == 401
    refused = town.keten.command("ledger", "show", "--json", "--kind", "identity.client.refused").stdout
    reasons = [json.loads(line)["reasons"] for line in refused.splitlines()]
    assert (["no-contract"] if how == "its column" else ["register-mismatch"]) in reasons
    assert sign_in(town, "zorgvervoer-batch") == 200 or how == "its column"
    verified = town.keten.command("ledger", "verify")
    assert verified.returncode == 1
    assert re.search(r"register: table contracts, row \w+", verified.stdout), verified.stdout


def test_a_changed_content_file_is_never_delivered(fresh_town: Town) -> None:
    town = fresh_town
    carrier = town.carrier()
    found = carrier.shares()[0]["objects"][0]
    (blob,) = [path for path in town.keten.paths.store.rglob("*") if path.is_file() and path.stat().st_size > 4_000_000]
    with blob.open("rb+") as stream:
        stream.seek(3_000_000)
        stream.write(b"\0" * 16)
    path = f"/v1/objects/{found['id']}"
    with carrier.connect() as wire:
        response = carrier.send(wire, "GET", path, carrier.authorised("GET", path))
        with pytest.raises((OSError, HTTPException)):  # a reset, however the library calls it
            response.read()
    before = carrier.get(path, {"Range": "bytes=0-1048575"})
    assert before.body == town.care.read_bytes()[:1048576], "an undamaged frame is still served"
    ended = town.keten.command("ledger", "show", "--json", "--kind", "exchange.object.delivered").stdout
    assert "damaged" in [json.loads(line)["details"]["end"] for line in ended.splitlines()]
    blob.unlink()
    verified = town.keten.command("ledger", "verify")
    assert verified.returncode == 1
    assert f"table objects, row {found['id']}" in verified.stdout
