"""The worker's process: every duty in a thread of its own, until it is told to stop."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Protocol

from keten.core.errors import KetenError
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.worker.exporting import exporting
from keten.worker.fetching import Fetching
from keten.worker.flowing import Flowing
from keten.worker.mailing import Mailing
from keten.worker.measuring import Measuring
from keten.worker.rounds import Rounds
from keten.worker.watching import watching

log = logging.getLogger(__name__)
CALL_SECONDS = 60.0
FAILED_SECONDS = 2.0
STOP_SECONDS = 3.0


class Duty(Protocol):
    """Something that the worker does again and again. What it must not forget is on the disk when `run` returns."""

    name: str

    def run(self, client: KeeperClient) -> float:
        """Once more; seconds until the next time. A `KetenError` is logged, once, and it is tried again."""


def duties(settings: Settings) -> list[Duty]:
    """What there is to do for an instance. Raises `Invalid` when its settings cannot be used."""
    outside: list[Duty] = [Rounds(settings)] if settings.has_outside else []
    watched: list[Duty] = [watching(settings)] if settings.watch.enabled else []
    flows: list[Duty] = [Flowing(settings)] if settings.watch.enabled and settings.watch.flows else []
    exports = exporting(settings)
    metrics: list[Duty] = [Measuring(settings, exports)] if settings.metrics.bind else []
    letters: list[Duty] = [Mailing(settings)] if settings.mail.url else []
    provider: list[Duty] = [Fetching(settings)] if settings.oidc.issuer else []
    return [*watched, *flows, *outside, *exports, *metrics, *letters, *provider]


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when it begins. Returns the exit code.

    Raises `Invalid` when the settings or the policy cannot be used.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return Work(settings, duties(settings), stopping).run()


class Work:
    """Duties at work. One that fails in a way that nobody foresaw ends all of them: a new process starts afresh."""

    def __init__(self, settings: Settings, todo: Sequence[Duty], stopping: threading.Event) -> None:
        self._settings = settings
        self._duties = todo
        self._stopping = stopping
        self._broken = False

    def run(self) -> int:
        """Until `stopping`; the exit code: 0, or 3 when a duty broke."""
        threads = [threading.Thread(target=self._keep, args=(one,), name=one.name, daemon=True) for one in self._duties]
        for thread in threads:
            thread.start()
        sys.stdout.write(json.dumps({"worker": True}) + "\n")
        sys.stdout.flush()
        self._stopping.wait()
        for thread in threads:
            thread.join(STOP_SECONDS)
        return 3 if self._broken else 0

    def _keep(self, duty: Duty) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                with KeeperClient(self._settings.paths.operator_socket, CALL_SECONDS) as client:
                    while not self._stopping.is_set():
                        pause = duty.run(client)
                        said = ""
                        self._stopping.wait(pause)
            except KetenError as error:
                if str(error) != said:
                    log.warning("%s: %s", duty.name, error)
                said = str(error)
                self._stopping.wait(FAILED_SECONDS)
            except Exception:
                log.exception("%s failed", duty.name)
                self._broken = True
                self._stopping.set()
