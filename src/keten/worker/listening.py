"""A duty of the worker that listens: a socket of the worker's own, on which the keeper alone may speak."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.server import Endpoint, Verb

LOOK_SECONDS = 5.0


class Listening:
    """Listens in a thread of its own, in an event loop of that thread. max_frame: bytes, of questions and answers."""

    def __init__(self, name: str, settings: Settings, path: Path, verbs: Mapping[str, Verb], max_frame: int) -> None:
        self.name = name
        self._settings = settings
        self._path = path
        self._verbs = verbs
        self._max_frame = max_frame
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def run(self, _client: KeeperClient) -> float:
        """See that it listens; raises what ended that: the worker then begins anew."""
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name=f"{self.name}: socket", daemon=True)
            self._thread.start()
        return LOOK_SECONDS

    def _listen(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the duty's thread says it, and the worker begins anew
            self._failure = error

    async def _serve(self) -> None:
        self._path.parent.mkdir(mode=0o711, exist_ok=True)
        # Whose the operators' socket is: a service manager may hide the keeper's folder from the worker.
        keeper = self._settings.paths.operator_socket.stat().st_uid
        endpoint = Endpoint(
            self._path,
            frozenset({keeper}),
            self._verbs,
            max_frame=self._max_frame,
            max_answer=self._max_frame,
            tells_reasons=True,
            mode=0o600 if keeper == os.getuid() else 0o666,
        )
        await endpoint.start()
        await asyncio.Event().wait()
