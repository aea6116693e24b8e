"""Letters of the keeper, handed to the mail server: on the worker's own socket, on which the keeper alone may speak."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path

from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.letter_protocol import MAX_FRAME, Handed, Letter
from keten.keeper.server import Connection, Endpoint, waiting_verb
from keten.watch.export.drivers.driver import context, read_secret
from keten.watch.export.drivers.smtp import Server, give
from keten.worker.letters import message_of

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0


class Mailing:
    """Listens for letters in a thread of its own; each is answered when the mail server has taken it, or not."""

    name = "letters"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None

    def run(self, _client: KeeperClient) -> float:
        """See that it listens. Raises `RuntimeError` when it does not any more: the worker then begins anew."""
        if self._thread is not None and not self._thread.is_alive():
            raise RuntimeError("the socket for letters is gone")
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name="letters' socket", daemon=True)
            self._thread.start()
        return LOOK_SECONDS

    def _listen(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        paths = self._settings.paths
        paths.mail_socket.parent.mkdir(mode=0o711, exist_ok=True)
        keeper = paths.keeper.stat().st_uid  # whose the root key is
        endpoint = Endpoint(
            paths.mail_socket,
            frozenset({keeper}),
            {"mail.letter": waiting_verb(Letter, self.letter)},
            max_frame=MAX_FRAME,
            max_answer=MAX_FRAME,
            tells_reasons=True,
            mode=0o600 if keeper == os.getuid() else 0o666,
        )
        await endpoint.start()
        await asyncio.Event().wait()

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
