"""Systems, each row bound to its last entry."""

from __future__ import annotations

from keten.ledger.bound import bound_table
from keten.systems.model import System

systems = bound_table("systems", System)
