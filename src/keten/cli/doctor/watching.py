"""The watch: whether it looks, how far it is, and what it could not do by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.core.clock import SECOND, rfc3339
from keten.core.db import translated

BEHIND_SECONDS = 120
LOOKED_AT = 500  # open alerts


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
        what = f"The watch is behind: what was recorded since {rfc3339(waiting.time_us)} was not looked at yet."
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
