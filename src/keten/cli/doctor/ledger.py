"""The keeper, its clock, and the ledger: newest entries, what is published, outside signatures."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.cli.operator.keeping import connect
from keten.core.clock import rfc3339
from keten.keeper.protocol import Nothing, Status

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
            f"This machine's clock is behind the newest entry of the ledger, of {rfc3339(case.status.time_us)}.",
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


def outside(_case: Case) -> Iterator[Finding]:
    """Against whoever owns the whole machine only outside copies help."""
    yield weak(
        "no-witness",
        "No outside party has signed this ledger. Against someone who owns this whole machine, only the checkpoints "
        "that suppliers kept with 'keten get' speak.",
        "Export the ledger now and then (keten ledger export), and keep it elsewhere.",
    )
