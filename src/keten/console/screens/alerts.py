"""Alerts and requests for more: what was seen and done, how to undo it, and who asks for more than a budget."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from keten.console import wording
from keten.console.readings import alerts
from keten.console.readings.alerts import AlertLine, RequestLine
from keten.console.screens.turn import Turn
from keten.core.errors import Invalid
from keten.identity.restraints import MAX_REASON
from keten.keeper.budget_protocol import AnswerRequest, AskRequests, RequestAnswered, Requests
from keten.keeper.watch_protocol import AlertHandled, Handle
from keten.pages.stepping import Act
from keten.pages.words import N_, Words

HANDLE, ANSWER = "watch.handle", "budgets.answer"
GIVES_BACK = ("fine", "lift")
"""What ends a response before its time, and takes a passkey."""
SEVERITIES = {"low": (N_("low"), "calm"), "medium": (N_("medium"), "warn"), "high": (N_("high"), "grave")}
STATES = {
    "noted": N_("noted"),
    "open": N_("open"),
    "acknowledged": N_("being looked at"),
    "closed": N_("closed"),
}
VERDICTS = {"fine": N_("It was fine"), "not-fine": N_("It was not fine")}
RESPONSES = {
    "note": N_("Only noted"),
    "alert": N_("Nothing was stopped"),
    "slow": N_("Slowed"),
    "step-up": N_("Had to sign in anew"),
    "suspend": N_("Suspended"),
    "freeze": N_("Supplier frozen"),
}
ASKED = {
    "open": (N_("Open"), "warn"),
    "allowed": (N_("Allowed"), "open"),
    "refused": (N_("Refused"), "calm"),
    "withdrawn": (N_("Withdrawn"), "calm"),
    "lapsed": (N_("Lapsed"), "calm"),
    "over": (N_("Over"), "calm"),
}
PER = {"hour": N_("an hour"), "day": N_("a day"), "week": N_("a week"), "month": N_("a month")}
_MOST_RECORDS = 10**12


async def several(turn: Turn) -> Response:
    """A page of alerts."""
    chosen = turn.asked("state") if turn.asked("state") in alerts.STATES else "open"
    before = turn.asked("before")
    before_us = int(before) if before.isascii() and before.isdigit() and len(before) < 18 else 0
    language = turn.visit.language
    owner = turn.owner("see-alerts")
    found = await turn.read(lambda reading: alerts.read(reading, chosen, before_us, language, owner))
    state = "?state=closed" if chosen == "closed" else ""
    older = f"{state or '?state=open'}&before={found.older_us}" if found.older_us else ""
    return turn.page(
        "alerts.html",
        query=state,
        found=found,
        chosen=chosen,
        older=older,
        first=state or "?",
        paged=bool(before_us),
        **_words(),
    )


async def one(turn: Turn) -> Response:
    """One alert."""
    return _alert(turn, await _found(turn), "", "")


async def handle(turn: Turn) -> Response:
    """Somebody says what it is. What gives access back is confirmed by a passkey, the rest is done at once."""
    found = await _found(turn)
    action, note = turn.form.get("action", ""), turn.form.get("note", "").strip()
    if (action in ("fine", "not-fine") and not note) or len(note) > MAX_REASON or not note.isprintable():
        text = turn.words.gettext("Say why, in one line of at most %(count)s characters.") % {"count": MAX_REASON}
        return _alert(turn, found, note[:MAX_REASON], text, status=400)
    body = Handle(found.row.id, action, note)
    if action not in GIVES_BACK:
        await turn.do(HANDLE, body, AlertHandled)
        return turn.moved(f"/alerts/{found.row.id}")
    words = turn.words
    act = Act(
        heading=words.gettext("End what was done, and give access back"),
        effects=_given_back(words, found, action),
        button=words.gettext("Give access back"),
        action=f"/alerts/{found.row.id}/done",
        back=f"/alerts/{found.row.id}",
        fields={"action": action, "note": note},
    )
    return await turn.confirm(HANDLE, body, act)


async def handled(turn: Turn) -> Response:
    """It is confirmed."""
    found = await _found(turn)
    action = turn.form.get("action", "")
    if action not in GIVES_BACK:
        raise Invalid("form", "The form could not be read.")
    await turn.do(HANDLE, Handle(found.row.id, action, turn.form.get("note", "")), AlertHandled, turn.finished)
    return turn.moved(f"/alerts/{found.row.id}")


def _given_back(words: Words, found: AlertLine, action: str) -> tuple[str, ...]:
    name = found.principal or found.supplier or words.gettext("it")
    said = []
    if found.in_force:
        done = words.gettext(RESPONSES.get(found.row.response, found.row.response))
        said.append(
            words.gettext("What was done ends now: %(what)s. %(name)s has access again at once.")
            % {"what": done.lower(), "name": name}
        )
    else:
        said.append(words.gettext("Nothing that was done is in force any more, so no access changes."))
    if action == "fine":
        said.append(words.gettext("The alert is closed as fine, and the same is not signalled again for a while."))
    else:
        said.append(words.gettext("The alert itself stays as it is."))
    return tuple(said)


async def _found(turn: Turn) -> AlertLine:
    row, language, owner = turn.id(), turn.visit.language, turn.owner("see-alerts")
    return (await turn.read(lambda reading: alerts.one(reading, row, language, owner))).line


def _alert(turn: Turn, found: AlertLine, note: str, wrong: str, status: int = 200) -> Response:
    by = wording.actor(turn.words, found.by) if found.by else ""
    facts = [(name, str(value)) for name, value in found.row.facts.items()]
    return turn.page(
        "alert.html",
        status=status,
        found=found,
        row=found.row,
        note=note,
        wrong=wrong,
        by=by,
        facts=facts,
        most=MAX_REASON,
        **_words(),
    )


def _words() -> dict[str, Any]:
    return {"severities": SEVERITIES, "states": STATES, "verdicts": VERDICTS, "responses": RESPONSES}


# ---- requests for more ---------------------------------------------------------------------------------------------


async def asked(turn: Turn) -> Response:
    """Who asks for more than a budget."""
    owner = turn.owner("answer-requests")
    found = await turn.read(lambda reading: alerts.requests(reading, owner))
    return turn.page("requests.html", found=found, asked=ASKED, per=PER)


async def request(turn: Turn) -> Response:
    """One request, with why it was made: reading that is recorded."""
    return await _request(turn, "")


async def answer(turn: Turn) -> Response:
    """It is answered: a passkey confirms it."""
    found = await _line(turn)
    action, why = turn.form.get("action", ""), turn.form.get("why", "").strip()
    records = _records(turn.form.get("records", ""))
    if action == "allow" and records is None:
        return await _request(turn, turn.words.gettext("Say how many records, as a whole number."), status=400)
    if (action == "refuse" and not why) or len(why) > MAX_REASON or not why.isprintable():
        text = turn.words.gettext("Say why, in one line of at most %(count)s characters.") % {"count": MAX_REASON}
        return await _request(turn, text, status=400)
    words, count = turn.words, records or found.row.records
    about = {"name": found.client, "count": words.number(count), "what": found.dataset}
    effects = {
        "allow": (
            words.gettext("%(name)s may receive %(count)s records of %(what)s more, until the running window ends.")
            % about,
        ),
        "refuse": (words.gettext("%(name)s gets no more than its budget, and is told why.") % about,),
        "withdraw": (words.gettext("What %(name)s was allowed beyond its budget ends now.") % about,),
    }
    if action not in effects:
        raise Invalid("form", "The form could not be read.")
    act = Act(
        heading=words.gettext("Answer the request of %(name)s") % about,
        effects=effects[action],
        button=words.gettext("Answer it"),
        action=f"/requests/{found.row.id}/done",
        back=f"/requests/{found.row.id}",
        fields={"action": action, "records": str(records or 0), "why": why},
    )
    return await turn.confirm(ANSWER, AnswerRequest(found.row.id, action, records or 0, 0, why), act)


async def answered(turn: Turn) -> Response:
    """It is confirmed."""
    found = await _line(turn)
    records = _records(turn.form.get("records", "")) or 0
    body = AnswerRequest(found.row.id, turn.form.get("action", ""), records, 0, turn.form.get("why", ""))
    await turn.do(ANSWER, body, RequestAnswered, turn.finished)
    return turn.moved("/requests")


async def _line(turn: Turn) -> RequestLine:
    row, owner = turn.id(), turn.owner("answer-requests")
    return await turn.read(lambda reading: alerts.request(reading, row, owner))


async def _request(turn: Turn, wrong: str, status: int = 200) -> Response:
    found = await _line(turn)
    told = await turn.do("budgets.requests", AskRequests(found.row.id), Requests)
    (info,) = told.requests
    by = wording.actor(turn.words, found.by) if found.by else ""
    return turn.page(
        "request.html",
        status=status,
        found=found,
        row=found.row,
        info=info,
        entry=told.entry,
        asked=ASKED,
        per=PER,
        wrong=wrong,
        by=by,
        most=MAX_REASON,
    )


def _records(text: str) -> int | None:
    text = text.strip().replace(".", "").replace(",", "")
    if not (text.isascii() and text.isdigit() and len(text) < 14):
        return None
    found = int(text)
    return found if 0 <= found <= _MOST_RECORDS else None
