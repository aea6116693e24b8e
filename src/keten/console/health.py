"""What is wrong or weak with the instance, as far as it can be seen from here. Nothing is passed over in silence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from keten.console.history import DAMAGED, History
from keten.console.model import Concern, Mismatch, Proof
from keten.core.clock import DAY, SECOND, rfc3339
from keten.core.db import own_folder
from keten.core.settings import Settings

CLOCK_BEHIND_US = 2 * SECOND
PUBLISHED_WITHIN_US = 60 * SECOND
UNCONFIRMED_US = 7 * DAY
FREE_BYTES = 1 << 30
FREE_SHARE = 0.05
_SHOWN = 20
_LOOPBACK = ("127.", "[::1]", "localhost")


class Room(msgspec.Struct, frozen=True):
    """A disk, in bytes."""

    total: int
    free: int


class Seen(msgspec.Struct, frozen=True):
    """What the concerns are made from. restored_us: when it was restored, if nobody has looked at that yet; else 0.

    unconfirmed: rights that lapse within `UNCONFIRMED_US`, or have.
    """

    settings: Settings
    proof: Proof
    history: History
    mismatches: tuple[Mismatch, ...]
    countries_named: bool
    now_us: int
    restored_us: int = 0
    unconfirmed: int = 0


def concerns(seen: Seen) -> tuple[Concern, ...]:
    """Every concern, the grave ones first."""
    found = [
        *_restored(seen),
        *_register(seen),
        *_ledger(seen),
        *_outsiders(seen),
        *_clock(seen),
        *_keeper(seen),
        *_disk(own_folder(seen.settings.console_state) or seen.settings.paths.ledger),
        *_settings(seen),
        *_rights(seen),
    ]
    return tuple(sorted(found, key=lambda one: not one.grave))


def _restored(seen: Seen) -> Iterator[Concern]:
    if seen.restored_us:
        yield Concern("restore-unconfirmed", {"since": rfc3339(seen.restored_us)}, grave=True)


def _register(seen: Seen) -> Iterator[Concern]:
    found = seen.mismatches
    if found:
        yield Concern("rows-mismatch", {"count": len(found)}, found[:_SHOWN], grave=True)


def _rights(seen: Seen) -> Iterator[Concern]:
    if seen.unconfirmed:
        yield Concern("rights-unconfirmed", {"count": seen.unconfirmed})


def _ledger(seen: Seen) -> Iterator[Concern]:
    proof, history = seen.proof, seen.history
    if history.damaged:
        indexes = ", ".join(map(str, history.damaged[:_SHOWN]))
        more = " …" if len(history.damaged) > _SHOWN or len(history.damaged) == DAMAGED else ""
        yield Concern("entries-damaged", {"indexes": indexes + more}, grave=True)
    if proof.faults:
        yield Concern("head-faults", details=proof.faults[:_SHOWN], grave=True)
    look = proof.look
    if look is not None and look.count:
        yield Concern("look-faults", {"count": look.count}, details=look.faults, grave=True)
    if look is not None and look.failed:
        yield Concern("look-failed", details=(look.failed,), grave=True)
    behind = proof.size - (proof.published or 0)
    if proof.published is not None and behind > 0 and seen.now_us - proof.newest_us > PUBLISHED_WITHIN_US:
        yield Concern("not-published", {"count": behind}, grave=True)


def _outsiders(seen: Seen) -> Iterator[Concern]:
    """What outsiders say, and whether they still say anything."""
    told = seen.history.facts.disagreeing.items()
    disagreeing = [name for label, (name, at_us) in told if seen.proof.cosigned_us.get(label, 0) <= at_us]
    if disagreeing:
        yield Concern("witness-disagrees", {"witnesses": ", ".join(sorted(disagreeing))}, grave=True)
    since = seen.proof.waiting_us
    if seen.proof.watched and since and seen.now_us - since > seen.settings.outside_limit_seconds * SECOND:
        yield Concern("outside-late", {"since": rfc3339(since)}, grave=True)


def _clock(seen: Seen) -> Iterator[Concern]:
    if seen.history.facts.clock:
        yield Concern("clock-jumped", details=(seen.history.facts.clock,), grave=True)
    if seen.proof.newest_us - seen.now_us > CLOCK_BEHIND_US:
        yield Concern("clock-behind", {"newest": rfc3339(seen.proof.newest_us)}, grave=True)


def _keeper(seen: Seen) -> Iterator[Concern]:
    facts = seen.history.facts
    running = alive(seen.settings.paths.run / "keeper.pid")
    if running is False or (running is None and facts.stopped_us > facts.started_us):
        yield Concern("keeper-stopped", grave=True)
    if facts.key_kind == "bare":
        yield Concern("key-bare")
    elif not facts.key_kind and seen.history.read >= seen.history.entries:
        yield Concern("key-unknown")


def alive(path: Path) -> bool | None:
    """Whether the process that `keten up` noted there is alive; None when it noted none, or that cannot be seen."""
    try:
        os.kill(int(path.read_text(encoding="ascii")), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is there, under another user
    except (OSError, ValueError, OverflowError):
        return None
    return True


def usage(folder: Path) -> Room | None:
    """How full the disk of a folder is; None where that can't be seen."""
    try:
        found = shutil.disk_usage(folder)
    except OSError:
        return None
    return Room(found.total, found.free)


def _disk(folder: Path) -> Iterator[Concern]:
    found = usage(folder)
    if found is None:
        yield Concern("disk-unknown")
    elif found.free < FREE_BYTES and found.free < FREE_SHARE * found.total:
        yield Concern("disk-low", {"bytes": found.free}, grave=True)


def _settings(seen: Seen) -> Iterator[Concern]:
    geo = seen.settings.geo
    if seen.countries_named and not geo.database and not geo.networks:
        yield Concern("no-geo", grave=True)
    if not seen.settings.watch.enabled:
        yield Concern("watch-off")
    bind = seen.settings.console.bind
    if bind and not bind.startswith(_LOOPBACK):
        yield Concern("console-open", {"bind": bind})

