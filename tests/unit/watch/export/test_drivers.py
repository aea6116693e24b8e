"""What every driver promises, against a receiver over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from aiosmtpd.smtp import SMTP

from keten.core.errors import Invalid, KetenError, Unavailable
from keten.core.files import Files
from keten.drills.neighbours import until
from keten.watch.explaining import explain
from keten.watch.export.drivers import bounded
from keten.watch.export.drivers import mail as mail_module
from keten.watch.export.drivers import web as web_module
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


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, trust: Trust, secret: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path, trust, secret) as made:
        yield made


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


@pytest.mark.parametrize("rig", WEB, indirect=True)
def test_an_answer_that_comes_byte_by_byte_for_ever(rig: WebRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "ANSWER_SECONDS", 1.0)
    stopped = threading.Event()
    context = rig.trust.context()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection = context.wrap_socket(listening.accept()[0], server_side=True)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stopped.wait(0.1):
                    connection.sendall(b"X-Slow: 1\r\n")
            except OSError:
                pass
            finally:
                connection.close()

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}/"
        driver = driver_of(msgspec.structs.replace(rig.destination(), url=url), rig.folder)
        with pytest.raises(Unavailable):
            driver.send(records(0, 1), 1)
        driver.close()
        stopped.set()
        thread.join(10)


@contextlib.contextmanager
def serving(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a receiver that does this with its first connection, until it is cut."""

    def run() -> None:
        with contextlib.suppress(OSError):
            connection = listening.accept()[0]
            connection.settimeout(20)
            with connection, contextlib.suppress(OSError):
                act(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
    thread.join(10)
    assert not thread.is_alive(), "it was let go of"


def drip(connection: socket.socket, said: bytes) -> None:
    """Say something again and again, a byte at a time: never long after the last one."""
    while True:
        for one in said:
            connection.sendall(bytes([one]))
            time.sleep(0.02)


# A handshake record of 16 KiB is announced, of which a byte comes now and then.
ENDLESS = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\0" * 100


@networked
def test_a_handshake_that_has_no_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(mail_module, "MAIL_SECONDS", 1.0)
    with serving(lambda connection: drip(connection, ENDLESS)) as port:
        scheme = {"syslog": "tls", "mail": "smtps"}.get(rig.kind, "https")
        driver = driver_of(rig.destination(url=f"{scheme}://localhost:{port}"), rig.folder)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            driver.send(records(0, 1, ALERT), 1)
        assert time.monotonic() - began < 10
        driver.close()


@pytest.mark.parametrize("rig", ["mail"], indirect=True)
@pytest.mark.parametrize("after", [b"", b"220 hello\r\n", b"220 hello\r\n250-here\r\n250 STARTTLS\r\n220 go\r\n"])
def test_a_mail_server_that_speaks_byte_by_byte(rig: MailRig, after: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its greeting, in what it offers, and in the handshake of STARTTLS: the limit is for the whole mail."""
    monkeypatch.setattr(mail_module, "MAIL_SECONDS", 1.0)

    def speak(connection: socket.socket) -> None:
        connection.sendall(after)
        drip(connection, ENDLESS if b"go" in after else b"250-more\r\n" if after else b"220-more\r\n")

    with serving(speak) as port:
        driver = driver_of(rig.destination(url=f"smtp://localhost:{port}"), rig.folder)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            driver.send(records(0, 1, ALERT), 1)
        assert time.monotonic() - began < 10
        driver.close()


@pytest.mark.parametrize("rig", ["mail"], indirect=True)
def test_a_mail_that_was_taken_is_not_sent_again(rig: MailRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the server says to the end of the session: nothing, for instance."""
    monkeypatch.setattr(SMTP, "smtp_QUIT", _says_nothing)
    driver = driver_of(rig.destination(), rig.folder)
    driver.send(records(0, 1, ALERT), 1)
    assert (driver.settled(), len(rig.mails)) == (1, 1)
    driver.close()


async def _says_nothing(_server: SMTP, _argument: str) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("rig", ["syslog"], indirect=True)
def test_a_syslog_server_that_never_stops_talking(rig: SyslogRig) -> None:
    context = rig.trust.context()

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            while True:
                secure.sendall(b"blah" * 4000)

    with serving(talk) as port:
        driver = driver_of(rig.destination(url=f"tls://localhost:{port}", settle_seconds=1), rig.folder)

        def is_noticed() -> bool:
            try:
                driver.send(records(0, 1, ALERT), 1)
            except Unavailable as error:
                return "talks" in error.reason
            return False

        assert until(is_noticed)
        driver.close()


@pytest.mark.parametrize("rig", WEB, indirect=True)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_what_a_receiver_says_steers_nobodys_terminal(
    rig: WebRig, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words stand in logs, in the state of the destination, and in findings at the others."""
    said = b'\x1b[2J {"code": 9, "text": "a\\u001b[31m\\nb", \n2026-11-29 keeper: all is well \xff'
    if status == 200 and rig.kind != "webhook":
        said = b'{"code": 9, "text": "a\\u001b[31m\\nb", "partialSuccess": '
        said += b'{"rejectedLogRecords": 1, "errorMessage": "a\\u001b[31m\\nb"}}'
    elif status == 200:
        pytest.skip("a webhook's answer is not read")
    monkeypatch.setattr(rig, "take", lambda _asked: (status, said))
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(KetenError) as caught:
        driver.send(records(0, 1, ALERT), 1)
    assert str(caught.value).isprintable(), str(caught.value)
    driver.close()


@pytest.mark.parametrize("rig", ["webhook", "otlp", "splunk"], indirect=True)
def test_an_answer_without_an_end(rig: WebRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "take", lambda _asked: (200, b" " * (web_module.MAX_ANSWER + 1)))
    driver = driver_of(rig.destination(), rig.folder)
    with pytest.raises(Unavailable, match="without an end"):
        driver.send(records(0, 1), 1)
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
