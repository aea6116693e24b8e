"""What `keten doctor` says about rights that have to be confirmed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, weak
from keten.core.clock import DAY
from keten.core.db import translated

SOON_DAYS = 7


def unconfirmed(case: Case) -> Iterator[Finding]:
    """Grants and roles that lapse before long, or have, because nobody confirmed them."""
    from keten.suppliers.recertifying import waiting_count

    with translated(), case.engine.connect() as connection:
        count = waiting_count(connection, time.time_ns() // 1000 + SOON_DAYS * DAY)
    if count:
        what = f"Nobody has confirmed {count} grants and roles that lapse within {SOON_DAYS} days, or have lapsed."
        yield weak("rights-unconfirmed", what, "Their owners do it at the console; see: keten confirm list")
