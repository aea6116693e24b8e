"""From what judges saw to figures: plain dictionaries, which are the JSON of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from types import ModuleType
from typing import Any

from tests.world.chances import bootstrap, bounds, quantile
from tests.world.days import SECOND
from tests.world.judging import NAMED, ORDINARY, Census, Judge, Taken, entitled
from tests.world.stream import World
from tests.world.surprises import KINDS
from tests.world.thefts import principal_days

Figures = dict[str, Any]
MOST_SHOWN = 12


def figures(world: World, families: ModuleType | None, census: Census, judges: Sequence[Judge]) -> Figures:
    """All of a run. The first judge has to be the one that never says anything (`judging.nothing`)."""
    size = world.size
    alone = judges[0]
    all_days = size.principals * size.days
    acted = sum(principal_days(campaign) for campaign in world.campaigns)
    return {
        "synthetic": True,
        "size": {
            "principals": size.principals, "days": size.days, "seed": size.seed, "first": size.first.isoformat(),
            "suppliers": len(world.suppliers), "events": census.events,
        },
        "families": _families(families, size.seed),
        "attacks": {
            "campaigns": len(world.campaigns),
            "principal_days": acted,
            "prevalence": acted / all_days,
            "left_out": census.under_attack,
            "absent": [f.code for f in families.FAMILIES if not any(c.family == f.code for c in world.campaigns)]
            if families else [],
        },
        "honest": {
            "principal_days": sum(census.active.values()),
            "by_class": {code: census.active[code] for code in classes()},
            "instances": dict(Counter(instance.kind.code for instance in world.surprises.instances)),
            "asked": census.asked, "refused_by_budget": census.refused,
        },
        "watchers": [_watcher(world, one, alone, census) for one in judges],
    }  # fmt: skip


def classes() -> list[str]:
    """The names of classes of honest principal-days, in the order of reports."""
    return [ORDINARY, *(kind.code for kind in KINDS), NAMED]


def _families(families: ModuleType | None, seed: int) -> Figures:
    if families is None:
        return {"name": "none", "seeds": "", "seed_belongs": True}
    seeds: range = families.SEEDS
    return {
        "name": families.__name__.rsplit(".", 1)[-1].replace("_", "-"),
        "seeds": f"{seeds.start} to {seeds.stop - 1}",
        "seed_belongs": seed in seeds,
    }


def _rate(found: int, of: int) -> Figures:
    low, high = bounds(found, of)
    return {"found": found, "of": of, "rate": found / of if of else 0.0, "low": low, "high": high}


def _watcher(world: World, one: Judge, alone: Judge, census: Census) -> Figures:
    honest = sum(census.active.values())
    taken = list(one.taken.values())
    disturbed, suspended = Counter(one.disturbed.values()), Counter(one.suspended.values())
    told = len(one.rightly) + len(one.disturbed)
    return {
        "name": one.name,
        "disturbed": _rate(len(one.disturbed), honest),
        "suspended": _rate(len(one.suspended), honest),
        "rightly": {"found": len(one.rightly), "of": told},
        "nobody": sum(entry.nobody for entry in one.detectors.values()),
        "alerted": _rate(sum(t.at_alert is not None for t in taken), len(taken)),
        "stopped": _rate(sum(t.whole for t in taken), len(taken)),
        "within": _rate(sum(t.out <= entitled(world, t.campaign) for t in taken), len(taken)),
        "half": _rate(sum(t.out * 2 < entitled(world, t.campaign) for t in taken), len(taken)),
        "families": [
            _family(world, code, [t for t in taken if t.campaign.family == code], alone)
            for code in dict.fromkeys(c.family for c in world.campaigns)
        ],
        "classes": {
            code: {
                "disturbed": _rate(disturbed[code], census.active[code]),
                "suspended": _rate(suspended[code], census.active[code]),
            }
            for code in classes()
        },
        "detectors": _detectors(one, taken),
        "worst": [_campaign(world, t, alone) for t in sorted(taken, key=lambda t: -t.out)[:MOST_SHOWN] if t.out],
    }


def _family(world: World, code: str, taken: Sequence[Taken], alone: Judge) -> Figures:
    out = [t.out for t in taken]
    before = [t.out if t.at_alert is None else t.at_alert for t in taken]
    unwatched = sum(alone.taken[t.campaign.number].out for t in taken)
    to_alert = [(t.alert_us - t.first_us) / SECOND for t in taken if t.at_alert is not None]
    to_stop = [(t.stop_us - t.first_us) / SECOND for t in taken if t.whole]
    rng = Random(f"bootstrap {code}")
    return {
        "code": code,
        "campaigns": len(taken),
        "alerted": sum(t.at_alert is not None for t in taken),
        "stopped": sum(t.whole for t in taken),
        "within": sum(t.out <= entitled(world, t.campaign) for t in taken),
        "half": sum(t.out * 2 < entitled(world, t.campaign) for t in taken),
        "before_alert": _spread(before, rng),
        "out": _spread(out, rng),
        "share": sum(out) / unwatched if unwatched else 0.0,
        "seconds_to_alert": {"median": quantile(to_alert, 0.5), "p95": quantile(to_alert, 0.95)},
        "seconds_to_stop": {"median": quantile(to_stop, 0.5), "p95": quantile(to_stop, 0.95)},
    }


def _spread(values: Sequence[int], rng: Random) -> Figures:
    median = bootstrap(values, lambda drawn: quantile(drawn, 0.5), rng)
    p95 = bootstrap(values, lambda drawn: quantile(drawn, 0.95), rng)
    return {
        "median": quantile(values, 0.5), "median_between": median, "p95": quantile(values, 0.95),
        "p95_between": p95, "max": max(values, default=0),
    }  # fmt: skip


def _detectors(one: Judge, taken: Sequence[Taken]) -> list[Figures]:
    alerts, stops = Counter(t.alert_by for t in taken if t.alert_by), Counter(t.stop_by for t in taken if t.stop_by)
    codes = sorted({*one.detectors, *alerts, *stops})
    found = []
    for code in codes:
        entry = one.detectors[code]
        found.append({
            "code": code, "first_alerts": alerts[code], "stops": stops[code], "disturbed": len(entry.disturbed),
            "suspended": len(entry.suspended), "noted": entry.noted, "nobody": entry.nobody,
            "classes": dict(Counter(one.disturbed[key] for key in entry.disturbed).most_common(3)),
        })  # fmt: skip
    return found


def _campaign(world: World, taken: Taken, alone: Judge) -> Figures:
    campaign = taken.campaign
    return {
        "family": campaign.family, "variant": campaign.variant, "logins": len(campaign.principals),
        "days": campaign.last - campaign.first + 1, "out": taken.out, "before_alert": taken.at_alert,
        "unwatched": alone.taken[campaign.number].out, "budget": entitled(world, campaign),
        "alert_by": taken.alert_by, "stop_by": taken.stop_by if taken.whole else "",
        "seconds_to_alert": (taken.alert_us - taken.first_us) / SECOND if taken.alert_by else None,
    }  # fmt: skip
