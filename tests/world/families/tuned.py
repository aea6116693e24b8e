"""Families that the authors of detectors may look at and tune on, and the seeds of worlds that belong to them."""

from __future__ import annotations

from tests.world.acts import Campaign
from tests.world.shape import SYSTEMS, WITH_CASELOAD
from tests.world.thefts import FAR, Family, Scene, known

SEEDS = range(1, 100)
LOOKING_UP = (*WITH_CASELOAD, "desk", "interface")


def bulk(scene: Scene, campaign: Campaign) -> None:
    """As much as there is, as fast as it goes: 1 to 15 records a second."""
    rng = scene.rng
    one = scene.victim(LOOKING_UP, 0, 0)
    number = scene.workday(one)
    country = rng.choice((*FAR, "", "")) or one.country
    session = scene.session(one, number, rng.uniform(0, 22), network=scene.names.network(), country=country)
    session.gap_s = 1 / rng.uniform(1, 15)
    session.keys = rng.randint(1500, 6000)
    session.missed, session.outside = rng.uniform(0, 0.05), 0.9
    campaign.variant = f"{1 / session.gap_s:.0f} a second from {country}"
    known(campaign, one)
    campaign.add(number, session)


def stuffing(scene: Scene, campaign: Campaign) -> None:
    """Sign-ins tried in many names from a few networks; one to three succeed, and are used."""
    rng = scene.rng
    victims = [scene.victim(LOOKING_UP, 0, 0) for _ in range(rng.randint(1, 3))]
    number = scene.workday(victims[0])
    networks = [scene.names.network() for _ in range(rng.randint(1, 5))]
    country, hour = rng.choice((*FAR, "NL")), rng.uniform(0, 20)
    tried = rng.sample(range(len(scene.principals)), min(len(scene.principals) // 2, rng.randint(100, 800)))
    campaign.named[number] = set(tried)
    for place, who in enumerate(tried):
        named = scene.principals[who]
        session = scene.session(named, number, hour + place * rng.uniform(0.0005, 0.002), network=rng.choice(networks))
        session.origin.country, session.origin.key = country, ""
        session.failures, session.silent = rng.randint(1, 3), True
        campaign.add(number, session)
    for one in victims:
        if not one.there(number):
            continue
        session = scene.session(one, number, hour + 1.5, network=rng.choice(networks), country=country)
        session.keys, session.gap_s, session.outside = rng.randint(60, 400), rng.uniform(2, 20), 0.9
        known(campaign, one)
        campaign.add(number, session)
    campaign.variant = f"{len(tried)} names from {len(networks)} networks"


def enumeration(scene: Scene, campaign: Campaign) -> None:
    """One key after the other, with a third, two thirds or nearly no misses."""
    rng = scene.rng
    one = scene.victim(LOOKING_UP, 0, 0)
    number = scene.workday(one)
    missed = rng.choice((0.02, 0.33, 0.67))
    session = scene.session(one, number, rng.uniform(8, 18), network=rng.choice((one.network, scene.names.network())))
    session.missed, session.near, session.outside = missed, 0.9, 0.95
    session.gap_s = rng.uniform(0.3, 20)
    session.keys = rng.randint(300, 2000)
    campaign.variant = f"{missed:.0%} misses"
    known(campaign, one)
    campaign.add(number, session)


def travel(scene: Scene, campaign: Campaign) -> None:
    """From far away while the victim is at work."""
    rng = scene.rng
    one = scene.victim(LOOKING_UP, 0, 0)
    number = scene.workday(one)
    country = rng.choice(FAR)
    session = scene.session(one, number, rng.uniform(10.5, 15.5), network=scene.names.network(), country=country)
    session.keys, session.gap_s, session.outside = rng.randint(80, 280), rng.uniform(5, 45), rng.uniform(0.2, 0.9)
    campaign.variant = country
    known(campaign, one)
    campaign.add(number, session)


def dormant(scene: Scene, campaign: Campaign) -> None:
    """In the name of somebody who has not been there for months."""
    rng = scene.rng
    size = scene.size
    asleep = min(rng.randint(60, 120), size.days // 2)
    number = rng.randrange(asleep, size.days)
    one = scene.victim(LOOKING_UP, number - asleep, number)
    one.away.append((number - asleep, size.days))
    session = scene.session(one, number, rng.uniform(7, 22), network=scene.names.network())
    session.keys, session.gap_s, session.outside = rng.randint(60, 280), rng.uniform(5, 60), rng.uniform(0.2, 0.9)
    campaign.variant = f"after {asleep} days"
    known(campaign, one)
    campaign.add(number, session)


def new_key(scene: Scene, campaign: Campaign) -> None:
    """With a key that the thief has added to the client's, from a network of his own."""
    rng = scene.rng
    one = scene.victim((*LOOKING_UP, "batch"), 0, 0)
    days = rng.randint(1, 3)
    begin = scene.workday(one, span=days)
    key, network = scene.names.id(), scene.names.network()
    for number in range(begin, min(begin + days, scene.size.days)):
        session = scene.session(one, number, rng.uniform(7, 19), network=network, key=key, channel="sftp")
        if one.role.files:
            session.files = tuple(rng.sample(one.grant.dataset.objects, rng.randint(4, 10)))
        else:
            session.keys, session.gap_s, session.outside = rng.randint(80, 280), rng.uniform(5, 60), 0.5
        campaign.add(number, session)
    campaign.variant = f"{days} days, {'system' if one.role.code in SYSTEMS else 'person'}"
    known(campaign, one)


FAMILIES = (
    Family("bulk", "as much as there is, as fast as it goes", 1, bulk),
    Family("stuffing", "sign-ins tried in hundreds of names; some succeed", 2, stuffing),
    Family("enumeration", "key after key: 2 %, a third or two thirds misses", 1, enumeration),
    Family("travel", "from far away while the victim works", 1, travel),
    Family("dormant", "in the name of somebody long away", 1, dormant),
    Family("new-key", "with another key, network and channel", 2, new_key),
)
