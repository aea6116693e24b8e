"""Mail by SMTP, over TLS always: findings only, in words. Many at once are one mail, so that a flood is not a flood."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from keten.core.destinations import Destination
from keten.watch.export.drivers.driver import Record, Settling, context, read_secret
from keten.watch.export.drivers.smtp import Server, give
from keten.watch.export.wording import is_note, told

_SUBJECTS = {"en": "{title} and {count} more", "nl": "{title} en nog {count}"}
_LINE = "\n\n" + "-" * 60 + "\n\n"
_TOLD_IN_FULL = 20


class MailDriver(Settling):
    """One message for what is sent together; the server's 250 is the acknowledgement."""

    most = 1000

    def __init__(self, destination: Destination, home: Path) -> None:
        super().__init__()
        self._destination = destination
        self._server = Server(
            destination.url,
            context(home / destination.ca if destination.ca else None),
            destination.user,
            read_secret(home / destination.token_file) if destination.token_file else "",
        )

    def send(self, records: Sequence[Record], upto: int) -> None:
        """One mail to everybody. Raises `Unavailable`, also when the server would not speak TLS or refused them all."""
        records = [record for record in records if not is_note(record)]
        if records:
            give(self._server, message_of(records, self._destination), self._destination.sender, self._destination.to)
        self._upto = upto

    def close(self) -> None:
        """There is nothing to close: each mail has a connection of its own."""


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
