"""Runs the processes of one instance: keeper first, then the others; what dies is started again."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Self

from keten.cli.exits import CORRUPT
from keten.cli.output import say
from keten.cli.processes import Child, how
from keten.cli.up.running import pid_file
from keten.core.errors import Corrupt, KetenError
from keten.core.files import Files
from keten.core.settings import Paths

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0
STEADY_SECONDS = 10.0  # a process that ran so long starts from the first backoff again
SLOW_SECONDS = 5.0  # after which it is said what is being waited for
STOP_SECONDS = {"keeper": 20.0, "gateway": 10.0, "console": 5.0, "worker": 5.0, "connector": 5.0}
FATAL = {"corrupt", "denied", "invalid"}  # categories of errors that starting again does not cure


class Stopped(Exception):
    """SIGTERM or SIGINT came while something was being waited for."""


Options = Callable[[dict[str, Any]], list[str]]
"""What a process is started with, given the ready line of its first start (empty before that)."""


class Service:
    """One process that is kept running. `ready`: its ready line; `first`: that of its first start."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self.child: Child | None = None
        self.ready: dict[str, Any] | None = None
        self.first: dict[str, Any] = {}
        self.backoff = FIRST_BACKOFF
        self.start_at = 0.0


class Supervisor:
    """Use as a context manager: signals are caught inside it, and everything is stopped at its end."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._services: list[Service] = []
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._before: dict[int, Any] = {}
        self._woken, self._waker = socket.socketpair()
        self.on_ready: Callable[[Service], None] = lambda _service: None

    def __enter__(self) -> Self:
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._selector.close()
            self._woken.close()
            self._waker.close()

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._signals += 1

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {one.name: one.child.pid for one in self._services if one.child is not None}

    # ---- starting --------------------------------------------------------------------------------------------

    def add(self, name: str, options: Options) -> Service:
        """Start a process, and keep it running from now on."""
        service = Service(name, options)
        self._services.append(service)
        self._start(service)
        return service

    def wait_ready(self, *services: Service) -> None:
        """Wait until these are ready for the first time. Raises what one of them can't start for; `Stopped`."""
        told = time.monotonic() + SLOW_SECONDS
        while any(one.ready is None for one in services):
            self._wait(0.5)
            if self._signals:
                raise Stopped
            for one in services:
                if one.child is not None and one.ready is None:
                    self._hear(one, one.child)
            if time.monotonic() > told:
                told = float("inf")
                say(f"Waiting for the {', '.join(one.name for one in services if one.ready is None)} …")

    def _start(self, service: Service) -> None:
        service.child = child = Child(service.name, self._paths.home, *service.options(service.first))
        self._selector.register(child.stdout, selectors.EVENT_READ)
        Files().write(pid_file(self._paths, service.name), f"{child.pid}\n".encode())

    def _hear(self, service: Service, child: Child) -> None:
        """Take the ready line, when it is there."""
        said = child.read()
        if said is not None:
            service.ready = said
            service.first = service.first or said
            self.on_ready(service)

    # ---- running ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Keep everything running until SIGTERM or SIGINT. Raises what can't be cured by starting again."""
        while not self._signals:
            due = [one.start_at for one in self._services if one.child is None]
            self._wait(max(0.0, min([*due, time.monotonic() + 60.0]) - time.monotonic()))
            for service in self._services:
                self._tend(service)

    def _tend(self, service: Service) -> None:
        """Look after one process: hear it, notice its end, start it again when that is due."""
        child = service.child
        if child is None:
            if time.monotonic() >= service.start_at and not self._signals:
                self._start(service)
            return
        if service.ready is None:
            try:
                self._hear(service, child)
            except KetenError as error:
                if error.category in FATAL:
                    raise
                self._ended(service, child, str(error))
                return
        elif child.exit_code is None:
            self._drain(child)
        if child.exit_code is not None:
            self._ended(service, child, how(child.exit_code))

    def _ended(self, service: Service, child: Child, why: str) -> None:
        if child.exit_code == CORRUPT and service.ready is not None:
            raise Corrupt(f"{service.name}-corrupt", f"The {service.name} stopped: its data are damaged.")
        if time.monotonic() - child.started > STEADY_SECONDS:
            service.backoff = FIRST_BACKOFF
        say(f"The {service.name} stopped ({why}); it is started again in {service.backoff:.1f} s.")
        self._forget(child)
        child.stop(STOP_SECONDS[service.name])
        service.child, service.ready = None, None
        service.start_at = time.monotonic() + service.backoff
        service.backoff = min(service.backoff * 2, LONGEST_BACKOFF)

    def _drain(self, child: Child) -> None:
        """Throw away what a process says after its ready line; at the end of its stdout, stop listening there."""
        try:
            if not os.read(child.stdout.fileno(), 65536):
                self._forget(child)
        except (BlockingIOError, ValueError):
            return

    def _forget(self, child: Child) -> None:
        if child.stdout in [key.fileobj for key in self._selector.get_map().values()]:
            self._selector.unregister(child.stdout)

    def _wait(self, seconds: float) -> None:
        self._selector.select(seconds)
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass

    # ---- stopping --------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything, the keeper last; a second signal meanwhile kills what is left. Doing it twice is fine."""
        outside = [one for one in self._services if one.name != "keeper"]
        for some in (outside, [one for one in self._services if one.name == "keeper"]):
            self._stop(some)
        self._services = []

    def _stop(self, services: list[Service]) -> None:
        children = [(one.name, one.child) for one in services if one.child is not None]
        for _name, child in children:
            child.terminate()
        signals = self._signals
        started = time.monotonic()
        for name, child in children:
            self._forget(child)
            while child.exit_code is None:
                late = time.monotonic() - started > STOP_SECONDS[name]
                if late or self._signals > max(signals, 1):
                    say(f"The {name} did not stop in time; it is killed.")
                    child.process.kill()
                    child.process.wait()
                    break
                self._wait(0.2)
            child.stdout.close()
            pid_file(self._paths, name).unlink(missing_ok=True)
