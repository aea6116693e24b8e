"""The watch: whether it looks, how far it is, and what it could not do by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.core.clock import SECOND, moment
from keten.core.db import translated

BEHIND_SECONDS = 120
LOOKED_AT = 500  # open alerts
MANY_WRONG = 100
"""One line of so many that is not understood is a weakness."""


def on(case: Case) -> Iterator[Finding]:
    """Nobody looks at what goes out while it is switched off; a ladder for what there is not does nothing."""
    from keten.watch.ladder import unknown_in

    settings = case.settings.watch
    if not settings.enabled:
        yield weak("watch-off", "The watch is switched off: nobody looks at what goes out.", "[watch] enabled = true")
    for name in unknown_in(settings):
        what = f"[watch] names a detector {name!r} that Keten does not have; unless a rule of your own has that name"
        yield note("watch-ladder", f"{what}, it does nothing.", "Correct it in keten.toml; the manual lists them.")


def rules(case: Case) -> Iterator[Finding]:
    """Rules of the organisation's own that the watch does not use."""
    from pathlib import Path

    from keten.core.errors import Unavailable
    from keten.watch.rules.loading import load
    from keten.watch.standing import standing

    if not case.settings.watch.rules:
        return
    try:
        loaded = load([Path(case.settings.home) / name for name in case.settings.watch.rules])
    except Unavailable as error:
        yield wrong("watch-rule", f"[watch] rules: {error.public}", "Install keten with the extra 'sigma'.")
        return
    for one in loaded.refused:
        what = f"A rule is not used: {one.file}: {one.reason}"
        yield weak("watch-rule", what, "Correct it, and start the worker again (keten up).")
    at_work = standing(case.settings.paths.standing) if case.up is not None else None
    if at_work is not None and set(at_work.rules) != {rule.id for rule in loaded.rules}:
        what = f"The watch began at {moment(at_work.started_us)} with other rules than the files hold now."
        yield weak("watch-rules-changed", what, "Start the worker again (keten up).")


def flows(case: Case) -> Iterator[Finding]:
    """Flow logs: whether they can be read, are understood, and there is anybody whose systems are known."""
    from keten.watch.standing import flows as flows_at_work

    settings = case.settings
    if not settings.watch.flows or not settings.watch.enabled or case.up is None:
        return
    found = flows_at_work(settings.paths.flow_standing)
    if found is None:
        yield weak("watch-flows-unknown", "It is not known how the watch stands with flow logs: see the worker's log.")
        return
    if not found.suppliers:
        what = "Flow logs are not read: no supplier has networks or hosts in the register."
        yield weak("watch-flows-nobody", what, "Add them to the suppliers of the estate: keten apply.")
    for path, why in found.trouble.items():
        yield weak("watch-flows-file", f"A flow log is not read: {path}: {why}", "Correct [watch] flows, or its modes.")
    wrong_lines = found.counts.all_wrong
    if wrong_lines:
        reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(found.counts.wrong.items()))
        what = f"{wrong_lines} of {found.counts.lines} lines of flow logs were not understood: {reasons}"
        told = weak if wrong_lines * MANY_WRONG > found.counts.lines else note
        yield told("watch-flows-lines", what, "keten watch flows FILE shows which.")
    if found.waiting and time.time_ns() // 1000 - found.sent_us > BEHIND_SECONDS * SECOND:
        yield weak("watch-flows-behind", "What flow logs say is not recorded: see the worker's log.")


def behind(case: Case) -> Iterator[Finding]:
    """What was recorded is looked at within moments, as long as the instance runs."""
    from keten.ledger.cursors import load_cursor
    from keten.ledger.reading import read_range
    from keten.watch.alerts import CURSOR

    if case.up is None or not case.settings.watch.enabled:
        return
    with translated(), case.engine.connect() as connection:
        upto = load_cursor(connection, CURSOR)
        waiting = next(iter(read_range(connection, upto, upto + 1)), None)
    if waiting is not None and time.time_ns() // 1000 - waiting.time_us > BEHIND_SECONDS * SECOND:
        what = f"The watch is behind: what was recorded since {moment(waiting.time_us)} was not looked at yet."
        todo = "See what the worker says on stderr; at a first start it reads the whole ledger."
        yield weak("watch-behind", what, todo)


def limits(case: Case) -> Iterator[Finding]:
    """Alerts for which more was called for than the watch may do by itself."""
    from keten.watch.handling import is_kept, listed

    with translated(), case.engine.connect() as connection:
        if not is_kept(connection):
            yield note("watch-unknown", "What the watch saw is not known: the database is of an older version.")
            return
        held = [one for one in listed(connection, ("open", "acknowledged"), LOOKED_AT) if one.held == "limit"]
    if held:
        what = f"{len(held)} open alerts call for more than the watch may do by itself, such as {held[0].id}."
        yield wrong("watch-limit", what, "Decide yourself: keten alerts list, keten alerts suspend, keten revoke.")
