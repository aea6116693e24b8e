"""Settings and health: how the instance is, what to do about what is not well, and what it was told."""

from __future__ import annotations

import platform

from starlette.responses import Response

from keten import __version__
from keten.console import told, wording
from keten.console.readings import health
from keten.console.readings.health import Health
from keten.console.screens.turn import Turn
from keten.keeper.protocol import Nothing, Status
from keten.pages.words import N_, Words

KEYS = {
    "bare": (N_("not sealed"), "warn"),
    "passphrase": (N_("sealed by a passphrase"), "open"),
    "credential": (N_("given by the service manager"), "open"),
}
REACHED = {
    "fine": (N_("Reached"), "open"),
    "failing": (N_("Not reached"), "grave"),
    "new": (N_("Nothing was sent yet"), "calm"),
    "unknown": (N_("Unknown"), "warn"),
}
RUNS, STOPPED, UNSEEN = (N_("Runs"), "open"), (N_("Does not run"), "grave"), (N_("Cannot be seen from here"), "calm")


async def show(turn: Turn) -> Response:
    """The page."""
    status = await turn.do("keeper.status", Nothing(), Status)
    found = await turn.read(lambda reading: health.read(reading, status), folded=True)
    words = turn.words
    return turn.page(
        "settings.html",
        found=found,
        concerns=[wording.concern(words, one) for one in found.concerns],
        parts=_parts(words, found),
        look=wording.look(words, found.proof.look),
        key=KEYS.get(status.key_kind, (status.key_kind, "warn")),
        reached=REACHED,
        versions=(f"Keten {__version__}", f"Python {platform.python_version()}", found.database),
        sections=told.sections(turn.desk.settings),
    )


def _parts(words: Words, found: Health) -> list[tuple[str, tuple[str, str], str]]:
    """Each process: its name, its state with a tone, and what is known of it."""
    status = found.status
    opened = words.ngettext("%(count)s transfer is open", "%(count)s transfers are open", status.open_accesses)
    worker = {True: RUNS, False: STOPPED, None: UNSEEN}[found.worker]
    looked = words.ngettext("%(count)s entry to look at", "%(count)s entries to look at", found.behind)
    return [
        (words.gettext("Console"), RUNS, words.gettext("this page")),
        (
            words.gettext("Keeper"),
            RUNS,
            words.gettext("%(size)s of memory") % {"size": words.size(status.memory_bytes)}
            + (f"; {status.doing}" if status.doing else ""),
        ),
        (
            words.gettext("Gateway"),
            RUNS if status.gateways else STOPPED,
            opened % {"count": words.number(status.open_accesses)},
        ),
        (words.gettext("Worker"), worker, looked % {"count": words.number(found.behind)}),
    ]
