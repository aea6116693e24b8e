"""The red button: end access of a supplier, contract, grant, system account or person.

What it will do is spelled out first, and a passkey confirms exactly that.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from keten.console.readings import ending
from keten.console.readings.ending import Ending
from keten.console.screens.turn import Turn
from keten.core.errors import Conflict, NotFound
from keten.keeper.protocol import Revoke, Revoked
from keten.keeper.rights_protocol import EndGrant
from keten.pages.stepping import Act
from keten.pages.words import N_, Words
from keten.suppliers.service import MAX_REASON

RIGHTS = "rights"
OWN = {"suppliers": "supplier", "people": "person", RIGHTS: "grant"}
"""What is ended at a page of its own; `/access/{kind}/{id}/end` is for what a supplier has.

Whoever owns data ends a grant of it where it would be confirmed (`RIGHTS`).
"""
HEADINGS = {
    "supplier": N_("End all access of %(name)s"),
    "contract": N_("End all access under the contract %(name)s"),
    "grant": N_("End the grant %(name)s"),
    "client": N_("End the system account %(name)s"),
    "person": N_("End all access of %(name)s"),
}
STEPS = {
    "register": N_("The register says that it has ended"),
    "transfers": N_("Transfers under way were cut"),
    "gateways": N_("Every gateway confirmed it"),
}
OUTCOMES = {
    "done": (N_("Done"), "open"),
    "already": (N_("It had ended before"), "calm"),
    "not-done": (N_("Not confirmed"), "grave"),
}


async def ask(turn: Turn) -> Response:
    """What it will do, and why it is done."""
    found = await _found(turn)
    return _asked(turn, found, "", "")


async def confirm(turn: Turn) -> Response:
    """The reason is given: a passkey confirms it. A reason that is none is asked for again."""
    found = await _found(turn)
    reason = turn.form.get("reason", "").strip()
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        text = turn.words.gettext("Say why, in one line of at most %(count)s characters.")
        return _asked(turn, found, reason[:MAX_REASON], text % {"count": MAX_REASON}, status=400)
    act = Act(
        heading=heading(turn.words, found),
        effects=effects(turn.words, found),
        button=turn.words.gettext("End access now"),
        action=f"{turn.visit.path}/done",
        back=_back(turn, found),
        fields={"reason": reason},
    )
    return await turn.confirm(*_body(turn, found, reason), act)


async def done(turn: Turn) -> Response:
    """It is confirmed: end it, and say each step."""
    found = await _found(turn)
    verb, body = _body(turn, found, turn.form.get("reason", ""))
    ended = await turn.do(verb, body, Revoked, turn.finished)
    words = turn.words
    steps = [
        (words.gettext(STEPS.get(one["step"], one["step"])), *_outcome(words, one["outcome"])) for one in ended.steps
    ]
    whole = all(one["outcome"] != "not-done" for one in ended.steps)
    return turn.page("ended.html", found=found, ended=ended, steps=steps, whole=whole, back=_back(turn, found))


async def _found(turn: Turn) -> Ending:
    """What is to end. Raises `NotFound`; `Conflict` ("ended") for what has ended already."""
    own = OWN.get(_place(turn), "")
    kind, row = own or str(turn.request.path_params.get("kind", "")), turn.id()
    found = await turn.read(lambda reading: ending.read(reading, kind, row), folded=True)
    if not own and not found.supplier:  # one of the organisation's own people
        raise NotFound("not-found", "There is no such page.")
    if found.already is not None:
        raise Conflict("ended", "Its access has ended already. What has ended stays ended.")
    return found


def _asked(turn: Turn, found: Ending, reason: str, wrong: str, status: int = 200) -> Response:
    return turn.page(
        "end.html",
        status=status,
        found=found,
        heading=heading(turn.words, found),
        effects=effects(turn.words, found),
        reason=reason,
        wrong=wrong,
        most=MAX_REASON,
        back=_back(turn, found),
    )


def heading(words: Words, found: Ending) -> str:
    """What would be done."""
    return words.gettext(HEADINGS[found.kind]) % {"name": found.name}


def _place(turn: Turn) -> str:
    return turn.visit.path.split("/")[1]


def _body(turn: Turn, found: Ending, reason: str) -> tuple[str, msgspec.Struct]:
    """Verb and body, the very ones that the keeper takes the hash of."""
    if _place(turn) == RIGHTS:
        return "rights.end", EndGrant(found.id, reason)
    return "revocation.revoke", Revoke(found.kind, found.id, reason)


def _back(turn: Turn, found: Ending) -> str:
    """Where one goes instead, below the language."""
    if _place(turn) == RIGHTS:
        return f"/{RIGHTS}"
    return f"/suppliers/{found.supplier}" if found.supplier else f"/people/{found.id}"


def effects(words: Words, found: Ending) -> tuple[str, ...]:
    """What it will do, one by one."""
    said: list[str] = []
    if found.kind == "supplier":
        said.append(
            words.gettext("From that moment nobody of %(name)s gets anything. These can no longer sign in:")
            % {"name": found.name}
            + " "
            + words.ngettext("%(count)s system account", "%(count)s system accounts", found.clients)
            % {"count": words.number(found.clients)}
            + ", "
            + words.ngettext("%(count)s person", "%(count)s people", found.people)
            % {"count": words.number(found.people)}
            + "."
        )
        said.append(_counted(words, found.contracts, found.open))
    elif found.kind in ("contract", "grant"):
        said.append(
            words.ngettext(
                "From that moment %(count)s grant that is open now gives no access any more.",
                "From that moment %(count)s grants that are open now give no access any more.",
                found.open,
            )
            % {"count": words.number(found.open)}
        )
    else:
        said.append(words.gettext("From that moment it can no longer sign in, and what it is signed in with is ended."))
    said.append(_cut(words, found))
    said.append(_kept(words, found))
    said.append(words.gettext("It cannot be undone. Access again takes a new line in the register, with a new id."))
    return tuple(one for one in said if one)


def _counted(words: Words, contracts: int, opened: int) -> str:
    said = words.ngettext(
        "%(count)s contract gives no access any more", "%(count)s contracts give no access any more", contracts
    ) % {"count": words.number(contracts)}
    grants = words.ngettext(
        "%(count)s grant that is open now closes", "%(count)s grants that are open now close", opened
    ) % {"count": words.number(opened)}
    return f"{said}; {grants}."


def _cut(words: Words, found: Ending) -> str:
    if not found.complete:
        return words.gettext("Transfers under way are cut at once; how many there are is not known yet.")
    if not found.transfers:
        return words.gettext("No transfer is under way now; one that begins before you confirm is cut at once.")
    return words.ngettext(
        "%(count)s transfer that is under way is cut at once.",
        "%(count)s transfers that are under way are cut at once.",
        found.transfers,
    ) % {"count": words.number(found.transfers)}


def _kept(words: Words, found: Ending) -> str:
    if found.held is None:
        return ""
    if not found.complete or found.held.most is None:
        return words.gettext("What it has received stays with it; how much that is, is not known.")
    if not found.held.most:
        return words.gettext("It has received nothing, so nothing of it stays there.")
    return words.ngettext(
        "What it has received stays with it: at most %(count)s record.",
        "What it has received stays with it: at most %(count)s records.",
        found.held.most,
    ) % {"count": words.number(found.held.most)}


def _outcome(words: Words, outcome: str) -> tuple[str, str]:
    text, tone = OUTCOMES.get(outcome, (outcome, "grave"))
    return words.gettext(text), tone
