"""A connection to the instance's keeper; where none runs, this command runs one for itself and stops it afterwards."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keten.cli.locks import RETRY_SECONDS, Lock, command_lock, is_kept, is_up
from keten.cli.output import say
from keten.cli.processes import Child, refuse_other_user
from keten.cli.progress import remark
from keten.core.errors import Busy, KetenError, Unavailable
from keten.core.settings import Paths, Settings
from keten.keeper.client import KeeperClient
from keten.keeper.protocol import Nothing, Status

WAIT_SECONDS = 120.0  # for other commands that run a keeper for themselves
START_SECONDS = 600.0  # a database of an older version is copied and upgraded first
STOP_SECONDS = 30.0
WATCH_SECONDS = 1.0


@contextmanager
def watched(paths: Paths) -> Iterator[None]:
    """While this context lasts: what keeps a keeper busy, and for how long already, on a terminal.

    Asked on a connection of its own, every second.
    """
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(paths, over), daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def _watch(paths: Paths, over: threading.Event) -> None:
    since, shown = 0.0, 0
    try:
        while not over.wait(WATCH_SECONDS):
            with KeeperClient(paths.operator_socket) as client:
                doing = client.call("keeper.status", Nothing(), Status).doing
            since = (since or time.monotonic()) if doing else 0.0
            text = f"{doing} ({time.monotonic() - since:.0f} s)" if doing else ""
            sys.stderr.write(f"\r{text:<{shown}}")
            sys.stderr.flush()
            shown = len(text)
    except KetenError:
        pass  # the command itself says what is wrong
    if shown:
        sys.stderr.write("\n")


@contextmanager
def keeper(settings: Settings) -> Iterator[KeeperClient]:
    """A client of the running keeper, or of one that runs as long as this context.

    1. Share the commands' lock: while it is shared, no keeper of another command is there that could go away.
    2. Use the keeper that runs (of `keten up` or of a service manager).
    3. There is none: take the lock alone and look again; where `keten up` runs, wait for the keeper it starts again,
       and where a keeper is ending (its command was killed), until it is gone.
    4. Start one, and say so: it takes seconds.
    5. Stop it again afterwards; everything that was answered is durable.

    Raises `Busy` ("keeper-in-use") when another command keeps one for itself for longer than `WAIT_SECONDS`, and
    whatever keeps a keeper from starting.
    """
    lock = command_lock(settings.paths)
    try:
        client = _running(settings.paths, lock)  # 1, 2
        if client is not None:
            with client:
                yield client
            return
        refuse_other_user(settings.paths.home)
        lock.give_back()
        _take(lock)  # 3
        client = _restarted(settings.paths)
        if client is not None:
            with client:
                yield client
            return
        remark("The instance is stopped: starting its keeper for this command …")
        child = Child("keeper", settings.paths.home)  # 4
        try:
            if child.wait_ready(START_SECONDS).get("standby"):
                raise _standing_by()
            with KeeperClient(settings.paths.operator_socket) as client:
                yield client
        finally:
            if not child.stop(STOP_SECONDS):  # 5
                say("The keeper did not stop in time and was killed; what it had answered is safe.")
    finally:
        lock.give_back()


def _running(paths: Paths, lock: Lock) -> KeeperClient | None:
    """Steps 1 and 2. An operator who may not make the lock's file uses the keeper that runs, or none."""
    try:
        _take(lock, shared=True)
    except Unavailable:
        client = connect(paths)
        if client is None:
            raise
        return client
    return connect(paths)


def _take(lock: Lock, *, shared: bool = False) -> None:
    if not lock.take(shared=shared):
        remark("Waiting for another command that uses the stopped instance …")
        if not lock.take(shared=shared, seconds=WAIT_SECONDS):
            raise _in_use()


def _restarted(paths: Paths) -> KeeperClient | None:
    """Step 3: a keeper that has come meanwhile, or that is being started; None when there is none any more."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (client := connect(paths)) is None and (is_up(paths) or is_kept(paths)):
        if paths.standby.exists():
            raise _standing_by()
        if time.monotonic() > deadline:
            raise Unavailable("keeper-unreachable", "A keeper runs and does not answer; what started it says why.")
        time.sleep(RETRY_SECONDS)
    return client


def connect(paths: Paths) -> KeeperClient | None:
    """A client of the keeper that listens; None when none does. `Unavailable` when this user may not speak with it."""
    try:
        return KeeperClient(paths.operator_socket)
    except KetenError as error:
        if isinstance(error.__cause__, PermissionError):
            raise Unavailable(
                "keeper-forbidden",
                f"This user cannot reach the keeper's socket: only the group {_group(paths)} and root do.",
                error.reason,
            ) from error
        return None


def _group(paths: Paths) -> str:
    """The name of the group that reaches the operator's socket."""
    for folder in (paths.operator_socket.parent, paths.run, paths.home):
        try:
            return folder.group()
        except (OSError, KeyError):  # not to be seen by this user; or a group without a name
            continue
    return "of the instance's folder"


def _standing_by() -> Unavailable:
    public = "This instance stands by: another keeper is active on its database; give this command there."
    return Unavailable("standing-by", public)


def _in_use() -> Busy:
    return Busy(
        "keeper-in-use",
        f"Other commands have used the stopped instance for {WAIT_SECONDS:.0f} s; wait for them, or run 'keten up'.",
    )
