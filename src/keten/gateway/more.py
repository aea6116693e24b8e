"""`GET` and `POST /v1/shares/{share}/more`: what is left of a budget, and asking its owner for more."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.gateway.call import NO_STORE, Call
from keten.gateway.link import KeeperLink
from keten.gateway.lookups import posted
from keten.gateway.problems import Problem
from keten.keeper.protocol import AskMore, Caller, MoreTold


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a POST."""

    records: int
    why: str
    case: str = ""


async def serve_more(call: Call, link: KeeperLink, caller: Caller) -> None:
    """Answer one question about a budget.

    1. GET asks for nothing but what is left; a POST (JSON) for so many records more, and says why.
    2. The keeper proves, decides, notes and records.
    """
    body = AskMore(caller, call.parameter("id"))
    if call.method == "POST":  # 1
        wanted = await posted(call, Wanted)
        if not 0 < wanted.records < 2**63:
            raise Problem("malformed")
        body = msgspec.structs.replace(body, records=wanted.records, why=wanted.why, case=wanted.case)
    told: MoreTold = await link.call("budgets.more", body)  # 2
    document: dict[str, Any] = {
        "budget": [msgspec.structs.asdict(one) for one in told.budget],
        "request": msgspec.structs.asdict(told.request) if told.request is not None else None,
        "entry": told.entry,
    }
    entry = [(b"keten-entry", told.entry.encode("latin-1")), (b"keten-entry-index", b"%d" % told.index)]
    await call.answer(200, [(b"content-type", b"application/json"), NO_STORE, *entry], msgspec.json.encode(document))
