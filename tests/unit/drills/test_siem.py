"""The drills' own syslog server over real TLS: what is whole counts once, what is not ends its connection."""

from __future__ import annotations

import io
import json
import socket
import ssl
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from keten.core.destinations import Destination, check_destinations
from keten.drills.neighbours import until
from keten.drills.siem import LONGEST_MESSAGE, Siem, frame
from keten.watch.export.drivers.driver import Record
from keten.watch.export.drivers.syslog import SyslogDriver


@pytest.fixture
def siem(tmp_path: Path) -> Iterator[Siem]:
    with Siem(tmp_path / "siem") as made:
        yield made


def destination(siem: Siem) -> Destination:
    (table,) = tomllib.loads(siem.settings)["export"]["destinations"]
    return msgspec.convert(table, Destination)


def record(uid: str, code: str = "watch.alert.raised") -> Record:
    event = {"metadata": {"uid": uid, "event_code": code}, "severity_id": 4}
    return Record(uid=uid, index=1, time_us=1, kind=code, sort="findings", event=event)


def test_ketens_own_driver_reaches_it_and_what_is_sent_again_came_once(siem: Siem, tmp_path: Path) -> None:
    where = destination(siem)
    check_destinations((where,), "keten.toml")
    before = time.time()
    driver = SyslogDriver(where, tmp_path)
    driver.send([record("a"), record("b", "exchange.lookup.answered")], 2)
    assert until(lambda: len(siem) == 2, 10)
    driver.send([record("a")], 3)
    driver.send([record("c")], 4)
    assert until(lambda: siem.arrived("c") is not None, 10)
    driver.close()
    first = siem.arrived("a")
    assert first is not None
    assert first.code == "watch.alert.raised"
    assert before <= first.at <= time.time()
    assert siem.arrived("nobody") is None
    assert len(siem) == 3
    assert siem.malformed == 0


@pytest.mark.parametrize("sent", [b"x {}", b"9999999 ", b"0 ", b"4 nope", b'9 {"a": []}', b"2 []", b"12345678"])
def test_nonsense_ends_its_connection_and_no_other(siem: Siem, sent: bytes, tmp_path: Path) -> None:
    address = urlsplit(destination(siem).url)
    context = ssl.create_default_context(cafile=str(siem.ca))
    with (
        socket.create_connection(("127.0.0.1", address.port or 0), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(sent)
        wire.recv(1)
    assert until(lambda: siem.malformed == 1, 10)
    driver = SyslogDriver(destination(siem), tmp_path)
    driver.send([record("after")], 1)
    assert until(lambda: siem.arrived("after") is not None, 10)
    driver.close()


def test_a_message_that_is_too_long_is_not_read() -> None:
    stream = io.BytesIO(b"%d " % (LONGEST_MESSAGE + 1))
    with pytest.raises(ValueError, match="too long"):
        frame(stream)
    text = json.dumps({"a": 1}).encode()
    assert frame(io.BytesIO(b"%d %s" % (len(text), text))) == {"a": 1}
    assert frame(io.BytesIO(b"")) is None
    with pytest.raises(ValueError, match="within a length"):
        frame(io.BytesIO(b"12"))
    with pytest.raises(ValueError, match="within a message"):
        frame(io.BytesIO(b"20 short"))
