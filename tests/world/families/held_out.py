"""Families that nobody tunes on, and the seeds of worlds that are kept for reporting."""

from __future__ import annotations

from tests.world.acts import Campaign
from tests.world.families.tuned import LOOKING_UP
from tests.world.shape import PEOPLE, WITH_CASELOAD, Principal
from tests.world.thefts import Family, NoVictimError, Scene, known

SEEDS = range(1000, 1100)
PATIENT_DAYS = 28
POISONED_DAYS = 60
PATIENT_GAP_S = 75.0  # with the victim's own, fewer than 100 in an hour and 20 in five minutes


def low_and_slow(scene: Scene, campaign: Campaign) -> None:
    """A quarter more than usual to twice as much, every working day, for four weeks."""
    rng = scene.rng
    length = min(PATIENT_DAYS, scene.size.days)
    one = scene.victim(("adviser", "desk", "interface"), 0, 0)
    begin = scene.workday(one, span=length)
    more = rng.choice((0.25, 0.5, 1.0))
    network = rng.choice((one.network, scene.names.network()))
    for number in range(begin, min(begin + length, scene.size.days)):
        if scene.works(one, number):
            session = scene.session(one, number, rng.uniform(9, 16), network=network)
            session.keys = max(1, round(one.role.mean * one.factor * more * rng.uniform(0.7, 1.3)))
            session.gap_s, session.missed, session.outside = rng.uniform(60, 200), 0.01, rng.uniform(0, 0.3)
            campaign.add(number, session)
    campaign.variant = f"+{more:.0%}, {'own' if network == one.network else 'other'} network"
    known(campaign, one)


def patient(scene: Scene, campaign: Campaign) -> None:
    """Knows every published threshold and budget and stays below: the victim's own desk and hours, no misses."""
    rng = scene.rng
    length = min(PATIENT_DAYS, scene.size.days)
    one = scene.victim(("adviser", "desk"), 0, 0)
    begin = scene.workday(one, span=length)
    share = rng.uniform(0.3, 0.9)
    for number in range(begin, min(begin + length, scene.size.days)):
        if scene.works(one, number):
            session = scene.session(one, number, rng.uniform(8.5, 10))
            session.keys = max(1, int((one.role.day - 2.5 * one.role.mean * one.factor) * share))
            session.gap_s, session.outside, session.origin.patience = PATIENT_GAP_S, 0.04, 1
            campaign.add(number, session)
    campaign.variant = f"{share:.0%} of what is left of a day's budget"
    known(campaign, one)


def ten_logins(scene: Scene, campaign: Campaign) -> None:
    """Ten logins at once."""
    rng = scene.rng
    number = rng.randrange(scene.size.days)
    network = rng.choice((scene.names.network(), ""))
    for _ in range(10):
        try:
            one = scene.victim(LOOKING_UP, number, number)
        except NoVictimError:
            break
        session = scene.session(one, number, 10 + rng.uniform(0, 0.5), network=network or scene.names.network())
        session.keys, session.gap_s, session.outside = rng.randint(60, 280), rng.uniform(3, 30), 0.9
        known(campaign, one)
        campaign.add(number, session)
    if not campaign.principals:
        raise NoVictimError
    campaign.variant = f"{len(campaign.principals)} from {'one network' if network else 'a network each'}"


def before_end(scene: Scene, campaign: Campaign) -> None:
    """In the last days of a contract, somebody takes what the budget gives."""
    rng = scene.rng
    ending = [one for one in scene.suppliers if 4 < one.ends < scene.size.days]
    if not ending:
        raise NoVictimError
    supplier = rng.choice(ending)
    last = supplier.ends - 1
    one = scene.victim(LOOKING_UP, last, last, supplier)
    days = rng.randint(1, 3)
    for number in range(last - days + 1, last + 1):
        session = scene.session(one, number, rng.uniform(9, 17), network=rng.choice((one.network, one.home)))
        session.keys, session.gap_s, session.outside = one.role.day, rng.uniform(3, 40), rng.uniform(0.1, 0.6)
        campaign.add(number, session)
    campaign.variant = f"{days} days"
    known(campaign, one)


