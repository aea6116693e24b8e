"""`keten decide`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Invalid

if TYPE_CHECKING:
    from keten.keeper.protocol import Decided

LANGUAGES = ("en", "nl")
_SAID = {
    "en": ("Allowed", "Denied", "until", "The answer is what the entry says.", "The entry says something else!"),
    "nl": (
        "Toegestaan",
        "Geweigerd",
        "tot",
        "Het antwoord is wat de vermelding zegt.",
        "De vermelding zegt iets anders!",
    ),
}

# Words that people use for the actions.
ALSO = {"read": "open", "get": "open", "download": "open", "ls": "list"}


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(decide)


def decide(
    ctx: typer.Context,
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="A client, by name or id.")] = "",
    action: Annotated[str, typer.Argument(metavar="ACTION", help="open (or read, get, download), list, lookup.")] = "",
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="A dataset, DATASET/FILE or an object's id.")
    ] = "",
    *,
    home: Home = "",
    at: Annotated[str, typer.Option(metavar="TIME", help="At that moment (a date or a time with offset).")] = "",
    country: Annotated[str, typer.Option(metavar="CC", help="Asked from this country; unknown when left out.")] = "",
    purpose: Annotated[str, typer.Option(metavar="P", help="For this purpose; the grant's when left out.")] = "",
    replay: Annotated[str, typer.Option(metavar="ENTRY", help="Decide again what this entry decided.")] = "",
    lang: Annotated[str, typer.Option(metavar="nl|en", help="Language of the sentences; that of LANG else.")] = "",
    json: Json = False,
) -> None:
    """What would be decided, and why. Nothing is given out. Exit code 0 allowed, 1 denied.

    What the register does not hold is denied as it would be: "absent"; a line on stderr says which name that is.

    With --replay, a past decision is made again from what its entry recorded, and must give the same answer.

    Example: keten decide drukwerk-batch open voters --at 2027-01-01 --country NL
    """
    from keten.cli.operator.keeping import keeper
    from keten.keeper.protocol import Decide, Decided, Replay

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    language = lang or surroundings.language
    if language not in LANGUAGES:
        raise Invalid("language", f"--lang is nl or en, not {language!r}.")
    settings = surroundings.instance(home)
    if replay:
        if principal or at or country or purpose:
            raise Invalid("replay", "A replay takes everything from the entry: give --replay ENTRY alone.")
        with keeper(settings) as client:
            decided = client.call("policy.replay", Replay(replay), Decided)
    else:
        if not (principal and action and resource):
            raise Invalid("arguments", "Say who, what and on what: keten decide PRINCIPAL ACTION RESOURCE.")
        if country and (len(country) != 2 or not country.isalpha() or not country.isascii()):
            raise Invalid("country", f"--country is two letters (ISO 3166), not {country!r}.")
        from keten.cli.operator.register import names

        with names(settings) as (known, _engine):
            moment = known.start("--at", at) if at else 0
            for remark in known.unknown(principal, resource):
                output.say(remark)
        asked = Decide(principal, ALSO.get(action, action), resource, moment, country.upper(), purpose)
        with keeper(settings) as client:
            decided = client.call("policy.decide", asked, Decided)
    _show(output, decided, language, replayed=bool(replay))
    if not decided.same or decided.outcome != "allow":
        raise typer.Exit(exits.NO)


def _show(output: Output, decided: Decided, language: str, *, replayed: bool) -> None:
    from keten.core.clock import rfc3339
    from keten.policy.reasons import REASONS

    until = rfc3339(decided.valid_until_us) if decided.valid_until_us else None
    result = {
        "outcome": decided.outcome,
        "reasons": decided.reasons,
        "valid_until": until,
        "policies": decided.policies,
        "sentences": {policy: text.get(language, "") for policy, text in decided.sentences.items()},
        "attributes": decided.attributes,
        "policy_hash": decided.policy_hash,
    }
    output.result(result | {"same": decided.same} if replayed else result)
    allowed, denied, up_to, same, other = _SAID[language]
    if decided.outcome == "allow":
        output.line(f"{allowed} {up_to} {until}." if until else f"{allowed}.")
    else:
        output.line(f"{denied}: {', '.join(decided.reasons)}.")
    for code in decided.reasons:
        if code in REASONS:
            output.line(f"  {getattr(REASONS[code], language)}")
    for policy in decided.policies:
        output.line(f"  {policy}: {decided.sentences.get(policy, {}).get(language, '')}")
    if replayed:
        output.line(same if decided.same else other)
