"""What one session does, as rows in time: the same for the honest and for thieves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from random import Random

from keten.watch.model import What
from tests.world.days import SECOND
from tests.world.shape import Account, Grant, Principal

NO_REASONS: tuple[str, ...] = ()
REFUSED_PROOF = ("proof-invalid",)
BYTES_OF_A_RECORD = 680
BYTES_A_SECOND = 8_000_000


@dataclass(slots=True)
class Oddity:
    """How entries of a session come in another way than they happened, in microseconds.

    late: they are in the stream so long after their time (negative: their clock is ahead). again: the same entry comes
    a second time so much later; 0: it does not.
    """

    late_us: int = 0
    again_us: int = 0


@dataclass(slots=True)
class Origin:
    """Who acts, from where, on what. campaign: 0 for the honest. patience: refusals in a row until a thief rests."""

    who: int
    principal: str
    supplier: str
    dataset: str
    grant: str
    contract: str
    purpose: str
    country: str
    network: str
    key: str
    channel: str
    dataset_records: int
    contract_ends_us: int
    account: Account
    campaign: int = 0
    patience: int = 1 << 30
    refusals: int = 0


# order_us, origin, what, allowed, reasons, records, asked, missed, near, outside, bytes, object, oddity
Row = tuple[int, Origin, What, bool, tuple[str, ...], int, int, int, int, int, int, str, Oddity | None]


@dataclass(slots=True)
class Session:
    """A visit. start_us: when. failures: refused sign-ins before it. keys: to ask for, `batch` at a time, `gap_s`
    apart on average. missed, near, outside: shares of keys. drawn: subjects charged already today (None: every subject
    is new). first, span: the caseload. files: names and records of the objects to open, each so many times.
    silent: it does not sign in (a session that was signed in before goes on).
    """

    origin: Origin
    start_us: int
    failures: int = 0
    keys: int = 0
    batch: int = 1
    gap_s: float = 60.0
    missed: float = 0.0
    near: float = 0.0
    outside: float = 0.0
    drawn: set[int | str] | None = None
    first: int = 0
    span: int = 0
    files: Sequence[tuple[str, int]] = ()
    times: int = 1
    silent: bool = False
    oddity: Oddity | None = None


def origin(
    one: Principal,
    *,
    grant: Grant | None = None,
    country: str = "",
    network: str = "",
    key: str = "",
    channel: str = "",
    campaign: int = 0,
) -> Origin:
    """A principal's usual origin, but for what is given."""
    chosen = grant or one.grant
    return Origin(
        who=one.number,
        principal=one.id,
        supplier=one.supplier.id,
        dataset=chosen.dataset.id,
        grant=chosen.id,
        contract=one.supplier.contract,
        purpose=chosen.purpose,
        country=country or one.country,
        network=network or one.network,
        key=key or one.key,
        channel=channel or "https",
        dataset_records=chosen.dataset.records,
        contract_ends_us=one.supplier.ends_us,
        account=one.account(chosen.dataset.id),
        campaign=campaign,
    )


def poisson(rng: Random, mean: float) -> int:
    """A Poisson count; exact, and as slow as it is large."""
    count = 0
    while mean > 500.0:  # e^-mean would be 0; a sum of Poisson counts is one
        count += poisson(rng, 250.0)
        mean -= 250.0
    limit, product = exp(-mean), rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def negative_binomial(rng: Random, mean: float, size: float) -> int:
    """A count with variance mean + mean² / size."""
    return poisson(rng, rng.gammavariate(size, mean / size))


def unfold(session: Session, rng: Random, rows: list[Row]) -> None:
    """Add what happens in a session to `rows`."""
    origin, odd = session.origin, session.oddity
    at = session.start_us
    for _ in range(session.failures):
        rows.append((at, origin, "sign-in", False, REFUSED_PROOF, 0, 0, 0, 0, 0, 0, "", odd))
        at += int(rng.uniform(4, 25) * SECOND)
    if not session.silent:
        rows.append((at, origin, "sign-in", True, NO_REASONS, 0, 0, 0, 0, 0, 0, "", odd))
        at += int(rng.uniform(0.5, 9) * SECOND)
        if rng.random() < 0.3:
            rows.append((at, origin, "list", True, NO_REASONS, 0, 0, 0, 0, 0, 0, "", odd))
            at += int(rng.uniform(1, 20) * SECOND)
    if session.files:
        at = _fetch(session, at, rng, rows)
    if session.keys:
        _look_up(session, at, rng, rows)


def _look_up(session: Session, at: int, rng: Random, rows: list[Row]) -> None:
    random, origin, odd, drawn = rng.random, session.origin, session.oddity, session.drawn
    missed_below, near_below = session.missed, session.missed + session.near
    outside_above = 1.0 - session.outside
    first, span, everyone = session.first, session.span, origin.dataset_records
    mean_us, left, batch = session.gap_s * SECOND, session.keys, session.batch
    while left > 0:
        asked = batch if batch == 1 else min(left, 1 + int(random() * (2 * batch - 1)))
        left -= asked
        records = missed = near = outside = 0
        for _ in range(asked):
            fate = random()
            if fate < missed_below:
                missed += 1
                near += random() < session.near
                continue
            near += fate < near_below
            strange = fate > outside_above
            outside += strange
            if drawn is None:
                records += 1
                continue
            subject = int(random() * everyone) if strange or not span else first + int(random() * span)
            if subject not in drawn:
                drawn.add(subject)
                records += 1
        size = records * BYTES_OF_A_RECORD
        rows.append((
            at, origin, "lookup", True, NO_REASONS, records, asked, missed, near, outside, size, "", odd
        ))  # fmt: skip
        at += int(rng.expovariate(1.0) * mean_us) + 200_000


def _fetch(session: Session, at: int, rng: Random, rows: list[Row]) -> int:
    origin, odd = session.origin, session.oddity
    for name, records in session.files:
        for _ in range(session.times):
            charged = records
            if session.drawn is not None:
                charged = 0 if name in session.drawn else records
                session.drawn.add(name)
            size = records * BYTES_OF_A_RECORD
            rows.append((at, origin, "open", True, NO_REASONS, charged, 0, 0, 0, 0, 0, name, odd))
            at += int(size / BYTES_A_SECOND * SECOND) + 100_000
            rows.append((at, origin, "delivered", True, NO_REASONS, 0, 0, 0, 0, 0, size, name, odd))
            at += int(rng.uniform(1, 30) * SECOND)
    return at


@dataclass(slots=True)
class Campaign:
    """A theft. principals: whose credentials it uses. sessions: what it does, by day. named: in whose names strangers
    tried to sign in, by day. variant: what was drawn for it, in words.
    """

    number: int
    family: str
    variant: str
    principals: list[int]
    sessions: dict[int, list[Session]] = field(default_factory=dict)
    named: dict[int, set[int]] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """Its first day."""
        return min(self.sessions)

    @property
    def last(self) -> int:
        """Its last day."""
        return max(self.sessions)

    def add(self, day: int, session: Session) -> None:
        """One more session."""
        session.origin.campaign = self.number
        self.sessions.setdefault(day, []).append(session)
