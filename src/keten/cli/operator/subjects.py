"""`keten subject …`: what about one person or client went where, and its erasure by two people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output, ReaderGone, say
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.cli.operator.register import Names
    from keten.core.settings import Settings
    from keten.keeper.subject_protocol import Outcome, Plan, RequestInfo, Traced
    from keten.subjects.tracing import Received

Subject = Annotated[str, typer.Argument(metavar="ID", help="A person or client: its name or id.", show_default=False)]
RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="The id of the request.", show_default=False)]
Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger: name nobody in it.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]

_WORDS = ("supplier", "contract", "grant", "dataset", "object")
_COLUMNS = ("time", "kind", "outcome", "actor", *_WORDS, "bytes", "address", "index")
_RECEIVED = ("supplier", "contract", "dataset", "object", "opened", "bytes", "first", "last")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    subject = typer.Typer(no_args_is_help=True, help="One person or client: what went where, and erasing it.")
    for command in (trace, record, erase, requests, approve, refuse):
        subject.command()(command)
    subject.command("open")(open_)
    app.add_typer(subject, name="subject")


def trace(
    ctx: typer.Context,
    subject: Subject,
    home: Home = "",
    addresses: Annotated[bool, typer.Option("--addresses", help="Also where a client called from.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each entry.")] = False,
    json: Json = False,
) -> None:
    """What about one person or client is known, and what went where: its row's history, and every entry about it.

    That you read it is itself an entry, made first. What Keten cannot know is said. Once people sign, --addresses takes
    two of them within the hour before: see 'keten subject open'.

    Example: keten subject trace drukwerk-batch --csv > trace.csv
    """
    from keten.cli.operator.keeping import keeper
    from keten.cli.operator.register import names
    from keten.keeper.subject_protocol import Trace, Traced

    if csv and json:
        raise Invalid("trace", "--csv and --json are two forms of one answer: choose one.")
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client, names(settings) as (known, engine):
        traced = client.call("subjects.trace", Trace(subject), Traced)
        with engine.connect() as connection:
            told = _Told(known, traced, _addresses(client, connection, traced.id) if addresses else {})
            told.read(connection)
    if csv:
        _write_csv(told)
        return
    output.result(told.as_json())
    told.print(output)


def open_(ctx: typer.Context, subject: Subject, reason: Reason, home: Home = "", json: Json = False) -> None:
    """Ask that operators may read for an hour where a client called from; two people sign at the console.

    Example: keten subject open drukwerk-batch --reason "case 2026-31"
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.subject_protocol import OpenAddresses
    from keten.keeper.subject_protocol import Outcome as Asked

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client:
        asked = client.call("subjects.open", OpenAddresses(subject, reason), Asked)
    _show(settings, output, asked)


