"""How the instance is: ledger, backups, disk, database, who gets its events; and what is wrong or weak in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from keten.backup import service as backups
from keten.console import health
from keten.console.model import Concern, Proof
from keten.console.proof import read_proof
from keten.console.readings.desk import Reading
from keten.core.clock import SECOND, rfc3339
from keten.core.db import own_folder, version_of
from keten.core.destinations import Destination
from keten.core.settings import Settings, duration
from keten.keeper.protocol import Status
from keten.ledger.cursors import load_cursor
from keten.ledger.reading import size
from keten.suppliers.model import Contract
from keten.watch.alerts import CURSOR
from keten.watch.export.state import STATE, seen_state

OLD_US = 7 * 86_400 * SECOND
MOST_BEHIND = 10_000
"""So many entries that the watch has yet to look at are more than a moment's work."""


class Reached(msgspec.Struct, frozen=True):
    """A destination of events. state "new": nothing was sent yet. since_us: since when it fails. waiting: entries."""

    name: str
    kind: str
    state: Literal["fine", "failing", "new", "unknown"]
    since_us: int = 0
    error: str = ""
    delivered: int = 0
    waiting: int = 0
    left_out: int = 0


class Health(msgspec.Struct, frozen=True):
    """Everything. backup_us: when the newest backup was made, 0: there is none; backups: how many are known.

    free, total: bytes of the disk, None where that could not be seen. worker: whether it runs, None where nobody knows.
    behind: entries that the watch has yet to look at. signed_us: the last outside signature, 0: none.
    """

    at_us: int
    now_us: int
    proof: Proof
    concerns: tuple[Concern, ...]
    backup_us: int
    backups: int
    free: int | None
    total: int | None
    worker: bool | None
    behind: int
    signed_us: int
    database: str
    reached: tuple[Reached, ...]
    status: Status


def read(reading: Reading, status: Status) -> Health:
    """How it is now. status: what the keeper says of itself; reads with `folded`."""
    settings, connection = reading.settings, reading.connection
    proof = read_proof(connection, settings, reading.history, reading.look)
    contracts = reading.rows.all(Contract)
    named = any(one.countries for one in contracts if one.ended is None and one.ends_us > reading.now_us)
    lives = (life for life in backups.all_lives(connection) if life.origin == proof.origin)
    restored = max((life.since_us for life in lives if life.state == backups.UNCONFIRMED), default=0)
    seen = health.Seen(settings, proof, reading.history, (), named, reading.at_us, restored)
    made = [one for one in backups.known(connection) if one.state == "complete"]
    folder = own_folder(settings.console_state) or settings.paths.ledger
    usage = health.usage(folder)
    entries = size(connection)
    found = Health(
        at_us=reading.at_us,
        now_us=reading.now_us,
        proof=proof,
        concerns=(),
        backup_us=max((one.made_us for one in made), default=0),
        backups=len(made),
        free=usage.free if usage else None,
        total=usage.total if usage else None,
        worker=health.alive(settings.paths.run / "worker.pid"),
        behind=max(entries - load_cursor(connection, CURSOR), 0) if settings.watch.enabled else 0,
        signed_us=max(proof.witnessed_us, proof.stamped_us),
        database=version_of(connection),
        reached=tuple(_reached(settings, one, entries) for one in settings.export.destinations),
        status=status,
    )
    plain = sum(1 for one in made if not one.recipients)
    more = (*_backups(found, plain), *_processes(settings, found), *_outside(found), *_exports(settings, found))
    concerns = sorted((*health.concerns(seen), *more), key=lambda one: not one.grave)
    return msgspec.structs.replace(found, concerns=tuple(concerns))


def _backups(found: Health, plain: int) -> Iterator[Concern]:
    if not found.backups:
        yield Concern("backup-none")
    elif found.at_us - found.backup_us > OLD_US:
        yield Concern("backup-old", {"since": rfc3339(found.backup_us)})
    if plain:
        yield Concern("backup-plain")


def _processes(settings: Settings, found: Health) -> Iterator[Concern]:
    if not found.status.gateways:
        yield Concern("gateway-none", grave=True)
    if found.worker is False and settings.has_work:
        yield Concern("worker-stopped", grave=True)
    if found.behind > MOST_BEHIND:
        yield Concern("watch-behind", {"entries": found.behind})
    if found.status.notes:
        yield Concern("keeper-notes", details=tuple(found.status.notes))


def _outside(found: Health) -> Iterator[Concern]:
    if not found.proof.watched:
        yield Concern("outside-nobody")


def _exports(settings: Settings, found: Health) -> Iterator[Concern]:
    late_us = duration(settings.export.alarm_after) * SECOND
    for one in found.reached:
        about: dict[str, str | int] = {"name": one.name}
        if one.state == "failing":
            grave = found.at_us - one.since_us > late_us
            told = about | {"since": rfc3339(one.since_us)}
            yield Concern("export-failing", told, details=(one.error,), grave=grave)
        if one.state == "unknown":
            yield Concern("export-not-seen", about)
        if one.left_out:
            yield Concern("export-gap", about | {"left_out": one.left_out})


def _reached(settings: Settings, one: Destination, entries: int) -> Reached:
    state = seen_state(settings.paths.outbox / one.name / STATE)
    if state is None:
        return Reached(one.name, one.kind, "unknown")
    if state.cursor < 0 and not state.failing_since_us:
        return Reached(one.name, one.kind, "new")
    return Reached(
        name=one.name,
        kind=one.kind,
        state="failing" if state.failing_since_us else "fine",
        since_us=state.failing_since_us,
        error=state.error,
        delivered=state.delivered,
        waiting=max(entries - state.cursor, 0),
        left_out=state.left_out,
    )
