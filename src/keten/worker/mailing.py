"""Letters of the keeper, handed to the mail server: on the worker's own socket, on which the keeper alone may speak."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keten.core.settings import Settings
from keten.keeper.letter_protocol import MAX_FRAME, Handed, Letter
from keten.keeper.server import Connection, waiting_verb
from keten.watch.export.drivers.driver import context, read_secret
from keten.watch.export.drivers.smtp import Server, give
from keten.worker.letters import message_of
from keten.worker.listening import Listening


class Mailing(Listening):
    """Letters: each is answered when the mail server has taken it, or not."""

    def __init__(self, settings: Settings) -> None:
        verbs = {"mail.letter": waiting_verb(Letter, self.letter)}
        super().__init__("letters", settings, settings.paths.mail_socket, verbs, MAX_FRAME)

    async def letter(self, _connection: Connection, body: Letter) -> Handed:
        """Send one. Raises `Unavailable`; nothing of a letter is ever logged."""
        await asyncio.to_thread(self._send, body)
        return Handed()

    def _send(self, letter: Letter) -> None:
        mail = self._settings.mail
        home = Path(self._settings.home)
        password = read_secret(home / mail.token_file) if mail.token_file else ""
        server = Server(mail.url, context(home / mail.ca if mail.ca else None), mail.user, password)
        give(server, message_of(letter, mail.sender, mail.language), mail.sender, (letter.to,))
