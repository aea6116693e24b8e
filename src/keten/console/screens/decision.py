"""Why something is allowed or refused: what would be decided, or what was, decided again from what was recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from keten.console import wording
from keten.console.readings import ledger
from keten.console.readings import names as readings
from keten.console.readings.desk import Reading
from keten.console.screens.turn import Turn
from keten.core.clock import to_us
from keten.core.errors import NotFound
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.keeper.protocol import Decide, Decided, Replay
from keten.ledger.bound import BoundRow
from keten.pages.words import N_, Words
from keten.suppliers.model import Contract, Grant, Supplier

ACTIONS = {"open": N_("fetch a file"), "lookup": N_("look up records"), "list": N_("see what there is")}
ASKED = ("open", "list")
"""What the keeper can be asked about; the others are in entries."""
ATTRIBUTES: dict[str, str] = {
    "action": N_("What was asked"),
    "time_us": N_("When"),
    "country": N_("From which country"),
    "purpose": N_("For which purpose"),
    "checked": N_("Every row that was read is what the ledger says"),
    "mismatch": N_("Which row is not"),
    "known": N_("Asker and data are in the register"),
    "principal": N_("Who asks"),
    "principal_standing": N_("How the asker stands"),
    "supplier": N_("Its supplier"),
    "supplier_active": N_("The supplier has not ended"),
    "supplier_unfrozen": N_("The supplier is not frozen"),
    "dataset": N_("Dataset"),
    "dataset_classification": N_("Its class"),
    "dataset_active": N_("The dataset has not ended"),
    "content_unlimited": N_("The content is kept without an end"),
    "content_expires_us": N_("When the content is destroyed"),
    "has_grant": N_("There is a grant"),
    "grant": N_("Which grant"),
    "grant_form": N_("Its form"),
    "grant_purpose": N_("Its purpose"),
    "grant_to": N_("The asker is named in it"),
    "grant_to_all": N_("It is for everyone of the supplier"),
    "grant_active": N_("The grant has not ended"),
    "grant_lasting": N_("Nobody has to confirm the grant"),
    "grant_confirmed_until_us": N_("It is confirmed until"),
    "contract": N_("Contract"),
    "contract_active": N_("The contract has not been ended"),
    "contract_starts_us": N_("It starts"),
    "contract_ends_us": N_("It ends"),
    "contract_purposes": N_("Its purposes"),
    "contract_countries": N_("Its countries"),
    "contract_any_country": N_("It names no countries"),
}
STANDINGS = {
    "active": N_("may act"),
    "suspended": N_("suspended"),
    "ended": N_("ended"),
    "blocked": N_("blocked"),
}
_WORDS: dict[str, dict[str, str]] = {
    "action": ACTIONS,
    "principal_standing": STANDINGS,
    "dataset_classification": wording.CLASSES,
    "grant_form": wording.FORMS,
}
_ROWS: dict[str, type[BoundRow]] = {"supplier": Supplier, "dataset": Dataset, "grant": Grant, "contract": Contract}


async def ask(turn: Turn) -> Response:
    """What would be decided. Nothing is given out, and asking is no entry."""
    words = turn.words
    fields = {name: turn.asked(name) for name in ("who", "action", "what", "country", "purpose", "at")}
    fields["action"] = fields["action"] if fields["action"] in ASKED else "open"
    wrong, at_us = "", 0
    country = fields["country"].upper()
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        wrong = words.gettext("A country is two letters, such as NL.")
    if fields["at"]:
        try:
            at_us = to_us(datetime.fromisoformat(fields["at"]).replace(tzinfo=words.zone))
        except (ValueError, OverflowError):
            wrong = words.gettext("A moment is written as 2026-12-31T17:00.")
    complete = bool(fields["who"] and fields["what"]) and not wrong
    decided, names = None, await turn.read(readings.names)
    who = await turn.read(lambda reading: readings.principal(reading, fields["who"])) if complete else ""
    if complete and not who:
        wrong = words.gettext("No system account or person is called that, or has that id.")
    if who:
        body = Decide(who, fields["action"], fields["what"], at_us, country, fields["purpose"])
        decided = await turn.do("policy.decide", body, Decided)
    asked = {name: value for name, value in fields.items() if value}
    return turn.page(
        "decision.html",
        query=f"?{urlencode(asked)}" if complete else "",
        fields=fields,
        wrong=wrong,
        actions={one: ACTIONS[one] for one in ASKED},
        names=names,
        decided=decided,
        looked=await _looked(turn, decided) if decided else [],
    )


async def replay(turn: Turn) -> Response:
    """What an entry decided, decided again by the policies of its day from what it recorded."""
    text = str(turn.request.path_params.get("index", ""))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound("not-found", "There is no such page.")
    found = await turn.read(lambda reading: ledger.one(reading, int(text)))
    decided = await turn.do("policy.replay", Replay(found.line.id), Decided)
    return turn.page("replay.html", found=found, decided=decided, looked=await _looked(turn, decided))


async def _looked(turn: Turn, decided: Decided) -> list[tuple[str, str]]:
    """What the decision looked at, in words: a label and a value for each attribute."""
    words = turn.words

    def named(reading: Reading) -> list[tuple[str, str]]:
        return [
            (words.gettext(text), _value(words, reading, name, decided.attributes[name]))
            for name, text in ATTRIBUTES.items()
            if name in decided.attributes
        ]

    return await turn.read(named)


def _value(words: Words, reading: Reading, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return words.gettext("yes") if value else words.gettext("no")
    if name.endswith("_us") and isinstance(value, int):
        return words.moment(value) if 0 < value < 2**57 else "–"
    if isinstance(value, list | tuple):
        return ", ".join(_name(reading, name, str(one)) for one in value) or "–"
    if name in _WORDS and value in _WORDS[name]:
        return words.gettext(_WORDS[name][value])
    return _name(reading, name, str(value)) or "–"


def _name(reading: Reading, name: str, value: str) -> str:
    """What the register calls an id; everything else as it is."""
    if not is_id(value):
        return value
    if name in ("principal", "grant_to"):
        return reading.names.who(value)[0] or value
    return (reading.names.of(_ROWS[name], value) if name in _ROWS else "") or value
