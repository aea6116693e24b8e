"""What every driver promises, against a receiver over a real connection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from keten.core.errors import Invalid, KetenError, Unavailable
from keten.core.files import Files
from keten.drills.neighbours import until
from keten.watch.explaining import explain
from keten.watch.export.drivers.choosing import driver_of
from keten.watch.export.drivers.driver import Driver, read_secret
from keten.watch.export.drivers.file import FileDriver
from keten.watch.export.drivers.syslog import KEPT_BYTES, SyslogDriver
from tests.receivers import Trust
from tests.unit.watch.export.conftest import records
from tests.unit.watch.export.rigs import RIGS, FileRig, MailRig, Rig, SplunkRig, SyslogRig, WebRig

NETWORKED = sorted(set(RIGS) - {"file"})
WEB = ("otlp", "splunk", "webhook")
ALERT = "watch.alert.raised"


every = pytest.mark.parametrize("rig", sorted(RIGS), indirect=True)
networked = pytest.mark.parametrize("rig", NETWORKED, indirect=True)


def settled(driver: Driver, upto: int) -> bool:
    return until(lambda: driver.settled() >= upto)


@every
def test_everything_arrives_in_order_and_settles(rig: Rig) -> None:
    destination = rig.destination(settle_seconds=1)
    driver = driver_of(destination, rig.folder)
    sent = records(0, 30, ALERT)
    driver.send(sent[:10], 10)
    driver.send([], 12)
    driver.send(sent[10:], 30)
    if rig.kind == "syslog":  # a later block pushes the earlier ones out
        driver.send([], 30)
        assert until(lambda: len(rig.uids) == 30)
    else:
        assert settled(driver, 30)
        assert driver.proven
    assert rig.uids == [each.uid for each in sent]
    driver.close()
    driver.close()


@networked
def test_nobody_there_and_then_somebody(rig: Rig) -> None:
    destination = rig.destination()
    rig.stop()
    driver = driver_of(destination, rig.folder)
    with pytest.raises(Unavailable):
        driver.send(records(0, 3, ALERT), 3)
    assert not driver.proven
    driver.close()
    rig.start()
    driver = driver_of(destination, rig.folder)
    driver.send(records(0, 3, ALERT), 3)
    assert until(lambda: driver.settled() is not None and len(rig.uids) == 3)
    driver.close()


@networked
def test_a_certificate_of_somebody_else_is_refused(rig: Rig, stranger: Trust, tmp_path: Path) -> None:
    driver = driver_of(rig.destination(ca=str(stranger.ca)), rig.folder)
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        driver.send(records(0, 1, ALERT), 1)
    driver.close()
    rig.stop()
    rig.trust = Trust(tmp_path / "other", "other.example")
    rig.start()
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        driver.send(records(0, 1, ALERT), 1)
    driver.close()
    assert rig.uids == []


@pytest.mark.parametrize("rig", ["mail", *WEB], indirect=True)
@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 503])
def test_a_receiver_that_refuses(rig: Rig, status: int) -> None:
    driver = driver_of(rig.destination(), rig.folder)
    rig.refuse = status
    with pytest.raises(Unavailable):
        driver.send(records(0, 2, ALERT), 2)
    rig.refuse = 0
    driver.close()
    driver = driver_of(rig.destination(), rig.folder)
    driver.send(records(0, 2, ALERT), 2)
    assert settled(driver, 2)
    driver.close()


@pytest.mark.parametrize("rig", WEB, indirect=True)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_events_that_are_not_to_its_liking(rig: Rig, status: int) -> None:
    driver = driver_of(rig.destination(), rig.folder)
    rig.refuse = status
    with pytest.raises(Invalid) as caught:
        driver.send(records(0, 2), 2)
    assert caught.value.code == "rejected"
    driver.close()


@pytest.mark.parametrize("rig", ["otlp", "splunk"], indirect=True)
@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"nonsense", b'{"code": 9, "text": "busy"}', b'{"partialSuccess": 3}', b"\xff", b"{" * 5000]
)
def test_a_receiver_that_lies(rig: WebRig, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    if rig.kind == "otlp" and answer in {b"", b'{"code": 9, "text": "busy"}'}:
        pytest.skip("fine by OTLP: everything was taken")
    monkeypatch.setattr(rig, "take", lambda _asked: (200, answer))
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Unavailable):
        driver.send(records(0, 2), 2)
    driver.close()


@pytest.mark.parametrize("rig", ["otlp"], indirect=True)
def test_a_collector_that_drops_some(rig: WebRig, monkeypatch: pytest.MonkeyPatch) -> None:
    told = b'{"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}}'
    monkeypatch.setattr(rig, "take", lambda _asked: (200, told))
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Invalid, match="too old"):
        driver.send(records(0, 2), 2)
    driver.close()


# ---- each kind's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rig", ["splunk"], indirect=True)
def test_splunk_is_not_believed_before_it_acknowledges(rig: SplunkRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.acknowledges = False
    driver = driver_of(rig.destination(), rig.folder)
    driver.send(records(0, 5), 5)
    driver.send(records(5, 9), 9)
    for _time in range(3):
        driver._polled = 0.0  # type: ignore[attr-defined]
        assert driver.settled() == -1
    rig.acknowledges = True
    assert settled(driver, 9)
    rig.acknowledges = False
    driver.send(records(9, 10), 10)
    monkeypatch.setattr("keten.watch.export.drivers.splunk.ACK_SECONDS", -1.0)
    with pytest.raises(Unavailable, match="not acknowledged"):
        assert settled(driver, 10)
    driver.close()


@pytest.mark.parametrize("rig", ["splunk"], indirect=True)
def test_a_token_without_acknowledgement_is_said_to_be_one(rig: SplunkRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "take", lambda _asked: (200, b'{"text": "Success", "code": 0}'))
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Unavailable, match="indexer acknowledgement"):
        driver.send(records(0, 1), 1)
    driver.close()
    driver = driver_of(rig.destination(ack=False), rig.folder)
    driver.send(records(0, 1), 1)
    assert driver.settled() == 1
    driver.close()


@pytest.mark.parametrize("rig", ["splunk"], indirect=True)
def test_one_acknowledgement_for_two_requests_is_none(rig: SplunkRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "take", lambda _asked: (200, b'{"text": "Success", "code": 0, "ackId": 0}'))
    driver = driver_of(rig.destination(), rig.folder)
    driver.send(records(0, 1), 1)
    with pytest.raises(Unavailable, match="two requests"):
        driver.send(records(1, 2), 2)
    driver.close()


@pytest.mark.parametrize("rig", ["syslog"], indirect=True)
def test_syslog_settles_by_time_and_by_what_came_after(rig: SyslogRig) -> None:
    at = [0.0]
    destination = rig.destination(settle_seconds=10)
    driver = SyslogDriver(destination, rig.folder, lambda: at[0])
    driver.send(records(0, 1), 1)
    at[0] = 100.0
    assert driver.settled() == -1  # nothing came after it
    number = 1
    while number * 700 < KEPT_BYTES * 2:
        driver.send(records(number, number + 50), number + 50)
        number += 50
        at[0] += 0.2
    assert until(lambda: driver.settled() == 1)
    at[0] = 109.0
    assert driver.settled() == 1  # too young
    at[0] = 150.0
    assert driver.settled() > 1
    assert driver.settled() < number  # the last block may still be held back
    assert until(lambda: len(rig.uids) == number)
    rig.stop()
    with pytest.raises(Unavailable):
        until(lambda: driver.settled() > number, 10)
    assert not driver.proven
    driver.close()


@pytest.mark.parametrize("rig", ["syslog"], indirect=True)
def test_a_syslog_message_is_of_rfc_5424(rig: SyslogRig) -> None:
    driver = driver_of(rig.destination(), rig.folder)
    driver.send(records(41, 42, ALERT), 42)
    assert until(lambda: len(rig.messages) == 1)
    head, _, body = rig.messages[0].decode().partition("{")
    priority, moment, host, app, process, kind, data = head.split(" ", 6)
    assert (priority, app, process, kind) == ("<107>1", "keten", "-", ALERT)
    assert moment.endswith("Z")
    assert host
    assert data.startswith('[origin software="keten"')
    assert '[meta sequenceId="42"]' in data
    assert body.endswith("}")
    driver.close()


def test_a_file_is_renamed_when_it_is_full_and_old_ones_go(tmp_path: Path, trust: Trust, secret: Path) -> None:
    rig = FileRig(tmp_path, trust, secret)
    driver = driver_of(rig.destination(rotate_bytes=4096, keep=3), tmp_path)
    for number in range(0, 60, 3):
        driver.send(records(number, number + 3), number + 3)
    names = sorted(path.name for path in rig.path.parent.iterdir())
    assert len(names) == 4
    assert "events.jsonl" in names
    newest = max(int(name.rpartition(".")[2]) for name in names if name != "events.jsonl")
    assert f"events.jsonl.{newest - 2}" in names
    assert rig.uids[-1] == f"uid{59:023}"
    driver.close()


def test_a_torn_line_is_mended(tmp_path: Path, trust: Trust, secret: Path) -> None:
    rig = FileRig(tmp_path, trust, secret)
    driver = driver_of(rig.destination(), tmp_path)
    driver.send(records(0, 2), 2)
    driver.close()
    with rig.path.open("ab") as file:
        file.write(b'{"metadata": {"uid": "to')
    driver = driver_of(rig.destination(), tmp_path)
    driver.send(records(2, 3), 3)
    driver.close()
    assert rig.path.read_bytes().count(b"\n") == 3
    assert rig.uids == [f"uid{number:023}" for number in range(3)]


def test_a_full_disk_leaves_no_half_of_anything(tmp_path: Path, trust: Trust, secret: Path) -> None:
    rig = FileRig(tmp_path, trust, secret)

    class Full(Files):
        full = False

        def sync(self, stream: BinaryIO) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().sync(stream)

    files = Full()
    driver = FileDriver(rig.destination(), tmp_path, files)
    driver.send(records(0, 2), 2)
    files.full = True
    with pytest.raises(Unavailable) as caught:
        driver.send(records(2, 5), 5)
    assert caught.value.code == "disk-full"
    assert len(rig.uids) == 2
    assert rig.path.read_bytes().count(b"\n") == 2
    files.full = False
    driver.send(records(2, 5), 5)
    assert len(rig.uids) == 5
    driver.close()


def test_what_is_no_file_is_not_written_to(tmp_path: Path, trust: Trust, secret: Path) -> None:
    rig = FileRig(tmp_path, trust, secret)
    rig.path.parent.mkdir()
    os.mkfifo(rig.path)
    driver = driver_of(rig.destination(), tmp_path)
    with pytest.raises(Invalid, match="not a file"):
        driver.send(records(0, 1), 1)
    driver.close()


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("rig", ["mail"], indirect=True)
def test_many_alerts_are_one_mail(rig: MailRig, language: str) -> None:
    driver = driver_of(rig.destination(language=language, to=["a@x.example", "b@x.example"]), rig.folder)
    driver.send(records(0, 50, ALERT), 50)
    driver.send(records(0, 50, ALERT), 50)
    assert len(rig.mails) == 2
    first, again = rig.mails
    assert first["Message-ID"] == again["Message-ID"]
    title = explain("miss-heavy", {}, {}, language).title
    more = {"en": "and 49 more", "nl": "en nog 49"}[language]
    assert first["Subject"] == f"[Keten] {title} {more}"
    assert first["To"] == "a@x.example, b@x.example"
    text = first.get_body().get_content()
    assert {"en": "Dataset: voters", "nl": "Gegevensset: voters"}[language] in text
    assert set(rig.uids) == {each.uid for each in records(0, 50)}
    driver.close()


@pytest.mark.parametrize("rig", ["mail"], indirect=True)
def test_a_mail_server_that_speaks_no_tls_gets_nothing(rig: MailRig) -> None:
    rig.stop()
    rig.tls = False
    rig.start()
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Unavailable):
        driver.send(records(0, 1, ALERT), 1)
    assert rig.mails == []
    driver.close()


@pytest.mark.parametrize(("mode", "text"), [(0o644, "token"), (0o600, ""), (0o600, "two\nlines"), (0o600, "é")])
def test_a_secret_that_is_none(mode: int, text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(KetenError) as caught:
        read_secret(path)
    assert caught.value.code == "export-secret"
    with pytest.raises(Unavailable):
        read_secret(tmp_path / "nowhere")
