"""The keeper, its clock, and the ledger: newest entries, what is published, outside signatures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.cli.operator.keeping import connect
from keten.core.clock import SECOND, moment
from keten.keeper.protocol import Nothing, Status

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from keten.ledger.outside import Outside

LOOKED_AT = 4096
LAG_SECONDS = 2.0
SLOW_CLOCK_US = 5_000_000


def keeper(case: Case) -> Iterator[Finding]:
    """Whether a keeper answers, and a gateway is connected."""
    if case.status is None and case.settings.paths.standby.exists():
        yield note("standing-by", "The keeper stands by: another one is active on this database.")
    elif case.status is None:
        yield note("stopped", "No keeper answers: the instance is stopped, or this user may not speak with it.")
    elif not case.status.gateways:
        yield note("no-gateway", "No gateway is connected to the keeper: suppliers reach nothing.")


def clock(case: Case) -> Iterator[Finding]:
    """A clock that jumped stops serving until someone has looked."""
    if case.status is None:
        return
    if case.status.clock:
        yield wrong(
            "clock-jumped",
            f"Nothing is served: {case.status.clock}.",
            "Check the clock (timedatectl); once it is right: keten doctor --accept-clock",
        )
    elif case.status.time_us - time.time_ns() // 1000 > SLOW_CLOCK_US:
        yield wrong(
            "clock-behind",
            f"This machine's clock is behind the newest entry of the ledger, of {moment(case.status.time_us)}.",
            "Set it right; if it is, time stands still in the ledger until then, "
            "and while that is more than an hour away nothing is destroyed for its age.",
        )


def verified(case: Case) -> Iterator[Finding]:
    """A quick look at the head and the newest entries; all of it is for `keten ledger verify`."""
    from keten.ledger.verify import verify

    paths = case.settings.paths
    report = verify(case.settings.state, paths.ledger, newest=LOOKED_AT, processes=1)
    for fault in report.faults:
        yield wrong("ledger", f"The ledger does not hold: {fault}.", "keten ledger verify")


def published(case: Case) -> Iterator[Finding]:
    """What is recorded must be published within moments."""
    status = case.status
    if status is None or status.published >= status.size:
        return
    time.sleep(LAG_SECONDS)
    client = connect(case.settings.paths)
    if client is None:
        return
    with client:
        later = client.call("keeper.status", Nothing(), Status)
    if later.published < status.size:
        yield wrong(
            "publishing-behind",
            f"{later.size - later.published} entries are recorded and not yet published.",
            "Look at what the keeper says, and at the space and owner of the ledger folder.",
        )


def outside(case: Case) -> Iterator[Finding]:
    """Against whoever owns the whole machine only outside copies help."""
    from keten.core.db import translated
    from keten.ledger.notes import Verifier
    from keten.ledger.outside import is_kept, read_outside
    from keten.ledger.quorum import load_policy

    settings = case.settings
    if not settings.has_outside:
        yield weak(
            "no-witness",
            "No outside party is asked to sign this ledger. Against someone who owns this whole machine, only the "
            "checkpoints that suppliers kept with 'keten get' speak.",
            "Set [witnesses] policy or [timestamps] in keten.toml; see the manual. Until then export the ledger now "
            "and then (keten ledger export), and keep it elsewhere.",
        )
        return
    policy = load_policy(settings)
    origin = Verifier.parse((settings.paths.ledger / "key.pub").read_text(encoding="utf-8").strip()).name
    with translated(), case.engine.connect() as connection:
        if not is_kept(connection):
            yield note("outside-unknown", "What outsiders signed is not known: the database is of an older version.")
            return
        found = read_outside(connection, origin, policy)
        yield from _disagreements(connection, found)
    now_us = time.time_ns() // 1000
    limit_us = settings.outside_limit_seconds * SECOND
    if found.waiting_us and now_us - found.waiting_us > limit_us:
        newest = f"the last one is of {moment(found.signed_us)}" if found.signed_us else "there is none at all"
        what = f"What was recorded since {moment(found.waiting_us)} has no outside signature; {newest}."
        todo = "See 'keten status' for what each witness says."
        yield wrong("outside-late", what, todo) if case.status is not None else weak("outside-late", what, "keten up")
    for one in policy.witnesses if policy is not None else ():
        last = found.last.get(one.key.label)
        if one.url and case.status is not None and (last is None or now_us - last.time_us > limit_us):
            when = f"since {moment(last.time_us)}" if last is not None else "yet"
            yield weak("witness-silent", f"The witness {one.name} has cosigned nothing {when}.", "keten status")


def _disagreements(connection: Connection, found: Outside) -> Iterator[Finding]:
    """Witnesses that said that they hold another history, and have not cosigned since."""
    from keten.ledger.entries import WITNESS_DISAGREED
    from keten.ledger.query import Filter, find

    told: set[str] = set()
    for entry in find(connection, Filter(kind=WITNESS_DISAGREED.name, newest_first=True, limit=100)):
        details = entry.payload.details if entry.payload is not None else {}
        label = str(details.get("key", ""))
        last = found.last.get(label)
        if label in told or (last is not None and last.time_us > entry.time_us):
            continue
        told.add(label)
        yield wrong(
            "witness-disagrees",
            f"The witness {details.get('witness')} holds another history than this ledger: {details.get('what')}.",
            "Somebody may have set the ledger back or forked it: keep a copy of it, and see the witness's evidence.",
        )
