"""Mail by SMTP, over TLS always: findings only, in words. Many at once are one mail, so that a flood is not a flood."""

from __future__ import annotations

import contextlib
import hashlib
import smtplib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from urllib.parse import urlsplit

from keten.core.destinations import Destination
from keten.core.errors import Unavailable
from keten.suppliers.mistakes import plain
from keten.watch.export.drivers.bounded import connected, secured, within
from keten.watch.export.drivers.driver import ANSWER_SECONDS, Record, Settling, context, read_secret
from keten.watch.export.wording import is_note, told

_SUBJECTS = {"en": "{title} and {count} more", "nl": "{title} en nog {count}"}
_LINE = "\n\n" + "-" * 60 + "\n\n"
_TOLD_IN_FULL = 20
MAIL_SECONDS = 60.0
"""For a whole mail, from the server's greeting until it is taken."""


class _Session(smtplib.SMTP):
    """A session over a connection that is there already."""

    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._connection = connection
        super().__init__(host, port, timeout=ANSWER_SECONDS)

    def _get_socket(self, _host: str, _port: int, timeout: float) -> socket.socket:
        self._connection.settimeout(timeout)
        return self._connection


class MailDriver(Settling):
    """One message for what is sent together; the server's 250 is the acknowledgement."""

    most = 1000

    def __init__(self, destination: Destination, home: Path) -> None:
        super().__init__()
        self._destination = destination
        self._context = context(home / destination.ca if destination.ca else None)
        self._password = read_secret(home / destination.token_file) if destination.token_file else ""

    def send(self, records: Sequence[Record], upto: int) -> None:
        """One mail to everybody. Raises `Unavailable`, also when the server would not speak TLS or refused them all."""
        records = [record for record in records if not is_note(record)]
        if records:
            message = message_of(records, self._destination)
            try:
                refused = self._given(message)
            except (OSError, smtplib.SMTPException, ValueError) as error:
                why = plain(f"{type(error).__name__}: {error}")[:500]
                raise Unavailable("export-unreachable", f"{self._destination.url} takes no mail.", why) from error
            if len(refused) == len(self._destination.to):
                raise Unavailable("export-refused", f"{self._destination.url} refused every receiver.")
        self._upto = upto

    def close(self) -> None:
        """There is nothing to close: each mail has a connection of its own."""

    def _given(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Hand a mail over, within `MAIL_SECONDS`; whom the server would not take it for."""
        parts = urlsplit(self._destination.url)
        host, direct = parts.hostname or "", parts.scheme == "smtps"
        port = parts.port or (465 if direct else 587)
        connection = secured(host, port, self._context) if direct else connected(host, port)
        with contextlib.closing(connection), within(MAIL_SECONDS, connection):
            server = _Session(connection, host, port)
            try:
                if not direct:
                    server.starttls(context=self._context)
                if self._password:
                    server.login(self._destination.user, self._password)
                refused = server.send_message(message, self._destination.sender, self._destination.to)
                with contextlib.suppress(OSError, smtplib.SMTPException):  # it is taken, whatever comes of this
                    server.putcmd("QUIT")
            finally:
                server.close()
        return refused


def message_of(records: Sequence[Record], destination: Destination) -> EmailMessage:
    """The mail about these events. Its Message-ID is made of their uids: the same when it is sent again."""
    tellings = [told(record, destination.language) for record in records[:_TOLD_IN_FULL]]
    title = tellings[0].title
    if len(records) > 1:
        title = _SUBJECTS[destination.language].format(title=title, count=len(records) - 1)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"[Keten] {title}"
    message["From"] = destination.sender
    message["To"] = ", ".join(destination.to)
    message["Date"] = datetime.now(UTC)
    digest = hashlib.sha256("\n".join(record.uid for record in records).encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{digest}@{destination.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers from holiday notices
    body = _LINE.join(f"{each.title}\n\n{each.text}" for each in tellings)
    rest = [record.uid for record in records[_TOLD_IN_FULL:]]
    message.set_content(body + (_LINE + "\n".join(rest) if rest else "") + "\n")
    return message
