"""The gateway's process: find the keeper, listen, serve, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys

import uvloop

from keten import __version__
from keten.core.addresses import networks
from keten.core.errors import Invalid
from keten.core.listening import join_host
from keten.core.settings import Settings
from keten.core.storage import LocalStore
from keten.gateway.accesses import Accesses
from keten.gateway.certificate import LOOK_SECONDS, ShownCertificate
from keten.gateway.connection import Connection
from keten.gateway.content import Contents
from keten.gateway.http import Gateway, build
from keten.gateway.ledger_files import LedgerFiles
from keten.gateway.link import KeeperLink
from keten.gateway.listening import Acceptor
from keten.gateway.memory import give_back_now_and_then
from keten.gateway.server import HttpsServer
from keten.gateway.ssh import SftpService
from keten.keeper.protocol import Hello

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
REPORT_SECONDS = 5.0
LOOK_FOR_KEEPER_SECONDS = 0.2
_FILES = 65_536


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when every listener listens. Returns the exit code."""
    _raise_file_limit()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the keys of running accesses are in this memory
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    """Serve until told to stop.

    1. Read the keys of the listeners: what is wrong with them is said before anybody waits.
    2. Wait for the keeper. While it stands by for another, everything is answered "not available at this moment".
    3. Have a certificate; listen, and say so.
    4. On SIGTERM: accept nobody; let transfers finish for a while, then cut them; report; end.
    """
    gc.freeze()  # what is loaded stays: keep the collector from walking it again and again
    gc.set_threshold(50_000, 20, 20)
    give_back_now_and_then()
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    running = RunningGateway(settings)  # 1
    running.link.start()
    log.info("waiting for the keeper at %s", settings.paths.gateway_socket)
    waiting = asyncio.ensure_future(running.keeper_known())  # 2
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((waiting, told), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not stopping.is_set():
        if running.link.ready:
            await running.certify()  # 3
        sys.stdout.write(f"{json.dumps(running.listen())}\n")
        sys.stdout.flush()
    await stopping.wait()
    await running.stop()  # 4


class RunningGateway:
    """The gateway's parts, put together."""

    def __init__(self, settings: Settings) -> None:
        paths, limits = settings.paths, settings.limits
        self._settings = settings
        self._contents = Contents(LocalStore(paths.store))
        self.accesses = Accesses(self._contents, limits.slow_reader_seconds)
        self.link = KeeperLink(
            paths.gateway_socket,
            Hello(f"gateway {os.getpid()}", __version__),
            cut=self.accesses.carry_out,
            lost=self.accesses.lost,
        )
        self.accesses.attach(self.link)
        self._certificate: ShownCertificate | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._https: HttpsServer | None = None
        self._sftp: SftpService | None = None
        self._acceptors: list[Acceptor] = []
        self.bound: dict[str, str] = {}
        if settings.gateway.bind:
            self._certificate = ShownCertificate(settings)
        if settings.sftp.proxy not in ("", "v2"):
            raise Invalid("settings", "[sftp] 'proxy' must be 'v2': SSH has no headers.")
        if settings.sftp.bind:
            self._sftp = SftpService(self.accesses, paths.ssh_host_key, limits)

    async def keeper_known(self) -> None:
        """Wait until the keeper answers, or says that it stands by and there is a certificate to show already."""
        ready = asyncio.ensure_future(self.link.wait_ready())
        shown = self._certificate
        while not ready.done():
            if self._settings.paths.standby.exists() and (shown is None or shown.context is not None):
                ready.cancel()
                return
            await asyncio.wait((ready,), timeout=LOOK_FOR_KEEPER_SECONDS)

    async def certify(self) -> None:
        """See to it that there is a certificate to show. Raises what the keeper raises when there can be none."""
        if self._certificate is not None:
            await self._certificate.look(self.link)

    async def _keep_certificate(self, shown: ShownCertificate, https: HttpsServer) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.link.ready and await shown.look(self.link) and shown.context is not None:
                https.show(shown.context)

    def listen(self) -> dict[str, str | None]:
        """Listen, and say where. After `certify`."""
        settings = self._settings
        ready: dict[str, str | None] = {"gateway": None, "sftp": None, "sftp_host_key": None}
        if settings.gateway.bind:
            ready["gateway"] = self._listen_https()
        if self._sftp is not None:
            acceptor = Acceptor(
                settings.sftp,
                connections=settings.limits.connections,
                slow_reader_seconds=settings.limits.slow_reader_seconds,
            )
            ready["sftp"] = join_host(*_reachable(*acceptor.bind()))
            acceptor.start(self._sftp.serve)
            ready["sftp_host_key"] = self._sftp.host_key
            self._acceptors.append(acceptor)
        return ready

    def _listen_https(self) -> str:
        settings = self._settings
        listener = settings.gateway

        acceptor = Acceptor(
            listener, connections=settings.limits.connections, slow_reader_seconds=settings.limits.slow_reader_seconds
        )
        host, port = acceptor.bind()  # a picked port is part of the address that proofs are about
        self.bound["gateway"] = f"https://{join_host(*_reachable(host, port))}"
        url = listener.public_url or self.bound["gateway"]
        gateway = Gateway(self.accesses, LedgerFiles(settings.paths.ledger), url)
        header = listener.proxy if listener.proxy != "v2" else ""
        shown = self._certificate
        if shown is None or shown.context is None:
            raise Invalid("certificate", "There is no TLS certificate to show.")
        self._https = HttpsServer(
            build(gateway),
            shown.context,
            idle_seconds=settings.limits.idle_seconds,
            header=header,
            proxies=networks(listener.trusted_proxies),
        )
        self._https.start()
        self._keeping = asyncio.ensure_future(self._keep_certificate(shown, self._https))
        acceptor.start(self._https.serve)
        self._acceptors.append(acceptor)
        return url.rstrip("/")

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Who is connected, over any protocol."""
        return tuple(one for acceptor in self._acceptors for one in acceptor.connections)

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Accept nobody, drain, cut, report, end."""
        for acceptor in self._acceptors:
            acceptor.stop()
        if self._keeping is not None:
            self._keeping.cancel()
        if self._https is not None:
            await self._https.drain(drain_seconds)
        await self.accesses.drained(drain_seconds)
        self.accesses.stop()
        for connection in self.connections:
            connection.cut("cut")
        if self._https is not None:
            await self._https.stop()
        await self.link.close(REPORT_SECONDS)
        self._contents.stop()


def _reachable(host: str, port: int) -> tuple[str, int]:
    """What a client on this machine would say for a listener on every address."""
    return ("localhost" if host in ("", "0.0.0.0", "::") else host), port  # noqa: S104 - compared, not bound


def _raise_file_limit() -> None:
    """As many open files as we may: each transfer takes two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
