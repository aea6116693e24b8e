"""What the world is made of before anything happens: roles, suppliers, principals, what they may see and how much."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from random import Random

from tests.world.days import day

FOREVER_US = 4_000_000_000 * 1_000_000
NEIGHBOURS = ("BE", "DE", "LU", "IE", "FR")  # where suppliers that are not Dutch sit
PURPOSES = ("benefits", "job-mediation", "debt-counselling", "care-allocation", "payroll", "housing", "enforcement")
DIFFER = 0.35  # sigma of the lognormal by which principals of one role differ


@dataclass(frozen=True)
class Role:
    """A kind of work.

    share: of all principals. mean: keys asked on an ordinary working day, negative binomial with `size` over days.
    missed, outside, near: shares of keys. caseload: subjects (0: no caseload). begins, ends: hours on the clock.
    sessions: most in a day. attendance: chance to work on a working day; weekend: on another day. keys: most in one
    request. files: mean objects opened in a day; rows: fewest and most in one. day, month: budget in records.
    """

    code: str
    share: float
    mean: float = 0.0
    size: float = 4.0
    missed: float = 0.02
    outside: float = 0.0
    near: float = 0.0
    caseload: int = 0
    begins: float = 8.5
    ends: float = 17.0
    sessions: int = 2
    attendance: float = 0.85
    weekend: float = 0.01
    keys: int = 1
    files: float = 0.0
    rows: tuple[int, int] = (0, 0)
    day: int = 300
    month: int = 4000
    system: bool = False


ADVISER = Role("adviser", 0.46, 18.0, 4.0, 0.02, 0.04, 0.004, 160, day=300, month=2000)
DESK = Role("desk", 0.10, 40.0, 6.0, 0.03, 0.0, 0.002, 0, 8.0, 20.0, 3, 0.8, 0.2, day=400, month=4000)
INSPECTOR = Role("inspector", 0.10, 5.0, 2.0, 0.012, 0.08, 0.004, 60, 7.5, 18.0, 3, day=100, month=700)
NIGHT_CARE = Role("night-care", 0.06, 14.0, 3.0, 0.02, 0.05, 0.004, 45, 21.0, 31.0, 2, 0.5, 0.5, day=150, month=1300)
OCCASIONAL = Role("occasional", 0.10, 4.0, 2.0, 0.03, 0.1, 0.004, 25, 9.0, 17.0, 1, 0.12, day=60, month=250)
INTERFACE = Role(
    "interface", 0.05, 60.0, 3.0, 0.03, 0.0, 0.001, 0, 6.0, 23.0, 6, 1.0, 0.8, 4, day=500, month=9000, system=True
)
BATCH = Role(
    "batch", 0.13, begins=2.0, ends=6.0, sessions=1, attendance=1.0, weekend=0.3, files=3.0, rows=(300, 6000),
    day=60_000, month=500_000, system=True,
)  # fmt: skip
ROLES = (ADVISER, DESK, INSPECTOR, NIGHT_CARE, OCCASIONAL, INTERFACE, BATCH)
PEOPLE = frozenset(role.code for role in ROLES if not role.system)
SYSTEMS = frozenset(role.code for role in ROLES if role.system)
WITH_CASELOAD = frozenset(role.code for role in ROLES if role.caseload)


@dataclass(slots=True)
class Account:
    """What one principal may still receive of one dataset. Records charged in the running day and month."""

    day_budget: int
    month_budget: int
    day: int = -1
    month: int = -1
    spent_day: int = 0
    spent_month: int = 0

    def charge(self, records: int, day: int, month: int) -> bool:
        """Charge what is about to be released; false, and nothing charged, where it exceeds what is left."""
        if day != self.day:
            self.day = day
            self.spent_day = 0
            if month != self.month:
                self.month = month
                self.spent_month = 0
        if self.spent_day + records > self.day_budget or self.spent_month + records > self.month_budget:
            return False
        self.spent_day += records
        self.spent_month += records
        return True

    def used(self, day: int, month: int) -> tuple[int, int]:
        """How full a day's and a month's budget are, in thousandths, as an entry says it."""
        spent_day = self.spent_day if day == self.day else 0
        spent_month = self.spent_month if month == self.month else 0
        return 1000 * spent_day // self.day_budget, 1000 * spent_month // self.month_budget


@dataclass(slots=True)
class Dataset:
    """Data that is shared. `objects`: names of its files, for those who fetch files."""

    id: str
    records: int
    objects: list[tuple[str, int]]


@dataclass(slots=True)
class Grant:
    """Dataset and purpose under a supplier's contract."""

    id: str
    dataset: Dataset
    purpose: str


