"""The connector's process: it alone reaches the organisation's own databases, and only the keeper reaches it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys

import uvloop

from keten.connector.verbs import Connector
from keten.core.errors import Conflict
from keten.core.settings import Settings
from keten.keeper.server import Endpoint
from keten.systems.asking import MAX_FRAME

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when its socket listens. Returns the exit code.

    Raises `Conflict` ("running") when another connector serves this instance.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    path = settings.paths.connector_socket
    path.parent.mkdir(mode=0o711, exist_ok=True)
    with (path.parent / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("running", "A connector is running on this instance already.") from error
        connector = Connector(settings.systems, settings.paths.home)
        keeper = settings.paths.keeper.stat().st_uid  # whose the root key is
        endpoint = Endpoint(
            path,
            frozenset({keeper}),
            connector.verbs(),
            max_frame=MAX_FRAME,
            max_answer=MAX_FRAME,
            tells_reasons=True,
            mode=0o600 if keeper == os.getuid() else 0o666,
        )
        await endpoint.start()
        sys.stdout.write(json.dumps({"ready": True, "connector": True, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await stopping.wait()
        await endpoint.stop()
        connector.close()
    # Threads that still wait for a system would keep the process; nothing here is anybody's but the keeper's question.
    sys.stdout.flush()
    os._exit(0)
