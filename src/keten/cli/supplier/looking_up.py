"""`keten lookup`: records of a table, by their keys, for a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from keten.cli.options import Json
from keten.cli.output import Output
from keten.cli.supplier.commands import PANEL, Instance, login_of, session_of
from keten.cli.surroundings import Surroundings
from keten.core.errors import Conflict, NotFound, Unavailable
from keten.core.ids import is_id

if TYPE_CHECKING:
    from keten.cli.supplier.session import Session

_LISTED = 1000


class Share(msgspec.Struct, frozen=True):
    """A share, as the instance lists it."""

    id: str
    form: str
    label: str
    key: str = ""
    columns: tuple[str, ...] = ()


class _Page(msgspec.Struct, frozen=True):
    shares: tuple[Share, ...]
    next: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    records: tuple[dict[str, Any] | None, ...]
    entry: str


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(rich_help_panel=PANEL)(lookup)


def lookup(
    ctx: typer.Context,
    share: Annotated[str, typer.Argument(metavar="SHARE", help="Its label or id; none for a list.")] = "",
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY…", help="Exact keys.", show_default=False)] = None,
    case: Annotated[str, typer.Option(metavar="TEXT", help="The case that it is for; kept with the entry.")] = "",
    columns: Annotated[str, typer.Option(metavar="A,B", help="Only these columns.")] = "",
    instance: Instance = "",
    json: Json = False,
) -> None:
    """Look up records by their exact keys, for a case. Without a share: what you may look up.

    Each record counts once in its period, for your budget. What there is not is said and counts for nothing, but
    many of those stop your lookups. Exit code 1 when none of the records is there for you.

    Example: keten lookup jobseekers 1850175123456 --case INTAKE-2026-1142
    """
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    chosen, _logins = login_of(surroundings, instance)
    session = session_of(ctx, chosen)
    found = [one for one in shares_of(session) if one.form == "lookup"]
    if not share:
        output.result([msgspec.structs.asdict(one) for one in found])
        if not found:
            output.line("There is nothing for you to look up now.")
        else:
            rows = [(one.label, one.key, ", ".join(one.columns), one.id) for one in found]
            output.table(("share", "key", "columns", "id"), rows)
        return
    if not keys or not case:
        raise typer.BadParameter("Name at least one key, and with --case what it is for.")
    wanted = chosen_of(found, share)
    content: dict[str, Any] = {"keys": keys, "case": case}
    if columns:
        content["columns"] = columns.split(",")
    answer = session.ask(
        "POST", f"/v1/lookups/{quote(wanted.id)}", {"Content-Type": "application/json"}, msgspec.json.encode(content)
    )
    try:
        answered = msgspec.json.decode(answer.body, type=_Answer)
    except msgspec.MsgspecError as error:
        raise Unavailable("not-keten", "The instance's answer cannot be read.", str(error)) from error
    records = dict(zip(keys, answered.records, strict=True))
    output.result({"records": records, "entry": answered.entry})
    for key, record in records.items():
        output.line(f"{key}: " + ("there is no such record" if record is None else ""))
        for name, value in (record or {}).items():
            output.line(f"  {name}: {'' if value is None else value}")
    output.line(f"Entry {answered.entry}")
    if not any(record is not None for record in records.values()):
        raise NotFound("absent", "There is no such record.")


def chosen_of(found: list[Share], share: str) -> Share:
    """The share of this label or id. Raises `NotFound` ("absent"), `Conflict` ("several")."""
    chosen = [one for one in found if (one.id if is_id(share) else one.label) == share]
    if not chosen:
        raise NotFound("absent", f"There is nothing named {share} for you.")
    if len(chosen) > 1:
        raise Conflict("several", f"{len(chosen)} of them are named {share}; take one by its id.")
    return chosen[0]


def shares_of(session: Session) -> list[Share]:
    """Every share that is listed. Raises `Unavailable` ("not-keten", "list-too-long")."""
    found: list[Share] = []
    path = "/v1/shares"
    for _page in range(_LISTED):
        try:
            page = msgspec.json.decode(session.ask("GET", path).body, type=_Page)
        except msgspec.MsgspecError as error:
            raise Unavailable("not-keten", "The instance's list cannot be read.", str(error)) from error
        found += page.shares
        if page.next is None:
            return found
        path = f"/v1/shares?cursor={quote(page.next)}"
    raise Unavailable("list-too-long", "The instance's list has no end.")
