"""The keeper's process: lock, unlock, upgrade, start, serve, stop."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import gc
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import uvloop
from sqlalchemy import Engine

from keten.core.db import take, translated, writing_engine
from keten.core.errors import Conflict, Unavailable
from keten.core.settings import Settings
from keten.core.upgrade import upgrade
from keten.keeper import entries, moving
from keten.keeper.backup_verbs import BackupVerbs
from keten.keeper.chores import Chores
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.operator_verbs import OperatorVerbs
from keten.keeper.people import People
from keten.keeper.people_verbs import PeopleVerbs
from keten.keeper.person_callers import PortalCallers
from keten.keeper.person_verbs import PersonVerbs
from keten.keeper.protocol import MAX_ANSWER_FRAME, MAX_GATEWAY_FRAME, MAX_OPERATOR_FRAME
from keten.keeper.provider_verbs import ProviderVerbs
from keten.keeper.recoveries import Recoveries
from keten.keeper.recovering import face_verbs
from keten.keeper.recovery_verbs import RecoveryVerbs
from keten.keeper.rootkey import RootKey, load_root_key
from keten.keeper.server import Endpoint, Verb, user_ids
from keten.keeper.trusted import Trusted, read_origin
from keten.ledger.model import Draft
from keten.policy import service as policy

log = logging.getLogger(__name__)
_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of prctl(2)
SWITCH_SECONDS = 0.0005
"""How long the loop may keep the interpreter from a thread that is back from the disk: at Python's own 5 ms, answers
would wait for that long after their commit (docs/decisions/0011-writing-in-the-loop.md)."""
LOCK_SECONDS = 1.0
STANDBY_SECONDS = 0.25
"""How often a keeper that stands by asks whether it is its turn."""
GATEWAY_RETURN_SECONDS = 10.0
"""After a start, how long gateways may take to report on accesses that a former keeper opened."""


def run(settings: Settings, credentials: Path | None) -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when both sockets listen. Returns the exit code.

    1. Take the instance's lock: one keeper per instance.
    2. No core dumps, and no other process of this user that reads or traces this one: what is in this memory must
       stay in it.
    3. Unlock the root key.
    4. Be the one keeper of this log, or stand by until the one that is ends; then upgrade an older database, after a
       copy of a file, and refuse a newer one.
    5. Load the signed head, check it, restore what was under way.
    6. Listen.
    """
    with instance_lock(settings):  # 1
        _keep_to_itself()  # 2
        os.umask(0o022)  # the ledger is public, whatever the starting shell forbids
        root = load_root_key(settings, credentials)  # 3
        engine = stand_by(settings)  # 4
        if engine is None:
            return 0
        upgrade(settings.state)
        moving.finish(settings, root, "keeper", engine)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, root, engine))  # 5, 6
    return 0


