"""What goes to a supplier past Keten: a worker follows a flow log beside a running town, and an alert comes of it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keten.keeper.follow_protocol import Follow, Following
from keten.keeper.watch_protocol import AlertInfo, Alerts, AskAlerts
from tests.town import SETTINGS, Town, estate

pytestmark = pytest.mark.timeout(300)
HEADER = (
    "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\t"
    "orig_bytes\tresp_bytes\torig_ip_bytes\tresp_ip_bytes\n"
)
GIGABYTE = 1_000_000_000
WHERE = "tier: medium\n    networks: [127.0.0.0/24, 203.0.113.0/24]\n    hosts: ['*.zorgvervoer.example']\n"


@pytest.fixture(scope="module")
def flow_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"), watched=True)
    with town.keten:
        town.keten.configure(f'{SETTINGS}[watch]\nflows = ["{town.keten.folder}/logs/conn.log"]\n')
        (town.keten.folder / "logs").mkdir()
        town.keten.up()
        text = estate(town.printer_key.line, town.carrier_key.line)
        town.keten.apply(text.replace("tier: medium\n", WHERE))
        town.keten.run("put", "clients-in-care", str(town.care))
        yield town


def flow(uid: str, source: str, target: str, sent: int, returned: int = 500, *, port: int = 443) -> str:
    wire = (sent + 400, returned + 400)
    values = (f"{time.time():.6f}", uid, source, 40_001, target, port, "tcp", sent, returned, *wire)
    return "\t".join(str(each) for each in values) + "\n"


def seen(town: Town) -> list[dict[str, Any]]:
    """What the ledger holds of flows, oldest first."""
    found: list[dict[str, Any]] = []
    after = 0
    with town.keten.keeper() as keeper:
        while (answer := keeper.call("ledger.follow", Follow(after), Following)).entries:
            after = answer.entries[-1].index + 1
            found += [one.payload.details for one in answer.entries if one.kind == "watch.flows.seen" and one.payload]
    return found


def until(town: Town, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not what():
        assert time.monotonic() < deadline, town.keten.log()[-3000:]
        time.sleep(0.1)


def sent(town: Town) -> int:
    return sum(one["bytes"] for one in seen(town))


def asked(town: Town) -> Alerts:
    with town.keten.keeper() as keeper:
        return keeper.call("watch.alerts", AskAlerts(states=("noted", "open")), Alerts)


def alerts(town: Town) -> list[AlertInfo]:
    return [one for one in asked(town).alerts if one.detector == "bypass"]


def test_what_goes_past_keten_is_told_and_what_keten_delivers_is_not(flow_town: Town) -> None:
    town = flow_town
    log = town.keten.folder / "logs" / "conn.log"
    carrier = town.carrier()
    (share,) = carrier.shares()
    delivered = len(carrier.get(f"/v1/objects/{share['objects'][0]['id']}").body)
    assert delivered == town.care.stat().st_size

    # The perimeter saw that delivery too; it went to a network of this supplier, and is accounted for.
    own = delivered + 40_000
    log.write_text(HEADER + flow("Cown", "127.0.0.1", "10.0.0.5", 2_000, own, port=8443))
    until(town, lambda: sent(town) == own)
    size = asked(town).size
    until(town, lambda: asked(town).upto >= size)
    assert alerts(town) == []

    with log.open("a") as file:
        file.write(flow("Cleak", "10.0.0.9", "203.0.113.7", 3 * GIGABYTE))
        file.write(flow("Cother", "10.0.0.9", "198.51.100.1", 5 * GIGABYTE))  # to nobody that we know
        file.write("rubbish\tof\tsomebody\n")
        file.write(flow("Cleak", "10.0.0.9", "203.0.113.7", 3 * GIGABYTE))  # twice
    until(town, lambda: any(one.severity == "high" for one in alerts(town)))
    (alert,) = alerts(town)  # the new link and the amount are one alert
    assert (alert.supplier, alert.principal, alert.response) == ("zorgvervoer", "", "alert")
    words = alert.explanation
    assert words["en"]["seen"].startswith("3.0 GB went to systems of zorgvervoer outside of Keten.")
    assert words["nl"]["seen"].startswith("3,0 GB ging buiten Keten om naar systemen van zorgvervoer.")
    assert "203.0.113.0/24 port 443" in words["en"]["seen"]
    assert "10.0.0" not in str(alert)
    assert carrier.shares(), "it never suspends by itself"

    found = town.keten.run("watch", "flows", str(log))
    assert [(one["bytes"], one["address"], one["from"]) for one in found["flows"]] == [
        (3 * GIGABYTE, "203.0.113.7", "10.0.0.9"),
        (own, "127.0.0.1", "10.0.0.5"),
    ]
    assert (found["doubled"], found["not_understood"]) == (1, {"not as many columns as the header has": 1})


def test_nothing_counts_twice_over_rotation_and_kills(flow_town: Town) -> None:
    town = flow_town
    before = sent(town)
    log = town.keten.folder / "logs" / "conn.log"
    with log.open("a") as file:  # never written anew in place: what is shorter for a moment is a log that begins again
        file.write(("" if log.stat().st_size else HEADER) + flow("Cbefore", "10.0.0.9", "203.0.113.7", 200_000_000))
    until(town, lambda: sent(town) == before + 200_000_000)
    worker = town.keten.pid("worker")
    os.kill(worker, signal.SIGKILL)
    # Rotated and compressed meanwhile, with a line that nobody had read.
    rotated = log.read_text() + flow("Clast", "10.0.0.9", "203.0.113.8", 300_000_000)
    log.unlink()
    log.with_name("conn.log.1.gz").write_bytes(gzip.compress(rotated.encode()))
    log.write_text(HEADER + flow("Cnew", "10.0.0.9", "203.0.113.8", 400_000_000))
    until(town, lambda: sent(town) >= before + 900_000_000)
    assert sent(town) == before + 900_000_000
    assert "10.0.0" not in json.dumps(seen(town))
    stands = town.keten.run("status")["watch"]["flows"]
    assert (stands["suppliers"], stands["trouble"]) == (1, {})
    # A log of less than 4 KiB is read again once it is compressed: flows are known by their uids, other lines are not.
    assert stands["counts"]["wrong"].keys() == {"not as many columns as the header has"}
    assert stands["counts"]["wrong"]["not as many columns as the header has"] in (1, 2)
    findings = json.loads(town.keten.command("doctor", "--json").stdout)["findings"]
    codes = {one["code"] for one in findings}
    assert "watch-flows-nobody" not in codes
    assert "watch-flows-file" not in codes
