"""What each class of honest surprise changes in a principal's plan for a day, the `nth` (from 0) of the surprise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.world.acts import Oddity
from tests.world.days import HOUR, MINUTE, SECOND
from tests.world.honest import Plan
from tests.world.shape import PURPOSES, Grant, Principal


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one instance. amount: in [0, 1), for whatever the class wants to vary."""

    networks: tuple[str, ...]
    country: str
    key: str
    amount: float
    grant: str
    others: tuple[Principal, ...]

    def between(self, low: float, high: float) -> float:
        """The amount, as a number between two."""
        return low + self.amount * (high - low)


Change = Callable[[Plan, Drawn, Principal, int, Random], None]


def nothing(_plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """The calendar's doing alone."""


def carrier(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """Networks of a carrier, another for each visit."""
    plan.networks = drawn.networks


def churn(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """Many short visits from many networks."""
    plan.works = True
    plan.networks = drawn.networks
    plan.sessions = 8


def vpn(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """All of a supplier come from its VPN, in another country."""
    plan.country = drawn.country
    plan.network = drawn.networks[0]


def upgrade(plan: Plan, _drawn: Drawn, one: Principal, nth: int, rng: Random) -> None:
    """Signs in again and again, often refused at first."""
    plan.sessions = 5
    if nth == 0 and rng.random() < 0.6:
        plan.failures = rng.randint(1, 4 if one.role.system else 2)


def migration(plan: Plan, drawn: Drawn, one: Principal, _nth: int, rng: Random) -> None:
    """A system's new place, with much to fetch."""
    plan.works = True
    plan.network = drawn.networks[0]
    plan.key = f"{drawn.key[:24]}{one.number:08x}"
    plan.factor = 2.0
    plan.files = rng.randint(5, 9)
    plan.shift = rng.uniform(0, 12)


def audit(plan: Plan, _drawn: Drawn, one: Principal, _nth: int, _rng: Random) -> None:
    """Every file, by day."""
    plan.works = True
    plan.files = len(one.grant.dataset.objects)
    plan.shift = 8.0


def bulk_files(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Most files, at the usual hour."""
    plan.works = True
    plan.files = rng.randint(8, 11)


def again(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """The same files three times, when people work."""
    plan.works = True
    plan.files = max(2, plan.files)
    plan.times = 3
    plan.shift = rng.uniform(6, 12)


def night(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Work between ten in the evening and six."""
    plan.works = True
    plan.factor = 0.6
    plan.shift = rng.uniform(11, 14)


def starter(plan: Plan, _drawn: Drawn, _one: Principal, nth: int, _rng: Random) -> None:
    """Less work at first, then more than usual; does not yet know how to sign in."""
    plan.factor *= 0.5 + 0.1 * nth
    plan.failures = 2 if nth == 0 else 0


def returned(plan: Plan, _drawn: Drawn, _one: Principal, nth: int, _rng: Random) -> None:
    """What has piled up."""
    plan.works = plan.works or nth == 0
    plan.factor *= 2.0 if nth < 2 else 1.4


def skewed(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """All clocks of a supplier are up to two minutes ahead, or up to four behind."""
    plan.oddity = Oddity(late_us=int(drawn.between(-120, 240) * SECOND))


def late(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Entries that waited somewhere."""
    plan.oddity = Oddity(late_us=int(rng.uniform(10 * MINUTE, 6 * HOUR)))


def twice(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Entries that are given a second time."""
    plan.oddity = Oddity(again_us=int(rng.uniform(SECOND, HOUR)))


def quarter_end(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """More work, longer days, and some of the weekend."""
    plan.works = plan.works or rng.random() < 0.15
    plan.factor *= drawn.between(1.4, 2.2)
    plan.shift += rng.uniform(-0.5, 1.5)


def hand_over(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """What has to be done before a contract ends."""
    plan.factor *= drawn.between(1.2, 1.8)


def take_over(plan: Plan, drawn: Drawn, _one: Principal, nth: int, _rng: Random) -> None:
    """A colleague's subjects, in the first days outside the grant's caseload."""
    plan.others = drawn.others[:1]
    plan.known = nth >= 3
    plan.factor *= 1.5


def cover(plan: Plan, drawn: Drawn, _one: Principal, nth: int, rng: Random) -> None:
    """Two colleagues' subjects, on days off as well."""
    plan.works = plan.works or rng.random() < 0.2
    plan.others = drawn.others
    plan.share = 0.6
    plan.known = nth >= 1
    plan.factor *= 1.6


def moved(plan: Plan, drawn: Drawn, one: Principal, nth: int, rng: Random) -> None:
    """The office's new network, also for systems; in the first days some are still in the old one."""
    if (nth > 2 or rng.random() < 0.8) and (one.role.system or rng.random() < 0.6):
        plan.network = drawn.networks[0]


def rotated(plan: Plan, drawn: Drawn, _one: Principal, nth: int, rng: Random) -> None:
    """The new key; the old one at times in the first days."""
    if nth >= 5 or rng.random() < 0.7:
        plan.key = drawn.key


def trip(plan: Plan, drawn: Drawn, _one: Principal, nth: int, _rng: Random) -> None:
    """Another country: a hotel's network, and a later start on the day of the journey."""
    plan.country = drawn.country
    plan.network = drawn.networks[0]
    plan.shift = 2.0 if nth == 0 else 0.5


def purposes(plan: Plan, drawn: Drawn, one: Principal, nth: int, rng: Random) -> None:
    """A grant that it did not have; used for half of its days."""
    if nth == 0 or rng.random() < 0.5:
        other = PURPOSES[(PURPOSES.index(one.grant.purpose) + 1 + int(drawn.between(0, 5))) % len(PURPOSES)]
        plan.works = plan.works or nth == 0
        plan.grant = Grant(drawn.grant, one.grant.dataset, other)


def storm(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Refused sign-ins in a loop, then everything several times."""
    plan.works = True
    plan.failures = rng.randint(60, 400)
    plan.times = 3


def overtime(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Both days of a weekend, or one."""
    plan.works = plan.works or rng.random() < 0.8
    plan.factor = 0.8


def bad_list(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """A list of somebody else's with keys that are not there any more."""
    plan.works = True
    plan.missed = drawn.between(0.06, 0.2)
    plan.pace = 4.0


def household(plan: Plan, drawn: Drawn, _one: Principal, _nth: int, _rng: Random) -> None:
    """Brothers and sisters, whose keys were given one after the other."""
    plan.works = True
    plan.near = drawn.between(0.2, 0.5)
    plan.pace = 2.0


def outage(plan: Plan, _drawn: Drawn, _one: Principal, _nth: int, rng: Random) -> None:
    """Refused some times, with everybody else."""
    plan.failures = rng.randint(1, 5)


def split(plan: Plan, drawn: Drawn, one: Principal, _nth: int, _rng: Random) -> None:
    """Two ways to the internet, one of them abroad, used by turns."""
    plan.works = True
    plan.turns = ((one.country, one.home), (drawn.country, drawn.networks[0]))
    plan.sessions = 6
