"""The ledger: entries by what they are about, one entry, a proof of it to hand over, and who had something."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from starlette.responses import Response

from keten.console import wording
from keten.console.phrases import phrase
from keten.console.proving import prove
from keten.console.readings import ledger
from keten.console.readings.ledger import Asked, Had
from keten.console.readings.lines import REFERRED
from keten.console.screens.turn import Turn
from keten.core.errors import NotFound
from keten.keeper.protocol import Locate, Recorded
from keten.pages.visits import marked
from keten.pages.words import N_, Words
from keten.suppliers.moments import day_end_us, day_start_us

ROOMS = {
    "exchange": N_("Fetching, delivering, lookups"),
    "identity": N_("Signing in, people and accounts"),
    "suppliers": N_("Suppliers, contracts, grants"),
    "datasets": N_("Datasets"),
    "systems": N_("Systems"),
    "vault": N_("Files and keys"),
    "budgets": N_("Budgets"),
    "watch": N_("Alerts"),
    "policy": N_("Policies"),
    "subjects": N_("Erasure, destruction, holds"),
    "ledger": N_("The ledger itself"),
    "keeper": N_("The keeper itself"),
    "backup": N_("Backups"),
}
"""The beginning of a kind of entry → what it is about."""
OUTCOMES = {"allow": N_("Allowed"), "deny": N_("Refused")}
ENDS = {
    "": (N_("Under way"), "calm"),
    "complete": (N_("Delivered"), "open"),
    "client-closed": (N_("Stopped by the recipient"), "calm"),
    "cut": (N_("Cut"), "warn"),
    "ended": (N_("Cut"), "warn"),
    "damaged": (N_("Failed on our side"), "grave"),
    "failed": (N_("Failed on our side"), "grave"),
    "unknown": (N_("Not known: a process was killed"), "grave"),
}
_LARGEST = 2**62


async def several(turn: Turn) -> Response:
    """A page of entries."""
    asked, wrong, fields = _asked(turn)
    found = await turn.read(lambda reading: ledger.read(reading, asked))
    words = turn.words
    lines = [(line, phrase(words, line.kind), wording.actor(words, line.who)) for line in found.lines]
    return turn.page(
        "ledger.html",
        query=_query(fields, found.older and asked.before),
        found=found,
        lines=lines,
        fields=fields,
        wrong=wrong,
        rooms=ROOMS,
        outcomes=OUTCOMES,
        words_of=tuple(REFERRED),
        filtered=any(fields.values()),
        first=_query(fields, None) or "?",
        older=_query(fields, found.older) if found.older is not None else "",
        paged=asked.before is not None,
        custody=f"/ledger/custody?{urlencode({'what': found.about.word, 'name': found.about.id})}"
        if found.about
        else "",
    )


async def one(turn: Turn) -> Response:
    """One entry."""
    index = _index(turn)
    found = await turn.read(lambda reading: ledger.one(reading, index))
    words, line = turn.words, found.line
    return turn.page(
        "entry.html",
        found=found,
        line=line,
        what=phrase(words, line.kind),
        by=wording.actor(words, line.who),
        subjects=[wording.actor(words, one) for one in found.subjects],
    )


async def by_id(turn: Turn) -> Response:
    """To an entry that is named by its id, which only the keeper can find."""
    found = await turn.do("ledger.locate", Locate(turn.id()), Recorded)
    return turn.moved(f"/ledger/{found.index}")


async def proof(turn: Turn) -> Response:
    """A proof of one entry, as a file to hand over. It holds nothing of what the entry says (law 7)."""
    index = _index(turn)
    await turn.read(lambda reading: ledger.one(reading, index))
    text = await turn.aside(lambda: prove(turn.desk.settings.paths.ledger, index))
    headers = {"content-disposition": f'attachment; filename="entry-{index}.tlog-proof"'}
    return marked(turn.site, turn.visit, Response(text, 200, headers, "text/plain; charset=utf-8"))


async def custody(turn: Turn) -> Response:
    """Who had something: what goes on, what was delivered, and how each ended."""
    word, name = _word(turn), turn.asked("name")
    before = _number(turn.asked("before"))
    found = await turn.read(lambda reading: ledger.custody(reading, word, name, before), folded=True)
    fields = {"what": word, "name": name}
    words = turn.words
    return turn.page(
        "custody.html",
        query=_query(fields, before),
        found=found,
        accesses=[(one, *_end(words, one), _much(words, one)) for one in found.accesses],
        fields=fields,
        words_of=tuple(REFERRED),
        older=_query(fields, found.older) if found.older is not None else "",
        first=_query(fields, None) or "?",
        paged=before is not None,
    )


def _asked(turn: Turn) -> tuple[Asked, bool, dict[str, str]]:
    """What is asked for, whether a day of it is none, and the fields as they were filled in."""
    fields = {name: turn.asked(name) for name in ("name", "kind", "outcome", "since", "until")} | {"what": _word(turn)}
    if fields["outcome"] not in OUTCOMES:
        fields["outcome"] = ""
    wrong = False
    days: list[date | None] = []
    for name in ("since", "until"):
        try:
            days.append(date.fromisoformat(fields[name]) if fields[name] else None)
        except ValueError:
            days.append(None)
            wrong = True
    since, until = (day if day and 1971 <= day.year <= 9000 else None for day in days)
    zone = turn.words.zone
    asked = Asked(
        word=fields["what"],
        name=fields["name"],
        kind=fields["kind"],
        outcome=fields["outcome"],
        since_us=day_start_us(since, zone) if since else None,
        until_us=day_end_us(until, zone) if until else None,
        before=_number(turn.asked("before")),
    )
    return asked, wrong, fields


def _word(turn: Turn) -> str:
    """Of what a name is: in the field of its own, or as the address of a page says it (`?supplier=ID`)."""
    said = turn.asked("what")
    return said if said in REFERRED else ""


def _query(fields: dict[str, str], before: int | None) -> str:
    asked = {name: value for name, value in fields.items() if value}
    asked |= {"before": str(before)} if before is not None else {}
    return f"?{urlencode(asked)}" if asked else ""


def _index(turn: Turn) -> int:
    found = _number(str(turn.request.path_params.get("index", "")))
    if found is None:
        raise NotFound("not-found", "There is no such page.")
    return found


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    found = int(text)
    return found if found < _LARGEST else None


def _end(words: Words, one: Had) -> tuple[str, str]:
    text, tone = ENDS.get(one.end, ENDS["unknown"])
    return words.gettext(text), tone


def _much(words: Words, one: Had) -> str:
    if one.records is not None:
        return words.ngettext("%(count)s record", "%(count)s records", one.records) % {
            "count": words.number(one.records)
        }
    if one.bytes is not None:
        return words.size(one.bytes)
    if one.at_most is not None:
        return words.gettext("%(least)s to %(most)s") % {
            "least": words.size(one.at_least or 0),
            "most": words.size(one.at_most),
        }
    return words.gettext("not known yet") if not one.end else words.gettext("not known")
