"""Events for the organisation's own monitoring: whether they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.core.clock import SECOND, rfc3339
from keten.core.errors import KetenError
from keten.core.settings import duration
from keten.watch.export.drivers.choosing import driver_of
from keten.watch.export.state import STATE, load_state


def destinations(case: Case) -> Iterator[Finding]:
    """Whether each destination can be used, takes what is sent, and was left nothing out."""
    settings = case.settings
    if not settings.export.destinations:
        yield note("no-export", "No monitoring of your own gets events.", "[[export.destinations]]; see the manual.")
    late_us = duration(settings.export.alarm_after) * SECOND
    for one in settings.export.destinations:
        try:
            driver_of(one, settings.paths.home).close()
        except KetenError as error:
            yield wrong("export-settings", f"The destination {one.name} cannot be used: {error}")
        state = load_state(settings.paths.outbox / one.name / STATE)
        if state.failing_since_us:
            now_us = time.time_ns() // 1000
            since = rfc3339(state.failing_since_us)
            what = f"Nothing reaches the destination {one.name} since {since}: {state.error}"
            late = now_us - state.failing_since_us > late_us
            told = wrong if late else weak
            yield told("export-failing", what, f"keten export test {one.name}")
        if state.left_out:
            yield weak(
                "export-left-out",
                f"{state.left_out} events were left out for {one.name}; the gaps were announced there.",
                f"keten export replay {one.name} --from SEQ",
            )
        if one.kind == "splunk" and not one.ack:
            yield weak("export-no-ack", f"{one.name} acknowledges nothing: a crash there loses events.", "ack = true")
        if one.operators:
            yield note("export-operators", f"User names of operators go to {one.name}.")
