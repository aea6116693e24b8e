"""What the watch says is done: suspended within moments, cut in mid-transfer, given back when it was fine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import paramiko
import pytest

from keten.core.clock import wall_us
from keten.core.errors import Unavailable
from keten.drills.reader import Reader
from keten.keeper.client import KeeperClient
from keten.keeper.watch_protocol import Raise
from keten.ledger.model import Payload
from keten.watch.model import Event, Fact, Raised, Seen, Severity, Signal
from keten.worker.watching import Watching
from tests.town import CARRIER, PRINTER, SETTINGS, Town

LARGE = 48 * 1024 * 1024
pytestmark = pytest.mark.timeout(300)  # many commands, each a process of its own

WATCHED = True  # see conftest.py


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


@pytest.mark.slow
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


@pytest.mark.slow
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


class Lister:
    """Detectors of a test: whoever lists is suspicious. What it knows is as it was saved, after a "crash"."""

    def __init__(self) -> None:
        self.saved = 0
        self.stepped: list[int] = []
        self.heard: list[tuple[str, str]] = []
        self.fails = False

    @property
    def cursor(self) -> int:
        return self.saved

    def step(self, event: Event) -> list[Signal]:
        if self.fails:
            raise Unavailable("disk-full", "There is no room.")
        self.stepped.append(event.index)
        facts: dict[str, Fact] = {"count": 1}
        return [
            Signal(
                detector="rate",
                severity="high",
                time_us=event.time_us,
                principal=event.principal,
                facts=facts,
                first=event.id,
                last=event.id,
            )
        ]

    def save(self, cursor: int) -> None:
        self.saved = cursor

    def feedback(self, signal_key: str, until_us: int, severity: Severity = "high") -> None:
        assert until_us > wall_us()
        self.heard.append((signal_key, severity))

    def begin_anew(self) -> None:
        self.saved = 0


def listing(index: int, entry: str, time_us: int, kind: str, payload: Payload | None) -> Event | None:
    """Listings as events."""
    if kind != "exchange.shares.listed" or payload is None:
        return None
    return Event(index=index, id=entry, time_us=time_us, what="list", allowed=True, principal=payload.actor)


def rounds(town: Town, duty: Watching, enough: Callable[[], object]) -> None:
    """Let the duty do its rounds until it is enough."""
    deadline = time.monotonic() + 60
    with town.keten.keeper() as client:
        while not enough():
            assert time.monotonic() < deadline
            duty.run(client)


def test_the_duty_follows_raises_once_and_hears_what_was_fine(fresh_town: Town) -> None:
    town = fresh_town
    carrier = town.carrier()
    engine = Lister()
    duty = Watching(engine, listing)
    rounds(town, duty, lambda: duty.reached >= 1)
    assert carrier.shares()
    rounds(town, duty, lambda: engine.stepped)
    assert carrier.get("/v1/shares").status == 401
    (alert,) = town.keten.run("alerts", "list")["alerts"]
    assert (alert["detector"], alert["response"], alert["count"]) == ("rate", "suspend", 1)

    # It was killed before it kept anything: all of it is seen again, and nothing is raised again.
    again = Lister()
    second = Watching(again, listing)
    rounds(town, second, lambda: again.stepped)
    (alert,) = town.keten.run("alerts", "list")["alerts"]
    assert alert["count"] == 1

    # A memory that fails sends it back to what it kept; what follows is as if nothing had happened.
    again.fails = True
    town.keten.run("alerts", "fine", alert["id"], "--note", "we know")
    assert carrier.sign_in().status == 200
    assert carrier.shares()
    with pytest.raises(Unavailable):
        rounds(town, second, lambda: False)
    again.fails = False
    seen = len(again.stepped)
    rounds(town, second, lambda: len(again.stepped) >= seen + 2)
    assert carrier.shares(), "it was said to be fine"
    assert (f"rate/{town.keten.ids['client'][CARRIER]}//{alert['last_entry']}", "high") in again.heard
    recorded = entries(town)
    assert len(recorded["watch.alert.raised"]) == len(recorded["watch.response.taken"]) == 1


def test_the_worker_runs_by_default_and_the_watch_can_be_switched_off(fresh_town: Town) -> None:
    town = fresh_town
    assert (town.keten.paths.run / "worker.pid").exists()
    status = town.keten.run("status")
    assert "worker" in status["up"]["pids"]
    assert status["watch"]["alerts"] == 0
    town.keten.down()
    town.keten.configure(f"{SETTINGS}\n[watch]\nenabled = false\n")
    town.keten.up()
    assert "worker" not in town.keten.run("status")["up"]["pids"]
    found = town.keten.command("doctor", "--json")
    assert "watch-off" in {one["code"] for one in json.loads(found.stdout)["findings"]}