def record(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A table: its name or id.", show_default=False)],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of a record.", show_default=False)],
    home: Home = "",
    json: Json = False,
) -> None:
    """What a record of a table is called: the id for 'keten ledger custody --subject'. Not whether there is one.

    Example: keten subject record jobseekers 1850175123456
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.record_protocol import AskRecord, RecordId

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("subjects.record", AskRecord(dataset, key), RecordId)
    output.result({"id": found.id})
    output.line(found.id)


def _addresses(client: Any, connection: Any, subject: str) -> dict[int, str]:
    """Where a client called from, by entry, opened by the keeper some at a time."""
    from itertools import islice

    from keten.keeper.subject_protocol import Addresses, OpenedAddresses
    from keten.subjects.tracing import MOST_ADDRESSES, about

    found: dict[int, str] = {}
    sealed = (one.index for one in about(connection, subject) if one.payload and subject in one.payload.personal)
    while some := tuple(islice(sealed, MOST_ADDRESSES)):
        found |= client.call("subjects.addresses", Addresses(subject, some), OpenedAddresses).addresses
    return found


class _Told:
    """What is known of a subject, with names."""

    def __init__(self, known: Names, traced: Traced, addresses: dict[int, str]) -> None:
        self._known = known
        self.traced = traced
        self._addresses = addresses
        self.lines: list[dict[str, Any]] = []
        self.received: list[Received] = []

    def read(self, connection: Any) -> None:
        """Every entry about it, and what it received."""
        from keten.ledger.reading import flatten
        from keten.subjects.tracing import about, count

        received: dict[tuple[str, str, str, str], Received] = {}
        for entry in about(connection, self.traced.id):
            count(received, entry)
            line = flatten(entry)
            line.pop("personal", None)
            named = {word: self._known.name(word, line[word]) for word in _WORDS if word in line}
            line["names"] = named | {"actor": self._known.actor(line.get("actor", ""))}
            if entry.index in self._addresses:
                line["address"] = self._addresses[entry.index]
            self.lines.append(line)
        for one in received.values():
            one.supplier = self._known.name("supplier", one.supplier)
            one.contract = self._known.name("contract", one.contract)
            one.dataset = self._known.name("dataset", one.dataset)
            one.object = self._known.name("object", one.object)
            self.received.append(one)

    def as_json(self) -> dict[str, Any]:
        """The whole answer."""
        from keten.subjects.tracing import NOT_KNOWN

        return {
            "subject": self.traced,
            "received": self.received,
            "entries": self.lines,
            "not_known": NOT_KNOWN,
        }

    def print(self, output: Output) -> None:
        """For people."""
        from keten.subjects.tracing import NOT_KNOWN

        traced = self.traced
        of = f" of {traced.supplier}" if traced.supplier else ""
        output.line(f"{traced.kind} {traced.name}{of}, id {traced.id}")
        if traced.email:
            output.line(f"  address {traced.email}")
        if traced.roles:
            output.line(f"  roles {', '.join(traced.roles)}")
        for key in traced.keys:
            output.line(f"  key {key}")
        if traced.ended:
            output.line(f"  ended {traced.ended}")
        output.line("What it received:" if self.received else "It received nothing.")
        if self.received:
            rows = [[str(getattr(one, column)) for column in _RECEIVED] for one in self.received]
            output.table(_RECEIVED, rows)
        output.line(f"Entries about it: {len(self.lines)}")
        for line in self.lines:
            output.line("  " + _line(line))
        output.line("What Keten cannot know:")
        for each in NOT_KNOWN:
            output.line(f"  {each}")
        output.line(f"Entry {traced.entry} says that you read this.")


def _line(line: dict[str, Any]) -> str:
    names = line["names"]
    parts = [line["time"], line["kind"], line.get("outcome", ""), names.get("actor", "")]
    parts += [f"{word} {names[word]}" for word in _WORDS if word in names]
    parts += [f"from {line['address']}"] if "address" in line else []
    return "  ".join(part for part in parts if part)


def _write_csv(told: _Told) -> None:
    import csv

    from keten.ledger.custody import neutral

    writer = csv.writer(sys.stdout)
    try:
        writer.writerow(_COLUMNS)
        for line in told.lines:
            cells = line | line["names"]
            writer.writerow([neutral(cells.get(column, "")) for column in _COLUMNS])
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def erase(
    ctx: typer.Context,
    subject: Subject,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; it stands in the ledger: name nobody in it. Not for a --plan.")
    ] = "",
    basis: Annotated[str, typer.Option(metavar="TEXT", help="By which law, such as 'GDPR 17(1)(b)'.")] = "",
    home: Home = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be erased, and what not.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask for the erasure of a person or client; two people sign at the console, and it is carried out.

    Its key, what its row says, and payloads about it are destroyed in the database's files; every proof still holds.
    Shows exactly what goes, what stays and why. Until two of the organisation's own people have a passkey, another
    operator approves it, and where [erasure] approvers = 1, it is carried out at once.

    Example: keten subject erase ops-jansen --reason "asked by letter 2026-114" --basis "GDPR 17(1)(b)"
    """
    from keten.cli.operator.keeping import keeper, watched
    from keten.keeper.subject_protocol import Erase
    from keten.keeper.subject_protocol import Outcome as Asked

    if not plan and not reason:
        raise Invalid("reason", "Say why: --reason TEXT. Only a --plan needs none.")
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client, watched(settings.paths):
        planned = client.call("subjects.erase", Erase(subject, reason, basis, plan_only=True), Asked)
        if planned.already:
            output.result({"already": True, "plan": planned.plan})
            output.line(f"{planned.plan.kind} {planned.plan.id} was erased before; nothing was changed.")
            return
        if plan:
            output.result({"plan": planned.plan})
            _show_plan(planned.plan, output.line)
            return
        _confirm(planned.plan, yes=yes)
        asked = client.call("subjects.erase", Erase(planned.plan.id, reason, basis), Asked)
    _show(settings, output, asked)


