"""The kinds of entry of systems."""

from __future__ import annotations

from keten.identity.entries import CHANGED, DECLARED, ENDED
from keten.ledger.kinds import kind

SYSTEM_DECLARED = kind("systems.system.declared", "A database of the organisation's was entered.", DECLARED)
SYSTEM_CHANGED = kind("systems.system.changed", "A system's name, kind or owner changed.", CHANGED)
SYSTEM_ENDED = kind("systems.system.ended", "A system is asked no more, for good.", ENDED)
