"""`keten watch`."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Unavailable

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.watch.flows.model import Flow, PlacesOf

SHOWN = 200
ENOUGH = 2**62
Row = tuple[str, str, str, str, str]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    watch = typer.Typer(no_args_is_help=True, help="Look at logs as the watch does.")
    watch.callback()(_group)
    watch.command("flows")(flows)
    app.add_typer(watch, name="watch")


def _group() -> None:
    """Look at logs as the watch does."""


def flows(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Flow or proxy logs, also compressed.", show_default=False)
    ],
    home: Home = "",
    json: Json = False,
) -> None:
    """What these logs say went to suppliers, whatever the way; what Keten itself delivered is in it too.

    Nothing is recorded. Where suppliers' systems are, the register says.

    Example: keten watch flows conn.log access.log.1.gz
    """
    from keten.watch.flows.following import Following
    from keten.watch.flows.lines import Counts, Lines
    from keten.watch.flows.places import Places

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    suppliers = _suppliers(surroundings.instance(home))
    names = {one.supplier: one.name for one in suppliers}
    places, counts, now_us = Places(suppliers), Counts(), time.time_ns() // 1000
    if not places and not json:
        output.say("No supplier has networks or hosts in the register: nothing will be found.")
    following = Following([path.absolute() for path in files], beside=False)
    rows: dict[Row, list[int]] = {}
    seen: set[bytes] = set()
    for part in following.parts(ENOUGH):
        lines = Lines(places, part.cursor.form, now_us)
        for flow in lines.read(part.lines):
            if flow.uid not in seen:
                seen.add(flow.uid)
                _count(rows, names, flow)
        if part.too_long:
            lines.counts.wrong["too long"] = part.too_long
        counts.add(lines.counts)
    found = sorted(rows.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    output.result(
        {
            "flows": [_told(row, sums) for row, sums in found],
            "lines": counts.lines,
            "doubled": counts.about - len(seen),
            "not_understood": counts.wrong,
            "unread": following.trouble,
        }
    )
    columns = ("supplier", "day", "to", "address", "from", "bytes", "flows", "of unknown size")
    output.table(columns, ((*row, *(str(each) for each in sums)) for row, sums in found[:SHOWN]))
    if len(found) > SHOWN:
        output.line(f"… and {len(found) - SHOWN} more; --json has all of them.")
    output.line(f"{counts.lines} lines, {counts.about} to suppliers, {counts.about - len(seen)} of them twice.")
    for reason, count in sorted(counts.wrong.items()):
        output.line(f"{count} lines not understood: {reason}")
    if following.trouble:
        raise Unavailable("flow-log", "; ".join(f"{path}: {why}" for path, why in following.trouble.items()))


def _suppliers(settings: Settings) -> list[PlacesOf]:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.watch_protocol import AskPlaces, SupplierPlaces

    found: list[PlacesOf] = []
    after = ""
    with keeper(settings) as client:
        while True:
            page = client.call("watch.places", AskPlaces(after), SupplierPlaces)
            found += page.places
            after = page.after
            if not after:
                return found


def _count(rows: dict[Row, list[int]], names: dict[str, str], flow: Flow) -> None:
    from keten.watch.flows.summing import DAY_US

    day = (dt.date(1970, 1, 1) + dt.timedelta(days=flow.time_us // DAY_US)).isoformat()
    row = (names[flow.supplier], day, flow.target, flow.outside, flow.inside)
    sums = rows.setdefault(row, [0, 0, 0])
    sums[0] += max(0, flow.sent)
    sums[1] += 1
    sums[2] += flow.sent < 0


def _told(row: Row, sums: list[int]) -> dict[str, Any]:
    supplier, day, target, outside, inside = row
    return {
        "supplier": supplier,
        "day": day,
        "to": target,
        "address": outside,
        "from": inside,
        "bytes": sums[0],
        "flows": sums[1],
        "unsized": sums[2],
    }
