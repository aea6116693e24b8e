"""Backups: whether there is one, how old the newest is, who could read it; and an instance that was restored."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.backup import service as backups
from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.core.clock import SECOND, moment
from keten.core.db import translated
from keten.keeper.trusted import read_origin

OLD_DAYS = 7
_DAY_US = 24 * 3600 * SECOND


def restored(case: Case) -> Iterator[Finding]:
    """A restored instance serves nobody until somebody has looked."""
    origin = read_origin(case.settings.paths.ledger / "key.pub")
    with translated(), case.engine.connect() as connection:
        life = next((each for each in backups.all_lives(connection) if each.origin == origin), None)
    if life is None:
        return
    if life.state == backups.UNCONFIRMED:
        yield wrong(
            "restore-unconfirmed",
            f"Nothing is served: this instance was restored at {moment(life.since_us)}, and nobody has looked yet.",
            "End what must not be live (keten revoke), then: keten restore --confirm",
        )
    if life.state == backups.MOVED:
        yield wrong(
            "instance-moved",
            f"This instance was moved to another machine at {moment(life.since_us)}; it does not start here.",
            "Use it where it was moved to, and keep or destroy this folder.",
        )


def copies(case: Case) -> Iterator[Finding]:
    """Whether the instance would survive its disk."""
    with translated(), case.engine.connect() as connection:
        known = backups.known(connection)
    complete = [one for one in known if one.state == "complete"]
    if not complete:
        yield weak("no-backup", "There is no backup of this instance.", "keten backup DIR --to RECIPIENT")
        return
    age = (time.time_ns() // 1000 - complete[-1].made_us) // _DAY_US
    if age >= OLD_DAYS:
        yield weak("backup-old", f"The newest backup is {age} days old.", "keten backup DIR")
    plain = [one.folder for one in complete if not one.recipients]
    if plain:
        yield weak(
            "backup-plain",
            f"Not encrypted, so that whoever has it reads everything: {', '.join(plain[:3])}.",
            "Destroy it (then: keten backup --forget ID), and say who can open backups: [backup] recipients.",
        )
    away = [one.folder for one in complete if not one.place.manifest.is_file()]
    if away:
        yield note(
            "backup-unreachable",
            f"Not reachable from here now, so that ends and erasures are not carried to it: {', '.join(away[:3])}.",
            "Connect it now and then; or, when it is gone: keten backup --forget ID",
        )