def insider(scene: Scene, campaign: Campaign) -> None:
    """Somebody copies the whole of its own caseload: own key, network and hours, nothing outside, no misses."""
    rng = scene.rng
    one = scene.victim(WITH_CASELOAD, 0, 0)
    days = rng.randint(1, 3)
    begin = scene.workday(one, span=days)
    for number in range(begin, min(begin + days, scene.size.days)):
        session = scene.session(one, number, rng.uniform(9, 15))
        session.keys, session.gap_s = max(10, one.role.caseload // days), rng.uniform(10, 60)
        campaign.add(number, session)
    campaign.variant = f"{one.role.code}, {days} days"
    known(campaign, one)


def poisoning(scene: Scene, campaign: Campaign) -> None:
    """Sixty days of slow growth, so that four times as much is usual; then what the budget gives, for three days."""
    rng = scene.rng
    length = min(POISONED_DAYS + 3, scene.size.days)
    one = scene.victim(("adviser", "desk"), 0, 0)
    begin = scene.workday(one, span=length)
    for number in range(begin, min(begin + length, scene.size.days)):
        if not scene.works(one, number):
            continue
        grown = (number - begin) / POISONED_DAYS
        session = scene.session(one, number, rng.uniform(9, 12))
        session.keys = max(1, int(one.role.mean * one.factor * 3 * grown)) if grown < 1 else one.role.day
        session.gap_s, session.missed, session.outside = 60.0, 0.01, 0.04
        campaign.add(number, session)
    campaign.variant = one.role.code
    known(campaign, one)


def riding(scene: Scene, campaign: Campaign) -> None:
    """A stolen session: the victim's own network and key, no sign-in, while the victim works."""
    rng = scene.rng
    one = scene.victim(tuple(PEOPLE), 0, 0)
    number = scene.workday(one)
    session = scene.session(one, number, rng.uniform(9.5, 16))
    session.silent = True
    session.keys, session.gap_s, session.outside = rng.randint(60, 300), rng.uniform(1, 25), rng.uniform(0.1, 0.9)
    campaign.variant = f"{session.keys} keys"
    known(campaign, one)
    campaign.add(number, session)


def scattered(scene: Scene, campaign: Campaign) -> None:
    """Guesses that lie nowhere near each other, a fifth of them wrong, over two or three days."""
    rng = scene.rng
    one = scene.victim(LOOKING_UP, 0, 0)
    days = rng.randint(2, 3)
    begin = scene.workday(one, span=days)
    for number in range(begin, min(begin + days, scene.size.days)):
        session = scene.session(one, number, rng.uniform(8, 15))
        session.keys, session.gap_s, session.missed, session.outside = rng.randint(40, 200), 45.0, 0.2, 0.9
        campaign.add(number, session)
    campaign.variant = f"{days} days"
    known(campaign, one)


def everything(scene: Scene, campaign: Campaign) -> None:
    """A system's login fetches all files that it may, from another network, by night."""
    rng = scene.rng
    one: Principal = scene.victim(("batch",), 0, 0)
    number = scene.workday(one)
    session = scene.session(one, number, rng.uniform(0, 5), network=rng.choice((one.network, scene.names.network())))
    session.files = tuple(one.grant.dataset.objects)
    campaign.variant = f"{len(session.files)} files"
    known(campaign, one)
    campaign.add(number, session)


FAMILIES = (
    Family("low-and-slow", "25 to 100 % more than usual, for four weeks", 20, low_and_slow),
    Family("patient", "knows all thresholds and budgets, for four weeks", 20, patient),
    Family("ten-logins", "ten stolen logins within half an hour", 10, ten_logins),
    Family("before-end", "the budget, in a contract's last days", 2, before_end),
    Family("insider", "somebody copies its own caseload", 2, insider),
    Family("poisoning", "60 days of slow growth, then the budget", 45, poisoning),
    Family("riding", "a stolen session, from the victim's own network", 1, riding),
    Family("scattered", "guesses far apart, a fifth of them wrong", 3, scattered),
    Family("everything", "all files that a system may fetch", 1, everything),
)
