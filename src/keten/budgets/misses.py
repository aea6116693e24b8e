"""Telling who guesses at keys from who mistypes now and then, with a bound on how seldom that is wrong.

A one-sided cumulative sum (Page 1954, "Continuous inspection schemes", Biometrika 41) of the log-likelihood ratio of a
fifth of misses against the two per cent of people at work. What it takes to reach the threshold hardly depends on how
long somebody worked well before: the sum never goes below nought.
"""

from __future__ import annotations

import math

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from keten.budgets.tables import lookup_scores

USUAL, GUESSING = 0.02, 0.2
"""Shares of lookups that find nothing: of people at work, and from which on it is guessing."""
UNIT = 1_000_000  # scores are whole numbers of millionths, so that whoever replays them gets the same
STOP = round(math.log(1e6) * UNIT)
MISS = round(math.log(GUESSING / USUAL) * UNIT)
HIT = round(math.log((1 - GUESSING) / (1 - USUAL)) * UNIT)
STOPPED_US = 3_600_000_000
"""How long lookups of one client under one grant are refused after that: an hour."""


def scored(score: int, found: int, missed: int) -> int:
    """The score after a lookup of so many keys, in the order that scores highest: the misses last."""
    return max(0, max(0, score + HIT * found) + MISS * missed)


def read_score(connection: Connection, grant: str, client: str) -> tuple[int, int]:
    """The score of a client under a grant, and until when it is stopped (microseconds; 0: it is not)."""
    row = connection.execute(
        select(lookup_scores.c.score, lookup_scores.c.stopped_until_us).where(_of(grant, client))
    ).first()
    return (row.score, row.stopped_until_us) if row is not None else (0, 0)


def write_score(connection: Connection, grant: str, client: str, score: int, stopped_until_us: int) -> None:
    """Remember a score, in the transaction of the entry that says it."""
    values = {"score": score, "stopped_until_us": stopped_until_us}
    changed = connection.execute(update(lookup_scores).where(_of(grant, client)).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(lookup_scores).values(grant=grant, client=client, **values))


def forget_score(connection: Connection, grant: str, client: str) -> None:
    """Begin anew: somebody looked, and it was fine."""
    connection.execute(delete(lookup_scores).where(_of(grant, client)))


def _of(grant: str, client: str) -> ColumnElement[bool]:
    return (lookup_scores.c.grant == grant) & (lookup_scores.c.client == client)
