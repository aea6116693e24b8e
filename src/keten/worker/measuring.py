"""The worker's duty for Prometheus: counts entries as they come, and answers on this machine only.

How far it has counted, and which alerts are open, is kept; so a ledger of millions of entries is read once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import make_wsgi_app

from keten.core.clock import wall_us
from keten.core.errors import Corrupt, FsyncFailed, Unavailable
from keten.core.files import Files, stop_process
from keten.core.listening import split_bind
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import MOST_FOLLOWED, Follow, Following
from keten.keeper.witness_protocol import AskOutside, OutsideState
from keten.ledger.model import Entry
from keten.watch.export.metrics import Metrics
from keten.worker.exporting import Exporting

log = logging.getLogger(__name__)
PAUSE_SECONDS = 2.0
REST_SECONDS = 0.1  # between full pages: who waits for a decision comes first
SAVED_SECONDS = 10.0


class Counted(msgspec.Struct):
    """What is kept. position: index of the first entry that was not counted. alerts: open ones → severity."""

    position: int = 0
    alerts: dict[str, str] = {}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


class Measuring:
    """Reads the whole ledger once, and then what is new."""

    name = "metrics"

    def __init__(
        self,
        settings: Settings,
        exports: Sequence[Exporting],
        files: Files | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._exports = exports
        self._files = files or Files()
        self._monotonic = monotonic
        self._path = settings.paths.outbox.parent / "metrics.json"
        kept = _load(self._path)
        self.metrics = Metrics(kept.alerts)
        self._position = self._saved = kept.position
        self._saved_at = monotonic()
        self._server: _Server | None = None

    def run(self, client: KeeperClient) -> float:
        """A page, the state of the rest. Raises what the keeper raises; `Unavailable` ("cannot-listen")."""
        if self._server is None:
            self._server = self._listen()
        page = self._page(client)
        entries = [Entry(one.index, one.id, one.time_us, one.kind, one.read()) for one in page.entries]
        self.metrics.count(entries, page.names)
        self.metrics.size.set(page.size)
        if entries:
            self._position = entries[-1].index + 1
        elif page.size < self._position:  # the ledger was restored
            self._position = page.size
        self.metrics.counted.set(self._position)
        self._save()
        now_us = wall_us()
        for export in self._exports:
            self.metrics.exported(export.destination.name, export.outbox.state, page.size, now_us)
        if len(entries) == MOST_FOLLOWED:
            return REST_SECONDS
        state = client.call("ledger.outside", AskOutside(), OutsideState)
        self.metrics.outside(max(state.witnessed_us, state.stamped_us), state.waiting_us, now_us)
        return PAUSE_SECONDS

    @property
    def port(self) -> int:
        """Where it listens; 0 before it does."""
        return self._server.server_port if self._server is not None else 0

    def close(self) -> None:
        """Listen no longer."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _save(self) -> None:
        """Now and then. Where it can't be kept, more is counted again after a restart."""
        if self._position == self._saved or self._monotonic() - self._saved_at < SAVED_SECONDS:
            return
        self._saved_at, self._saved = self._monotonic(), self._position
        try:
            self._files.make_folder(self._path.parent, 0o750)
            self._files.write(self._path, msgspec.json.encode(Counted(self._position, self.metrics.alerts)), 0o640)
        except FsyncFailed as error:
            stop_process(str(error))
        except (OSError, Unavailable) as error:
            log.warning("how far metrics are cannot be kept: %s", error)

    def _page(self, client: KeeperClient) -> Following:
        """The next entries; one that cannot be read is passed over, and the export says so."""
        try:
            return client.call("ledger.follow", Follow(self._position, text=True), Following)
        except Corrupt:
            try:
                return client.call("ledger.follow", Follow(self._position, 1), Following)
            except Corrupt:
                self._position += 1
                return client.call("ledger.follow", Follow(2**62, 1), Following)

    def _listen(self) -> _Server:
        host, port = split_bind(self._settings.metrics.bind)
        try:
            server = make_server(
                host, port, make_wsgi_app(self.metrics.registry), server_class=_Server, handler_class=_Quiet
            )
        except OSError as error:
            public = f"Cannot listen on {self._settings.metrics.bind} for [metrics]."
            raise Unavailable("cannot-listen", public, str(error)) from error
        threading.Thread(target=server.serve_forever, name="metrics server", daemon=True).start()
        log.info("metrics at http://%s:%d/metrics", host, server.server_port)
        return server


def _load(path: Path) -> Counted:
    """What was kept; nothing where nothing was, or it is damaged: then all is counted again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Counted)
    except (OSError, msgspec.DecodeError):
        return Counted()
