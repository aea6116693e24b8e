"""What the console asks the keeper before it shows anything, answered on a real socket of the keeper's own server."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Self

from keten.core.clock import wall_us
from keten.core.errors import Denied
from keten.keeper.people_protocol import Authorise, Authorised, Done, Origin, PersonView
from keten.keeper.server import Connection, Endpoint, waiting_verb

SESSION = "s" * 26
PERSON = PersonView("p" * 26, "dpo", "", "", "Gemeente Voorbeeld", ("auditor",), ("see-overview", "own-keys"))


class Gatekeeper:
    """Listens where the keeper would, in a thread of its own; lets in who shows `SESSION`. origins: what it heard."""

    def __init__(self, path: Path) -> None:
        self.origins: list[str] = []
        self._loop = asyncio.new_event_loop()
        verbs = {
            "people.origin": waiting_verb(Origin, self._origin),
            "people.authorise": waiting_verb(Authorise, self._authorise),
        }
        self._endpoint = Endpoint(
            path,
            frozenset([os.getuid()]),
            verbs,
            max_frame=1 << 20,
            max_answer=1 << 20,
            tells_reasons=False,
            mode=0o600,
        )
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _origin(self, _connection: Connection, body: Origin) -> Done:
        self.origins.append(body.url)
        return Done()

    async def _authorise(self, _connection: Connection, body: Authorise) -> Authorised:
        if body.proof.session != SESSION:
            raise Denied("session-ended", "This session is over.")
        return Authorised(PERSON, wall_us() + 900_000_000, wall_us() + 3_600_000_000)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._endpoint.start(), self._loop).result(30)
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._endpoint.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()