def stand_by(settings: Settings) -> Engine | None:
    """The engine that writes, once this process is the one keeper of the log; None when it was told to stop first.

    Where another one is, that is said in the ready line, with "standby" true; gateways answer 503 meanwhile.
    """
    stopping = threading.Event()
    before = {
        number: signal.signal(number, lambda _number, _frame: stopping.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    paths = settings.paths
    origin = read_origin(paths.ledger / "key.pub")
    engine = writing_engine(settings.state)
    told = False
    try:
        paths.standby.unlink(missing_ok=True)  # of one that was killed while it stood by
        with translated():
            while not take(engine, origin):
                if not told:
                    told = True
                    log.info("another keeper is active on %s: this one stands by", settings.state)
                    paths.standby.touch()
                    _say({"ready": True, "standby": True, "pid": os.getpid(), "origin": origin})
                if stopping.wait(STANDBY_SECONDS):
                    engine.dispose()
                    return None
    finally:
        paths.standby.unlink(missing_ok=True)
        for number, handler in before.items():
            signal.signal(number, handler)
    return engine


async def _serve(settings: Settings, root: RootKey, engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sys.setswitchinterval(SWITCH_SECONDS)
    with translated():
        trusted = Trusted(settings, root, engine)
    gateways = GatewayVerbs(trusted)
    operators = OperatorVerbs(trusted, gateways)
    people = People(trusted)
    trusted.sign_in.people = PortalCallers(people)
    people.on_over, people.in_use = gateways.end_sessions, trusted.accesses.in_sessions
    persons = PersonVerbs(trusted, people)
    # Also on a disk that is nearly full: without them there is no keeper to end access with.
    await trusted.writer.run(lambda writing: policy.remember(writing, trusted.engine), essential=True)
    await trusted.writer.run(lambda writing: writing.record(trusted.started()), essential=True)
    left = [running.opening for running in trusted.accesses]
    loop.call_later(GATEWAY_RETURN_SECONDS, gateways.settle, left)
    recoveries = Recoveries(trusted, people)
    chores = Chores(trusted, gateways, operators, people, recoveries)
    trusted.on_change = chores.changed
    chores.start()

    paths = settings.paths
    said = persons.verbs() | RecoveryVerbs(trusted, recoveries).verbs()
    portal, console, provider = _faces(trusted, people, operators.verbs() | said, recoveries)
    outward = Endpoint(
        paths.gateway_socket,
        user_ids(settings.keeper.gateway_users),
        gateways.verbs() | {name: gateways.after_hello(known) for name, known in portal.items()},
        max_frame=MAX_GATEWAY_FRAME,
        max_answer=MAX_ANSWER_FRAME,
        tells_reasons=False,
        mode=0o666 if settings.keeper.gateway_users else 0o600,
        on_lost=gateways.lost,
    )
    inward = Endpoint(
        paths.operator_socket,
        user_ids(settings.keeper.operator_users),
        operators.verbs() | BackupVerbs(trusted).verbs() | said | provider.operators(),
        max_frame=MAX_OPERATOR_FRAME,
        max_answer=MAX_OPERATOR_FRAME,
        tells_reasons=True,
        mode=0o666 if settings.keeper.operator_users else 0o600,
    )
    inside = Endpoint(
        paths.console_socket,
        user_ids(settings.keeper.console_users),
        console,
        max_frame=MAX_OPERATOR_FRAME,
        max_answer=MAX_OPERATOR_FRAME,
        tells_reasons=False,
        mode=0o666 if settings.keeper.console_users else 0o600,
    )
    await outward.start()
    await inside.start()
    await inward.start()
    collect_seldom()
    if not _say({"ready": True, "pid": os.getpid(), "origin": trusted.origin}):
        stopping.set()

    await stopping.wait()
    inside.refuse()
    inward.refuse()  # whoever comes now would lose its keeper in the middle
    chores.stop()
    gateways.push_cut((), (), "keeper-stopping", everything=True)
    await asyncio.sleep(0.05)  # the reports of what was cut come in
    await chores.finish()
    if not trusted.moved:  # after it, this log goes on elsewhere
        stopped = Draft(entries.KEEPER_STOPPED, "keeper")
        await trusted.writer.run(lambda writing: writing.record(stopped), essential=True)
    await outward.stop()
    await inside.stop()
    await inward.stop()
    await trusted.connector.close()
    await recoveries.close()
    await provider.close()
    await asyncio.to_thread(trusted.stop)


def _faces(
    trusted: Trusted, people: People, doing: Mapping[str, Verb], recoveries: Recoveries
) -> tuple[dict[str, Verb], dict[str, Verb], ProviderVerbs]:
    """What the portal may say of people, what the console may, and the organisation's provider.

    doing: the verbs that a person may say by `people.do`.
    """
    portal = PeopleVerbs(trusted, "portal", people, doing)
    console = PeopleVerbs(trusted, "console", people, doing)
    provider = ProviderVerbs(trusted, people, console)
    return (
        face_verbs(trusted, "portal", people, portal, recoveries),
        face_verbs(trusted, "console", people, console, recoveries) | provider.verbs(),
        provider,
    )


def collect_seldom() -> None:
    """Once everything is built: what is there now stays, so the garbage collector need not walk it again and again.

    What is remembered later, rows and decisions, holds no cycles and is not walked either (msgspec's `gc=False`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _keep_to_itself() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0)


def instance_lock(settings: Settings) -> IO[str]:
    """The instance's lock, held as long as the file is open. `Conflict` ("running") when another keeper has it.

    Tried for a second: a command that asks whether a keeper runs holds it for a moment.
    """
    path = settings.paths.keeper_lock
    try:
        held = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise Unavailable("not-an-instance", f"{path} cannot be opened; is this an instance?", str(error)) from error
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if time.monotonic() >= deadline:
                held.close()
                raise Conflict("running", "A keeper is running on this instance already.") from error
            time.sleep(0.05)
    try:
        os.ftruncate(held.fileno(), 0)
        os.write(held.fileno(), f"{os.getpid()}\n".encode())
    except OSError as error:  # a full disk: ending access must not wait for a number that only a person looks at
        log.warning("the process id is not in %s: %s", path, error)
    return held


def _say(line: dict[str, object]) -> bool:
    """Say a line to whoever started this process; False when that was killed meanwhile."""
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own flush fails at the end
        return False
    return True
