"""Access that ends: at once, for good, also for a download under way and for sessions that are open."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import paramiko
import pytest

from keten.drills.reader import Reader
from keten.drills.throwaway import Key
from tests.town import CARRIER, PRINTER, Town, estate

LARGE = 48 * 1024 * 1024


def large(town: Town) -> str:
    """Put something that takes a while at 2 MiB/s; its id."""
    path = town.keten.folder / "large.bin"
    path.write_bytes(b"\xa5" * LARGE)
    put = town.keten.run("put", "clients-in-care", str(path))
    found: str = put["objects"][0]["object"]
    return found


def test_a_revoked_grant_cuts_the_download_and_stays_revoked(fresh_town: Town) -> None:
    town = fresh_town
    found = large(town)
    carrier = town.carrier()
    reader = Reader(carrier, f"/v1/objects/{found}", bytes_per_second=2 * 1024 * 1024)
    reader.start()
    assert reader.began.wait(30)
    time.sleep(0.5)
    revoked = town.keten.run("revoke", "grant", "care-for-zorgvervoer", "--reason", "the contract was broken")
    assert all(step["outcome"] == "done" for step in revoked["steps"])
    reader.join(30)
    assert reader.reset_at, "the connection was reset"
    assert reader.received < LARGE
    assert carrier.get(f"/v1/objects/{found}").status == 404
    assert carrier.shares() == []
    # A re-applied estate file does not revive it (law 6).
    town.apply()
    assert carrier.shares() == []
    again = town.keten.run("revoke", "grant", "care-for-zorgvervoer", "--reason", "again")
    assert again["already"] is True
    done = town.keten.command("ledger", "show", "--json", "--kind", "exchange.object.delivered")
    cut = [json.loads(line) for line in done.stdout.splitlines()][-1]
    assert cut["details"]["end"] == "cut"
    assert 0 < cut["bytes"] < LARGE
    # The other supplier notices nothing.
    printer = town.printer()
    assert printer.get(f"/v1/objects/{printer.shares()[0]['objects'][0]['id']}").status == 200
    assert town.keten.command("ledger", "verify").returncode == 0


@pytest.mark.parametrize(
    ("kind", "target"),
    [("client", CARRIER), ("supplier", "zorgvervoer"), pytest.param("contract", "vwo-2", marks=pytest.mark.slow)],
)
def test_ending_ends_tokens_and_sftp_sessions(fresh_town: Town, kind: str, target: str) -> None:
    town = fresh_town
    carrier = town.carrier()
    assert carrier.shares()
    host, _, port = town.keten.ready["sftp"].rpartition(":")
    with paramiko.Transport((host, int(port))) as transport:
        key = paramiko.Ed25519Key.from_private_key_file(str(town.carrier_key.path))
        transport.connect(username=town.keten.ids["client"][CARRIER], pkey=key)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        assert sftp.listdir("/")
        town.keten.run("revoke", kind, target, "--reason", "ended")
        with pytest.raises((OSError, EOFError)):
            sftp.listdir("/care-transport")
        transport.join(10)
        assert not transport.is_active(), "the session was reset"
    assert carrier.get("/v1/shares").status in (200, 401)
    assert carrier.sign_in().status == 401
    refused = town.keten.command("ledger", "show", "--json", "--kind", "identity.client.refused").stdout
    reasons = {reason for line in refused.splitlines() for reason in json.loads(line)["reasons"]}
    assert reasons & {"client-ended", "supplier-ended", "revoked"}


def test_a_contract_ends_by_the_clock(fresh_town: Town) -> None:
    town = fresh_town
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    town.apply(ends=f'"{ends.isoformat()}"')
    printer = town.printer()
    (share,) = printer.shares()
    assert datetime.fromisoformat(share["valid_until"]) == ends
    found = share["objects"][0]["id"]
    assert printer.get(f"/v1/objects/{found}").status == 200
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 0.05)
    assert printer.get(f"/v1/objects/{found}").status == 404
    assert printer.sign_in().status == 401
    refused = town.keten.command("ledger", "show", "--json", "--outcome", "deny", "--newest", "--limit", "1").stdout
    assert json.loads(refused)["reasons"] == ["contract-ended"]


@pytest.mark.slow
def test_rotating_keys(fresh_town: Town) -> None:
    town = fresh_town

    new = Key(town.keten.folder / "new-key")
    both = estate(town.printer_key.line + '", "' + new.line, town.carrier_key.line)
    town.keten.apply(both)
    old_system, new_system = town.system(PRINTER, town.printer_key), town.system(PRINTER, new)
    assert old_system.sign_in().status == 200
    assert new_system.sign_in().status == 200
    town.keten.apply(estate(new.line, town.carrier_key.line))
    assert new_system.shares()
    assert old_system.get("/v1/shares").status == 401
    assert old_system.sign_in().status == 401


@pytest.mark.slow
def test_a_key_that_is_taken_out_ends_what_runs_on_it(fresh_town: Town) -> None:
    town = fresh_town
    found = large(town)
    reader = Reader(town.carrier(), f"/v1/objects/{found}", bytes_per_second=2 * 1024 * 1024)
    reader.start()
    assert reader.began.wait(30)
    new = Key(town.keten.folder / "new-key")
    town.keten.apply(estate(town.printer_key.line, new.line))
    reader.join(30)
    assert reader.reset_at or reader.refused_status
    assert reader.received < LARGE
