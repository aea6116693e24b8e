"""Handing a mail to a server by SMTP, over TLS always; whatever sends mail does it here."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import urlsplit

import msgspec

from keten.core.errors import Unavailable
from keten.suppliers.mistakes import plain
from keten.watch.export.drivers.bounded import connected, secured, within
from keten.watch.export.drivers.driver import ANSWER_SECONDS

MAIL_SECONDS = 60.0
"""For a whole mail, from the server's greeting until it is taken."""


_PERMANENT = 500
_CLOSING = 421  # RFC 5321 §3.8: the server takes nothing now, whoever it is for
_NOT_NOW, _NEVER = 451, 553


class Server(msgspec.Struct, frozen=True):
    """Where mail goes. url: `smtps://HOST`, or `smtp://HOST` with STARTTLS. password "": none is asked for."""

    url: str
    context: ssl.SSLContext
    user: str = ""
    password: str = ""


class _Session(smtplib.SMTP):
    """A session over a connection that is there already."""

    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._connection = connection
        super().__init__(host, port, timeout=ANSWER_SECONDS)

    def _get_socket(self, _host: str, _port: int, timeout: float) -> socket.socket:
        self._connection.settimeout(timeout)
        return self._connection


def give(server: Server, message: EmailMessage, sender: str, to: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Hand a mail over, within `MAIL_SECONDS`; whom the server would not take it for. Its 250 is the acknowledgement.

    Raises `Unavailable`: it can't be reached, would not speak TLS ("export-unreachable"), refused every receiver, or
    can't take their addresses ("export-refused"), or refused all of them, some for now only ("export-deferred":
    RFC 5321 §4.2.1, 4yz). Content that it would not have, for whatever reason, is that mail's own trouble and
    "export-deferred", too: what is refused for one may be taken for another, and later.
    """
    try:
        refused = _given(server, message, sender, to)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except (OSError, smtplib.SMTPException, ValueError) as error:
        why = plain(f"{type(error).__name__}: {error}")[:500]
        raise Unavailable("export-unreachable", f"{server.url} takes no mail.", why) from error
    if len(refused) == len(to) and any(code < _PERMANENT for code, _said in refused.values()):
        raise Unavailable("export-deferred", f"{server.url} takes no mail for these receivers now.")
    if len(refused) == len(to):
        raise Unavailable("export-refused", f"{server.url} refused every receiver.")
    return refused


def _given(server: Server, message: EmailMessage, sender: str, to: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    parts = urlsplit(server.url)
    host, direct = parts.hostname or "", parts.scheme == "smtps"
    port = parts.port or (465 if direct else 587)
    connection = secured(host, port, server.context) if direct else connected(host, port)
    with contextlib.closing(connection), within(MAIL_SECONDS, connection):
        session = _Session(connection, host, port)
        try:
            if not direct:
                session.starttls(context=server.context)
            if server.password:
                session.login(server.user, server.password)
            refused = _sent(session, message, sender, to)
            with contextlib.suppress(OSError, smtplib.SMTPException):  # it is taken, whatever comes of this
                session.putcmd("QUIT")
        finally:
            session.close()
    return refused


def _sent(
    session: smtplib.SMTP, message: EmailMessage, sender: str, to: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    try:
        return session.send_message(message, sender, list(to))
    except (smtplib.SMTPNotSupportedError, UnicodeError):  # an address that is not ASCII, without SMTPUTF8 (RFC 6531)
        return dict.fromkeys(to, (_NEVER, b"the server takes no such address"))
    except smtplib.SMTPDataError as error:
        if error.smtp_code == _CLOSING:
            raise
        return dict.fromkeys(to, (_NOT_NOW, b"the server would not have the content"))
