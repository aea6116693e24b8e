"""What families of theft have in common: choosing whose credentials were stolen, and giving campaigns their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from tests.world.acts import Campaign, Session, origin
from tests.world.days import HOUR, MINUTE, day
from tests.world.shape import Names, Principal, Size, Supplier
from tests.world.surprises import Surprises

FAR = ("US", "BR", "VN", "RU", "NG", "ID", "CN", "IN")  # no supplier of this world sits there
TRIES = 300
CAREFUL = 40  # refusals in a row until a thief takes a rest


class NoVictimError(Exception):
    """Nobody in this world can be robbed in this way."""


@dataclass(slots=True)
class Scene:
    """Where a thief looks around. `taken`: principals that another one robs already."""

    size: Size
    suppliers: Sequence[Supplier]
    principals: Sequence[Principal]
    surprises: Surprises
    rng: Random
    names: Names
    taken: set[int]

    def victim(self, roles: Iterable[str], first: int, last: int, supplier: Supplier | None = None) -> Principal:
        """Somebody with one of these roles who is there from `first` to `last`. Raises `NoVictimError`."""
        wanted = set(roles)
        whos: Sequence[int] = supplier.whos if supplier else range(len(self.principals))
        if not whos:
            raise NoVictimError
        for _ in range(TRIES):
            one = self.principals[self.rng.choice(whos)]
            if (
                one.role.code in wanted
                and one.number not in self.taken
                and one.number not in self.surprises.unsettled
                and one.there(max(0, first))
                and one.there(last)
            ):
                self.taken.add(one.number)
                return one
        raise NoVictimError

    def workday(self, one: Principal, *, earliest: int = 0, span: int = 1) -> int:
        """A working day of a principal's, with `span` days of its job still to come. Raises `NoVictimError`."""
        for _ in range(TRIES):
            number = self.rng.randrange(earliest, max(earliest + 1, self.size.days - span))
            if self.works(one, number) and one.there(min(number + span - 1, self.size.days - 1)):
                return number
        raise NoVictimError

    def works(self, one: Principal, number: int) -> bool:
        """Whether it is a working day of its."""
        today = day(self.size.first, number)
        return number < self.size.days and today.working and today.weekday in one.days and one.there(number)

    def at(self, number: int, hour: float) -> int:
        """The moment at an hour of a day."""
        return day(self.size.first, number).start_us + int(hour * HOUR)

    def session(
        self,
        one: Principal,
        number: int,
        hour: float,
        *,
        network: str = "",
        country: str = "",
        key: str = "",
        channel: str = "",
    ) -> Session:
        """A thief's visit in a principal's name; what is not given is as the principal has it."""
        made = origin(one, network=network, country=country, key=key, channel=channel)
        made.patience = CAREFUL
        return Session(made, self.at(number, hour) + self.rng.randrange(MINUTE))


@dataclass(frozen=True)
class Family:
    """A kind of theft. `days`: principal-days that one campaign takes, about. draw raises `NoVictimError`."""

    code: str
    says: str
    days: float
    draw: Callable[[Scene, Campaign], None]


def place(scene: Scene, families: Sequence[Family], prevalence: float) -> list[Campaign]:
    """Campaigns of each family by turns, until so large a share of all principal-days is under attack.

    One of each family comes first, also where that is more. A family that finds nobody to rob has no campaign.
    """
    most = prevalence * scene.size.principals * scene.size.days
    found: list[Campaign] = []
    spent, turn, hopeless = 0, 0, set[str]()
    while prevalence > 0 and len(hopeless) < len(families):
        family = families[turn % len(families)]
        first_round = turn < len(families)
        turn += 1
        if family.code in hopeless:
            continue
        if not first_round and spent + family.days > most:
            hopeless.add(family.code)
            continue
        campaign = Campaign(len(found) + 1, family.code, "", [])
        try:
            family.draw(scene, campaign)
        except NoVictimError:
            hopeless.add(family.code)
            continue
        found.append(campaign)
        spent += principal_days(campaign)
    return found


def principal_days(campaign: Campaign) -> int:
    """How many principal-days are under attack in a campaign."""
    return sum(
        len({session.origin.who for session in sessions if session.keys or session.files})
        for sessions in campaign.sessions.values()
    )


def known(campaign: Campaign, one: Principal) -> None:
    """This principal's credentials are used in it."""
    if one.number not in campaign.principals:
        campaign.principals.append(one.number)
