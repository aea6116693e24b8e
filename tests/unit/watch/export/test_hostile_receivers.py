"""Receivers that hang, send byte by byte, never stop, or say what a terminal would obey."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from aiosmtpd.smtp import SMTP

from keten.core.errors import KetenError, Unavailable
from keten.drills.neighbours import until
from keten.watch.export.drivers import bounded
from keten.watch.export.drivers import smtp as mail_module
from keten.watch.export.drivers import web as web_module
from keten.watch.export.drivers.choosing import driver_of
from tests.unit.watch.export.conftest import records
from tests.unit.watch.export.rigs import MailRig, Rig, SyslogRig, WebRig
from tests.unit.watch.export.test_drivers import ALERT, WEB, networked


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
    monkeypatch.setattr(rig, "take", lambda _asked: (status, said))
    driver = driver_of(rig.destination(), rig.folder)
    if status == 200 and rig.kind == "webhook":
        driver.send(records(0, 1, ALERT), 1)  # that it was taken says the status; the words of it are not read
    else:
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
