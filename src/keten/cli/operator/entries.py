"""`keten ledger show` and `keten ledger custody`: reading entries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output, ReaderGone
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.cli.operator.register import Names
    from keten.ledger.query import Filter

Principal = Annotated[str, typer.Option(metavar="ID", help="Of this client or person, or operator:NAME.")]
Subject = Annotated[str, typer.Option(metavar="ID", help="About this client or person.")]
Dataset = Annotated[str, typer.Option(metavar="ID", help="About this dataset.")]
Supplier = Annotated[str, typer.Option(metavar="ID", help="About this supplier.")]
Contract = Annotated[str, typer.Option(metavar="ID", help="Under this contract.")]
Grant = Annotated[str, typer.Option(metavar="ID", help="Under this grant.")]
Object = Annotated[str, typer.Option(metavar="ID", help="About this object: its id, or DATASET/FILE.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="From then on (a date, or a time with offset).")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Up to then; a date counts to its end.")]
Outcome = Annotated[str, typer.Option(metavar="allow|deny", help="With this outcome.")]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="At most so many; 0 for all.")]

_WORDS = ("supplier", "contract", "grant", "dataset", "object", "client", "person")


def register(ledger: typer.Typer) -> None:
    """Add this module's commands."""
    ledger.command()(show)
    ledger.command()(custody)


def show(
    ctx: typer.Context,
    *,
    home: Home = "",
    principal: Principal = "",
    subject: Subject = "",
    dataset: Dataset = "",
    supplier: Supplier = "",
    contract: Contract = "",
    grant: Grant = "",
    object: Object = "",  # noqa: A002  # the option's name
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="A kind of entry, or its beginning, such as exchange.object")
    ] = "",
    since: Since = "",
    until: Until = "",
    outcome: Outcome = "",
    limit: Limit = 0,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    json: Json = False,
) -> None:
    """Read entries, oldest first. Names of the estate and random ids are both fine. With --json, one object a line.

    Example: keten ledger show --supplier drukwerk --kind exchange --since 2026-11-01
    """
    from keten.cli.operator.register import names
    from keten.ledger.query import find
    from keten.ledger.reading import flatten

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with names(surroundings.instance(home)) as (known, engine), engine.connect() as connection:
        wanted = _filter(
            known,
            since,
            until,
            principal=known.principal(principal),
            subject=known.subject(subject),
            dataset=known.id_of("dataset", dataset),
            supplier=known.id_of("supplier", supplier),
            contract=known.id_of("contract", contract),
            grant=known.id_of("grant", grant),
            object=known.object(object),
            kind=kind.rstrip("."),
            outcome=_outcome(outcome),
            limit=limit,
            newest_first=newest,
        )
        found = False
        for entry in find(connection, wanted):
            found = True
            line = flatten(entry)
            output.result(line)
            if not json:
                output.line(_line(known, line))
        if not found:
            output.say("There are no such entries.")


def custody(
    ctx: typer.Context,
    *,
    home: Home = "",
    dataset: Dataset = "",
    supplier: Supplier = "",
    principal: Principal = "",
    subject: Subject = "",
    contract: Contract = "",
    grant: Grant = "",
    object: Object = "",  # noqa: A002  # the option's name
    since: Since = "",
    until: Until = "",
    outcome: Outcome = "",
    limit: Limit = 0,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each access.")] = False,
    json: Json = False,
) -> None:
    """Who had it: every access to content, with what was really delivered, and what else happened to it.

    Say what it is about: a dataset, supplier, principal, subject, contract, grant or object.

    Example: keten ledger custody --dataset voters --csv > voters.csv
    """
    from keten.cli.operator.register import names
    from keten.ledger import custody as had

    if not any((dataset, supplier, principal, subject, contract, grant, object)):
        raise Invalid("custody", "Say whose or what: --dataset, --supplier, --principal, --subject, --object, …")
    if csv and json:
        raise Invalid("custody", "--csv and --json are two forms of one answer: choose one.")
    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with names(surroundings.instance(home)) as (known, engine), engine.connect() as connection:
        wanted = _filter(
            known,
            since,
            until,
            principal=known.principal(principal),
            subject=known.subject(subject),
            dataset=known.id_of("dataset", dataset),
            supplier=known.id_of("supplier", supplier),
            contract=known.id_of("contract", contract),
            grant=known.id_of("grant", grant),
            object=known.object(object),
            outcome=_outcome(outcome),
            limit=limit,
        )
        if csv:
            try:
                had.write_csv(connection, wanted, sys.stdout, known.named)
                sys.stdout.flush()
            except BrokenPipeError as error:
                raise ReaderGone from error
        elif json:
            output.result(had.custody(connection, wanted))
        else:
            found = False
            for line in had.custody_lines(connection, wanted):
                found = True
                output.line(_line(known, line))
            if not found:
                output.say("There are no such entries.")


def _filter(known: Names, since: str, until: str, **asked: Any) -> Filter:
    from keten.ledger.query import Filter

    return Filter(
        since_us=known.start("--since", since) if since else None,
        until_us=known.end("--until", until) if until else None,
        **asked,
    )


def _outcome(text: str) -> str:
    if text not in ("", "allow", "deny"):
        raise Invalid("outcome", f"--outcome is allow or deny, not {text!r}.")
    return text


def _line(known: Names, line: dict[str, Any]) -> str:
    """One entry on one line: index, time, kind, who, and the rest by name."""
    parts = [f"{line['index']:>7}", line["time"], line["kind"].ljust(26)]
    if line.get("state") == "erased":
        return "  ".join([*parts, "erased"])
    parts.append(known.actor(line["actor"]))
    parts += [line["outcome"]] if "outcome" in line else []
    parts += [", ".join(line["reasons"])] if line.get("reasons") else []
    refs = line | line.get("refs", {})
    parts += [f"{word}={known.name(word, refs[word])}" for word in _WORDS if word in refs]
    delivered = line.get("delivered") or {}
    given = delivered.get("bytes", line.get("bytes"))
    parts += [f"bytes={given}"] if given is not None else []
    end = delivered.get("end") or line.get("details", {}).get("end")
    parts += [f"end={end}"] if end else []
    return "  ".join([*parts, line["id"]])
