"""What the watch says is done: suspended within moments, cut in mid-transfer, given back when it was fine."""

from __future__ import annotations

import json
import time
from typing import Any

import paramiko
import pytest

from keten.core.clock import wall_us
from keten.drills.reader import Reader
from keten.keeper.client import KeeperClient
from keten.keeper.watch_protocol import Raise
from keten.watch.alerts import Raised, Seen
from keten.watch.model import Signal
from tests.town import CARRIER, PRINTER, SETTINGS, Town

LARGE = 48 * 1024 * 1024
pytestmark = pytest.mark.timeout(300)  # many commands, each a process of its own


def large(town: Town) -> str:
    """Put something that takes a while at 2 MiB/s; its id."""
    path = town.keten.folder / "large.bin"
    path.write_bytes(b"\xa5" * LARGE)
    found: str = town.keten.run("put", "clients-in-care", str(path))["objects"][0]["object"]
    return found


def entries(town: Town) -> dict[str, list[dict[str, Any]]]:
    """Every entry by its kind, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in town.keten.command("ledger", "show", "--json").stdout.splitlines():
        entry = json.loads(line)
        found.setdefault(entry["kind"], []).append(entry)
    return found


def signal(town: Town, detector: str = "misses", *, client: str = CARRIER, severity: Any = "high") -> Signal:
    """What a detector would say about a client."""
    ids = town.keten.ids
    return Signal(
        detector=detector,
        severity=severity,
        time_us=wall_us(),
        principal=ids["client"][client],
        dataset=ids["dataset"]["clients-in-care"],
        facts={"asked": 30, "missed": 21},
    )


def raise_(town: Town, *signals: Signal) -> Raised:
    """Have the keeper raise signals, as the worker does."""
    with KeeperClient(town.keten.paths.operator_socket) as client:
        upto = size(client)
        return client.call("watch.raise", Raise(tuple(Seen(upto - 1, one) for one in signals), upto), Raised)


def size(client: KeeperClient) -> int:
    """How many entries there are."""
    from keten.keeper.protocol import Nothing, Status

    return client.call("keeper.status", Nothing(), Status).size


def test_a_signal_suspends_cuts_and_feedback_gives_access_back(fresh_town: Town) -> None:
    town = fresh_town
    found = large(town)
    carrier, printer = town.carrier(), town.printer()
    reader = Reader(carrier, f"/v1/objects/{found}", bytes_per_second=2 * 1024 * 1024)
    reader.start()
    assert reader.began.wait(30)

    raised = raise_(town, signal(town))
    (alert,) = raised.new
    assert raised.taken == ((alert, "suspend"),)
    reader.join(30)
    assert reader.cut_at, "the connection was reset"
    assert reader.received < LARGE

    # Its token and its key are of no use now, and it is told why; a stranger and the other supplier notice nothing.
    refused = carrier.get("/v1/shares")
    assert refused.status == 401
    assert json.loads(refused.body)["code"] == "suspended"
    refused = carrier.sign_in()
    assert refused.status == 401
    assert json.loads(refused.body)["code"] == "suspended"
    assert printer.shares()
    decided = town.keten.run("decide", CARRIER, "open", "clients-in-care", "--country", "NL", expect=1)
    assert decided["reasons"] == ["suspended"]
    assert decided["policies"] == ["principal-suspended"]

    shown = town.keten.run("alerts", "show", alert)["alert"]
    assert (shown["response"], shown["in_force"], shown["principal"]) == ("suspend", True, CARRIER)
    assert shown["explanation"]["nl"]["title"] == "Veel sleutels die niet bestaan"
    assert CARRIER in shown["explanation"]["en"]["seen"]
    (listed,) = town.keten.run("alerts", "list")["alerts"]
    assert listed["id"] == alert

    fine = town.keten.run("alerts", "fine", alert, "--note", "a migration that was announced")
    assert fine["alert"]["state"] == "closed"
    assert not fine["already"]
    assert carrier.sign_in().status == 200
    assert carrier.shares()
    assert town.keten.run("alerts", "list")["alerts"] == []
    # The same is fine for a week; what is worse is not.
    assert raise_(town, signal(town)).new == ()
    assert carrier.shares()

    recorded = entries(town)
    (cut,) = [one for one in recorded["exchange.object.delivered"] if one["details"]["end"] == "cut"]
    assert cut["details"]["reason"] == "suspended"
    assert recorded["identity.client.refused"][0]["reasons"] == ["suspended"]
    for kind in (
        "watch.alert.raised",
        "watch.response.taken",
        "identity.client.suspended",
        "watch.alert.handled",
        "watch.response.lifted",
        "identity.client.released",
    ):
        assert len(recorded[kind]) == 1, kind
    opened = recorded["exchange.object.opened"][0]["id"]
    assert town.keten.run("decide", "--replay", opened)["same"] is True
    assert town.keten.command("ledger", "verify").returncode == 0


def test_a_suspension_ends_by_itself_and_no_estate_file_ends_it(fresh_town: Town) -> None:
    town = fresh_town
    carrier = town.carrier()
    done = town.keten.run("alerts", "suspend", CARRIER, "--for", "4s", "--reason", "strange calls to the helpdesk")
    began = time.monotonic()
    assert done["alert"]["detector"] == "operator"
    assert {one["outcome"] for one in done["steps"]} == {"done"}
    assert carrier.get("/v1/shares").status == 401
    town.apply(extra="")
    if time.monotonic() - began < 3:
        assert carrier.get("/v1/shares").status == 401
    while time.monotonic() - began < 5:
        time.sleep(0.2)
    assert carrier.sign_in().status == 200
    assert carrier.shares()


@pytest.mark.parametrize("response", ["step-up", "freeze"])
def test_responses_end_sessions_over_sftp(fresh_town: Town, response: str) -> None:
    town = fresh_town
    town.keten.configure(f'{SETTINGS}\n[watch.ladder]\ntravel = {{high = "{response}"}}\n')
    town.keten.down()
    town.keten.up()
    town.printer()
    host, _, port = town.keten.ready["sftp"].rpartition(":")
    client = town.keten.ids["client"][PRINTER]
    key = paramiko.Ed25519Key.from_private_key_file(str(town.printer_key.path))
    with paramiko.Transport((host, int(port))) as transport:
        transport.connect(username=client, pkey=key)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        assert sftp.listdir("/")
        raised = raise_(town, signal(town, "travel", client=PRINTER))
        assert [taken for _alert, taken in raised.taken] == [response]
        transport.join(10)
        assert not transport.is_active(), "the session was reset"
    system = town.system(PRINTER, town.printer_key)
    again = system.sign_in()
    if response == "step-up":
        assert again.status == 200
        assert system.shares()
    else:
        assert again.status == 401
        assert json.loads(again.body)["code"] == "supplier-frozen"
        town.keten.run("alerts", "lift", raised.new[0])
        assert system.sign_in().status == 200


def test_who_is_slowed_down_is_asked_to_wait(fresh_town: Town) -> None:
    town = fresh_town
    carrier = town.carrier()
    raised = raise_(town, signal(town, "rate", severity="medium"))
    assert [taken for _alert, taken in raised.taken] == ["slow"]
    answers = [carrier.get("/v1/shares") for _ in range(12)]
    busy = [one for one in answers if one.status == 429]
    assert answers[0].status == 200
    assert busy
    assert json.loads(busy[0].body)["code"] == "slowed"
    assert 1 <= int(busy[0].headers["retry-after"]) <= 60
