"""The worker's process: wait for the keeper, go round, stop when told to."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading

from keten.core.errors import KetenError
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.worker.rounds import Rounds

log = logging.getLogger(__name__)
CALL_SECONDS = 60.0


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when it begins. Returns the exit code.

    Raises `Invalid` when the settings or the policy cannot be used.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    rounds = Rounds(settings)
    sys.stdout.write(json.dumps({"worker": True}) + "\n")
    sys.stdout.flush()
    said = ""
    while not stopping.is_set():
        try:
            with KeeperClient(settings.paths.operator_socket, CALL_SECONDS) as client:
                rounds.run(client)
            said = ""
        except KetenError as error:
            if str(error) != said:
                log.warning("outside signatures wait: %s", error)
            said = str(error)
        stopping.wait(rounds.pause)
    return 0
