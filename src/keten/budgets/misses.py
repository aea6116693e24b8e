"""Telling who guesses at keys from who mistypes now and then, with a bound on how seldom that is wrong.

Two one-sided cumulative sums (Page 1954, "Continuous inspection schemes", Biometrika 41) of log-likelihood ratios
against the two per cent of misses of people at work: a quick one for guessing wildly, a patient one for guessing with
care. What it takes to reach the threshold hardly depends on how long somebody worked well before, for a sum never goes
below nought; on average an honest client makes at least five million lookups before one of them does
(docs/decisions/0018-lookups.md).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import msgspec
from sqlalchemy import ColumnElement, Connection, insert, select, update

from keten.budgets.entries import GUESSING_FORGIVEN
from keten.budgets.tables import lookup_scores
from keten.ledger.model import Draft
from keten.ledger.writing import Writing

USUAL = 0.02
"""The share of lookups that find nothing, of people at work."""
UNIT = 1_000_000  # scores are whole numbers of millionths, so that whoever replays them gets the same
STOP = round(math.log(1e7) * UNIT)
STOPPED_US = 3_600_000_000
"""How long lookups of one client under one grant are refused after that: an hour."""
MAX_KNOWN = 50_000


class Score(msgspec.Struct, frozen=True, gc=False):
    """Both sums, in millionths; and until when lookups are refused (microseconds; 0: they are not)."""

    quick: int = 0
    patient: int = 0
    stopped_until_us: int = 0

    @property
    def guesses(self) -> bool:
        """Whether one of them has reached the threshold."""
        return self.quick >= STOP or self.patient >= STOP


class _Step(msgspec.Struct, frozen=True):
    miss: int
    hit: int

    def scored(self, score: int, found: int, missed: int) -> int:
        return max(0, max(0, score + self.hit * found) + self.miss * missed)


def _step(guessing: float) -> _Step:
    """What a miss and a hit add, against so large a share of misses."""
    return _Step(round(math.log(guessing / USUAL) * UNIT), round(math.log((1 - guessing) / (1 - USUAL)) * UNIT))


QUICK, PATIENT = _step(0.3), _step(0.15)


def scored(score: Score, found: int, missed: int) -> Score:
    """The score after a lookup of so many keys, in the order that scores highest: the misses last."""
    return Score(QUICK.scored(score.quick, found, missed), PATIENT.scored(score.patient, found, missed))


class Scores:
    """Scores over `lookup_scores`, within the writer's transaction, which ends with `commit` or `rollback`.

    The table is the truth; what is remembered only spares reading it, and what does not change is not written.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Score] = OrderedDict()
        self._touched: set[tuple[str, str]] = set()

    def read(self, connection: Connection, grant: str, client: str) -> Score:
        """The score of a client under a grant."""
        found = self._known.get((grant, client))
        if found is None:
            table = lookup_scores.c
            columns = select(table.quick, table.patient, table.stopped_until_us)
            row = connection.execute(columns.where(_of(grant, client))).first()
            found = self._known[grant, client] = Score(*row) if row is not None else Score()
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return found

    def write(self, connection: Connection, grant: str, client: str, score: Score) -> None:
        """Remember a score, in the transaction of the entry that says it."""
        if score == self.read(connection, grant, client):
            return
        self._touched.add((grant, client))
        self._known[grant, client] = score
        values = msgspec.structs.asdict(score)
        changed = connection.execute(update(lookup_scores).where(_of(grant, client)).values(values))
        if changed.rowcount == 0:
            connection.execute(insert(lookup_scores).values(grant=grant, client=client, **values))

    def forgive(self, writing: Writing, client: str, actor: str) -> list[int]:
        """Let a client look up again wherever it is stopped now; the entries that say so, one for each grant."""
        table = lookup_scores.c
        stopped = select(table.grant).where(table.client == client, table.stopped_until_us > writing.time_us)
        made = []
        for grant in writing.connection.execute(stopped.order_by(table.grant)).scalars().all():
            before = self.read(writing.connection, grant, client)
            details = {"stopped_until_us": before.stopped_until_us, "score": [before.quick, before.patient]}
            refs = {"grant": grant, "client": client}
            made.append(writing.record(Draft(GUESSING_FORGIVEN, actor, (client,), refs, details)))
            self.write(writing.connection, grant, client, Score())
        return made

    def commit(self) -> None:
        """The transaction is durable."""
        self._touched.clear()

    def rollback(self) -> None:
        """The transaction did not happen: what it touched is read from the table again."""
        for key in self._touched:
            self._known.pop(key, None)
        self._touched.clear()


def _of(grant: str, client: str) -> ColumnElement[bool]:
    return (lookup_scores.c.grant == grant) & (lookup_scores.c.client == client)
