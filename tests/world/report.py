"""A run's figures as Markdown, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.world.figures import Figures

HEAD = """# The watch in a made-up world

**All of this is synthetic**: no real person, supplier or theft is in it. How to read it: docs/world.md.
"""


WINNING = (
    "A campaign that got at least half of what the owners' budgets allow in its days has won. In each cell: how many "
    "won; what all of them got of what they get when nobody watches; records out, median / most."
)
DISTURBED = (
    "Honest principal-days with a signal of severity medium or high (and their share of the class's days); those of "
    "them with severity high, which suspends."
)


def markdown(found: Figures) -> str:
    """The report."""
    watchers = found["watchers"]
    parts = [HEAD, _made(found), _world(found), "## Watchers", _summary(watchers)]
    if watchers[0]["families"]:
        parts += ["## Which attacks win, and what they take", WINNING, _side_by_side(watchers), _winners(watchers)]
    if len(watchers) > 1:
        parts += ["## Honest surprises, side by side", DISTURBED, _disturbed(found, watchers[1:])]
    for one in watchers:
        if one["families"]:
            parts += [f"## Thieves, under {one['name']}", _families(one)]
    for one in watchers[1:]:
        parts += [f"## The honest, under {one['name']}", _classes(found, one), _detectors(one)]
    for one in watchers:
        if one["worst"]:
            parts += [f"## What most was taken, under {one['name']}", _worst(one)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)])


def _made(found: Figures) -> str:
    """When and how, where the command said so."""
    made = found.get("made")
    if made is None:
        return ""
    return (
        f"Made on {made['on']} by `{made['command']}`, in {made['seconds']:,} s of processor time and "
        f"{made['megabytes']:,} MB of memory."
    )


def _side_by_side(watchers: Sequence[Figures]) -> str:
    head = ("Family", "Campaigns", *(one["name"] for one in watchers))
    rows = [
        (family["code"], family["campaigns"], *(_won(one["families"][place]) for one in watchers))
        for place, family in enumerate(watchers[0]["families"])
    ]
    return table(head, rows)


def _winners(watchers: Sequence[Figures]) -> str:
    lines = []
    for one in watchers:
        won = [(family["campaigns"] - family["half"], family) for family in one["families"]]
        named = ", ".join(
            f"{family['code']} {count} of {family['campaigns']}"
            for count, family in sorted(won, key=lambda each: -each[0] / each[1]["campaigns"])
            if count
        )
        total = sum(count for count, _family in won)
        lines.append(f"- {one['name']}: {total} of {one['half']['of']} won{': ' if named else ''}{named}")
    return "\n".join(lines)


def _won(family: Figures) -> str:
    """How many campaigns got at least half of their budget, and what share of what budgets alone give they all got."""
    won = family["campaigns"] - family["half"]
    return f"{won} won; {family['share']:.0%}; {family['out']['median']:,} / {family['out']['max']:,}"


def _disturbed(found: Figures, watchers: Sequence[Figures]) -> str:
    head = ("Class", "Principal-days", *(one["name"] for one in watchers))
    rows = [
        (code, f"{count:,}", *(_both(one["classes"][code]) for one in watchers))
        for code, count in found["honest"]["by_class"].items()
        if count
    ]
    total = ("all", f"{found['honest']['principal_days']:,}", *(_both(one) for one in watchers))
    return table(head, [*rows, total])


def _both(rates: Figures) -> str:
    disturbed, suspended = rates["disturbed"]["found"], rates["suspended"]["found"]
    return f"{disturbed:,} ({rates['disturbed']['rate']:.1e}); {suspended:,}" if disturbed else "0"


def _world(found: Figures) -> str:
    size, attacks, honest, families = found["size"], found["attacks"], found["honest"], found["families"]
    lines = [
        f"- {size['principals']:,} principals of {size['suppliers']:,} suppliers, {size['days']} days",
        f"- first day {size['first']}, seed {size['seed']}, {size['events']:,} events",
        f"- {honest['principal_days']:,} honest principal-days with at least one event",
        f"- of {honest['asked']:,} honest requests {honest['refused_by_budget']:,} were refused by a budget",
    ]
    if families["name"] == "none":
        return "\n".join([*lines, "- no thieves"])
    kind = "may be tuned on" if families["name"] == "tuned" else "are held out: nobody tunes on them"
    lines.append(f"- families: {families['name']}, which {kind}; their seeds are {families['seeds']}")
    if not families["seed_belongs"]:
        lines.append(f"- **seed {size['seed']} is none of these seeds: no result to report for these families**")
    lines.append(
        f"- {attacks['campaigns']} campaigns on {attacks['principal_days']:,} principal-days: "
        f"{attacks['prevalence']:.1e} of all principal-days"
    )
    lines.append(
        f"- {attacks['left_out']:,} principal-days, from a campaign's first day to the day after its last, "
        "are not counted as honest"
    )
    if attacks["prevalence"] > 1.5e-4:
        lines.append("- **more thieves than there would be: how many of the days told were a thief's says nothing**")
    if attacks["absent"]:
        lines.append(f"- nobody could be robbed by: {', '.join(attacks['absent'])}")
    missing = [code for code in honest["by_class"] if code in honest["instances"] and not honest["by_class"][code]]
    if missing:
        lines.append(f"- surprises without a principal-day of their own: {', '.join(missing)}")
    return "\n".join(lines)


def _percent(rate: Figures) -> str:
    if not rate["of"]:
        return "–"
    return f"{rate['found']} of {rate['of']} ({rate['low']:.0%} to {rate['high']:.0%})"


def _tiny(rate: Figures) -> str:
    if not rate["of"]:
        return "–"
    return f"{rate['found']} ({rate['rate']:.1e}; {rate['low']:.1e} to {rate['high']:.1e})"


def _summary(watchers: Sequence[Figures]) -> str:
    head = (
        "Watcher", "Honest days disturbed", "Honest days suspended", "Days told that were a thief's", "Campaigns told",
        "Stopped", "Within budget", "Below half of it",
    )  # fmt: skip
    return table(
        head,
        (
            (
                one["name"], _tiny(one["disturbed"]), _tiny(one["suspended"]),
                f"{one['rightly']['found']} of {one['rightly']['of']}", _percent(one["alerted"]),
                _percent(one["stopped"]), _percent(one["within"]), _percent(one["half"]),
            )
            for one in watchers
        ),
    )  # fmt: skip


def duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _spread(spread: Figures) -> str:
    low, high = spread["p95_between"]
    return f"{spread['median']:,} / {spread['p95']:,} ({low:,} to {high:,}) / {spread['max']:,}"


def _families(one: Figures) -> str:
    head = (
        "Family", "Campaigns", "Told", "Stopped", "Within budget", "Below half",
        "Records before alert: median / p95 / max", "Records out: median / p95 / max",
        "Share of what budgets alone give", "To alert: median / p95", "To stop: median / p95",
    )  # fmt: skip
    rows = []
    for family in one["families"]:
        alert, stop = family["seconds_to_alert"], family["seconds_to_stop"]
        rows.append((
            family["code"], family["campaigns"], family["alerted"], family["stopped"], family["within"], family["half"],
            _spread(family["before_alert"]), _spread(family["out"]), f"{family['share']:.1%}",
            f"{duration(alert['median'])} / {duration(alert['p95'])}" if family["alerted"] else "–",
            f"{duration(stop['median'])} / {duration(stop['p95'])}" if family["stopped"] else "–",
        ))  # fmt: skip
    return table(head, rows)


def _classes(found: Figures, one: Figures) -> str:
    honest = found["honest"]
    rows = [
        (
            code,
            honest["instances"].get(code, "–"),
            f"{rates['disturbed']['of']:,}",
            _tiny(rates["disturbed"]),
            _tiny(rates["suspended"]),
        )
        for code, rates in one["classes"].items()
        if rates["disturbed"]["of"]
    ]
    return table(("Class", "Instances", "Principal-days", "Disturbed", "Suspended"), rows)


def _detectors(one: Figures) -> str:
    if not one["detectors"]:
        return "It said nothing."
    rows = [
        (
            d["code"],
            d["first_alerts"],
            d["stops"],
            f"{d['disturbed']:,}",
            f"{d['suspended']:,}",
            f"{d['noted']:,}",
            f"{d['nobody']:,}",
            ", ".join(f"{code} {count:,}" for code, count in d["classes"].items()) or "–",
        )
        for d in one["detectors"]
    ]
    head = (
        "Detector", "First alerts", "Stops", "Honest days disturbed", "Suspended", "Notes",
        "Signals about nobody", "Mostly",
    )  # fmt: skip
    return table(head, rows)


def _worst(one: Figures) -> str:
    head = (
        "Family",
        "Variant",
        "Logins",
        "Days",
        "Records out",
        "Before alert",
        "Budgets alone",
        "Budget",
        "Alert",
        "To alert",
        "Stop",
    )
    rows = [
        (
            w["family"], w["variant"], w["logins"], w["days"], f"{w['out']:,}",
            "–" if w["before_alert"] is None else f"{w['before_alert']:,}", f"{w['unwatched']:,}", f"{w['budget']:,}",
            w["alert_by"] or "never", "–" if w["seconds_to_alert"] is None else duration(w["seconds_to_alert"]),
            w["stop_by"] or "never",
        )
        for w in one["worst"]
    ]  # fmt: skip
    return table(head, rows)