@dataclass(slots=True)
class Supplier:
    """A third party. networks: of its offices. ends_us: of its contract; ends: that day in the world, or past it."""

    number: int
    id: str
    country: str
    countries: tuple[str, ...]
    contract: str
    ends: int
    ends_us: int
    networks: list[str]
    grants: list[Grant]
    whos: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Principal:
    """A person or a system of a supplier.

    network, home: where it works from. key: it signs in with. days: working days of its week. shift: hours later than
    its colleagues. factor: more or less than its role's mean. first: its first subject in the dataset: its caseload
    goes on from there, and overlaps with its neighbour's. begins, ends: days in the world. away: days without it.
    """

    number: int
    id: str
    role: Role
    supplier: Supplier
    country: str
    network: str
    home: str
    key: str
    days: frozenset[int]
    shift: float
    factor: float
    first: int
    grant: Grant
    accounts: dict[str, Account]
    begins: int = 0
    ends: int = 1 << 30
    away: list[tuple[int, int]] = field(default_factory=list)

    def account(self, dataset: str) -> Account:
        """Its budget for a dataset."""
        found = self.accounts.get(dataset)
        if found is None:
            found = self.accounts[dataset] = Account(self.role.day, self.role.month)
        return found

    def there(self, number: int) -> bool:
        """Whether it is in its job, and not away, on a day."""
        return self.begins <= number <= self.ends and not any(a <= number <= b for a, b in self.away)


@dataclass(frozen=True)
class Size:
    """How large a world, and from which seed."""

    principals: int = 10_000
    days: int = 180
    seed: int = 1
    first: date = date(2026, 1, 5)


class Names:
    """Random ids, as the register gives them: a function of the seed alone."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def id(self) -> str:
        """An opaque id."""
        return f"{self._rng.getrandbits(128):032x}"

    def network(self) -> str:
        """The pseudonym of a network."""
        return f"{self._rng.getrandbits(64):016x}"


def suppliers_and_principals(size: Size, rng: Random) -> tuple[list[Supplier], list[Principal]]:
    """Everybody, in an order that is a function of the seed alone."""
    names = Names(rng)
    suppliers: list[Supplier] = []
    principals: list[Principal] = []
    limits = list(accumulate(role.share for role in ROLES))
    while len(principals) < size.principals:
        room = size.principals - len(principals)
        supplier = _supplier(size, len(suppliers), names, rng)
        suppliers.append(supplier)
        team = min(room, max(4, int(rng.lognormvariate(3.3, 0.8))))
        for member in range(team):
            # The first two of each supplier are systems' accounts, so that every supplier has its files fetched.
            at = bisect_left(limits, rng.random() * limits[-1])
            role = (BATCH, ADVISER)[member] if member < 2 else ROLES[min(at, len(ROLES) - 1)]
            principals.append(_principal(len(principals), role, supplier, names, rng))
            supplier.whos.append(principals[-1].number)
    return suppliers, principals


def _supplier(size: Size, number: int, names: Names, rng: Random) -> Supplier:
    country = "NL" if rng.random() < 0.85 else rng.choice(NEIGHBOURS)
    ends = rng.randrange(max(1, size.days * 2 // 3), size.days) if number % 7 == 1 else size.days + 1
    grants: list[Grant] = []
    for _ in range(rng.choice((1, 1, 2))):
        objects = [(names.id(), rng.randrange(300, 6000)) for _ in range(12)]
        dataset = Dataset(names.id(), int(rng.lognormvariate(13.0, 1.5)) + 20_000, objects)
        purposes = rng.sample(PURPOSES, rng.choice((1, 2)))
        grants.extend(Grant(names.id(), dataset, purpose) for purpose in purposes)
    return Supplier(
        number,
        names.id(),
        country,
        tuple(sorted({"NL", "BE", "DE", country, rng.choice(NEIGHBOURS)})),
        names.id(),
        ends,
        day(size.first, ends).start_us if ends < size.days else FOREVER_US,
        [names.network() for _ in range(rng.choice((1, 2, 3)))],
        grants,
    )


def _principal(number: int, role: Role, supplier: Supplier, names: Names, rng: Random) -> Principal:
    grant = rng.choice(supplier.grants)
    days = frozenset(range(5)) if role.system or rng.random() < 0.55 else frozenset(rng.sample(range(5), 4))
    place = len(supplier.whos)
    office = rng.choice(supplier.networks)
    return Principal(
        number=number,
        id=names.id(),
        role=role,
        supplier=supplier,
        country=supplier.country,
        network=office,
        home=office if role.system else names.network(),
        key=names.id(),
        days=days,
        shift=rng.gauss(0.0, 0.6),
        factor=rng.lognormvariate(-DIFFER * DIFFER / 2, DIFFER),
        first=supplier.number * 100_000 + int(place * max(1, role.caseload) * 0.8),
        grant=grant,
        accounts={},
        ends=supplier.ends - 1,
    )


def of_roles(principals: Sequence[Principal], roles: frozenset[str]) -> list[int]:
    """The numbers of those who have one of these roles."""
    return [one.number for one in principals if one.role.code in roles]