def requests(
    ctx: typer.Context,
    home: Home = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    json: Json = False,
) -> None:
    """What waits for a second person: erasures, releases of holds, destructions. They lapse after 30 days.

    Example: keten subject requests
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.subject_protocol import Everything
    from keten.keeper.subject_protocol import Requests as Found

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("subjects.requests", Everything(everything), Found).requests
    output.result({"requests": found})
    for one in found:
        output.line(_request(one))
    if not found and not json:
        output.say("Nothing waits for a second person.")


def approve(ctx: typer.Context, request: RequestId, home: Home = "", yes: Yes = False, json: Json = False) -> None:
    """Approve what another operator asked for; it is carried out at once. First it shows exactly what goes.

    Only until two of the organisation's own people have a passkey: from then on people sign at the console.

    Whoever asked cannot approve: it takes another operating-system user. Exit code 1 when that is refused, 3 when a
    step is not done: the keeper then goes on by itself.

    Example: keten subject approve mfrggzdfmztwq2lknnwg23tpoa
    """
    from keten.cli.operator.keeping import keeper, watched
    from keten.keeper.subject_protocol import Approve
    from keten.keeper.subject_protocol import Outcome as Approved

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    with keeper(settings) as client, watched(settings.paths):
        planned = client.call("subjects.approve", Approve(request, plan_only=True), Approved)
        if planned.request is not None and not json:
            say(_request(planned.request))
        _confirm(planned.plan, yes=yes)
        approved = client.call("subjects.approve", Approve(request), Approved)
    _show(settings, output, approved)


def refuse(ctx: typer.Context, request: RequestId, reason: Reason, home: Home = "", json: Json = False) -> None:
    """Refuse what another operator asked for, or take back what you asked for yourself.

    Example: keten subject refuse mfrggzdfmztwq2lknnwg23tpoa --reason "the dispute is not over"
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.subject_protocol import Refuse
    from keten.keeper.subject_protocol import RequestInfo as Refused

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        refused = client.call("subjects.refuse", Refuse(request, reason), Refused)
    output.result({"request": refused})
    output.line(_request(refused))


# ---- showing -----------------------------------------------------------------------------------------------------


def _confirm(plan: Plan, *, yes: bool) -> None:
    """Show what goes, and have a person agree to it."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Invalid("not-confirmed", "This cannot be undone. It is asked on a terminal; elsewhere say --yes.")
    _show_plan(plan, say)
    sys.stderr.write("Type its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() not in (plan.name, plan.id):
        say("Nothing was done.")
        raise typer.Exit(exits.NO)


def _show_plan(plan: Plan, line: Any) -> None:
    of = f" of {plan.supplier}" if plan.supplier else ""
    line(f"{plan.kind} {plan.name}{of}, id {plan.id}")
    line("What is gone for ever:")
    for one in plan.erased:
        line(f"  {one.count:6} {one.what}: {one.why}")
    if plan.kept:
        line("What stays:")
    for one in plan.kept:
        line(f"  {one.count:6} {one.what}: {one.why}")
    if plan.unreached:
        line("What nobody here can erase:")
    for each in plan.unreached:
        line(f"  {each}")
    for each in plan.holds:
        line(f"A legal hold forbids it now: {each}")


def _show(settings: Settings, output: Output, outcome: Outcome) -> None:
    """What came of it: it waits, or its steps."""
    from keten.cli.operator.signing import waits

    output.result(
        {
            "request": outcome.request,
            "plan": outcome.plan,
            "steps": outcome.steps,
            "entry": outcome.entry,
            "already": outcome.already,
        }
    )
    request = outcome.request
    if request is not None and request.state == "waiting":
        again = "It was asked for before. " if outcome.already else ""
        for line in waits(settings, request.id, request.people, f"{again}Nothing is done"):
            output.line(line)
        output.line(f"It lapses at {request.lapses}.")
        if request.approvers > 1 and not request.people:
            output.line("Who is alone sets [erasure] approvers = 1; every entry then says so.")
    output.steps(outcome.steps, "the keeper goes on by itself: see 'keten subject requests' and 'keten backup --list'")


def _request(one: RequestInfo) -> str:
    parts = [one.id, one.state, f"{one.what} {one.kind} {one.name}", f"asked by {one.asked_by} at {one.asked}"]
    parts += [f"({one.reason})"]
    parts += [f"signed by {', '.join(each.name for each in one.signed)}"] if one.signed else []
    parts += [f"lapses {one.lapses}"] if one.state == "waiting" else [f"{one.decided_by} at {one.decided}"]
    parts += [f"({one.remark})"] if one.remark else []
    waits = f"\n  not done yet: {one.waits}" if one.waits else ""
    return "  ".join(parts) + waits
