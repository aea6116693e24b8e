"""The keeper's verbs of the portal, beside those about people that all faces have (`pages/asking.py`)."""

from __future__ import annotations

from keten.keeper.caller import Caller
from keten.keeper.portal_protocol import AskColleagues, AskOwnLog, AskStanding, Colleagues, OwnLogPage, Standing
from keten.keeper.protocol import AskMore, LookedUp, LookUp, MoreTold, ShareQuery, Shares
from keten.portal.site import Door


async def standing(door: Door, who: Caller) -> Standing:
    """How it stands with everything that was granted to whoever asks."""
    return await door.call("portal.standing", AskStanding(who), Standing)


async def share(door: Door, who: Caller, share_id: str, cursor: str, limit: int) -> Shares:
    """A page of what is in one share. Raises `NotFound` for what is absent, over, or not theirs."""
    return await door.call("exchange.shares", ShareQuery(who, share_id, cursor=cursor, limit=limit), Shares)


async def look_up(door: Door, who: Caller, share_id: str, key: str, case: str) -> LookedUp:
    """One record by its key, for a case. Raises as `exchange.lookup` does."""
    return await door.call("exchange.lookup", LookUp(who, share_id, (key,), case), LookedUp)


async def more(door: Door, who: Caller, share_id: str, records: int = 0, why: str = "", case: str = "") -> MoreTold:
    """What is left of a share's budget; with `records`: ask its owner for so many more. Raises as `budgets.more`."""
    return await door.call("budgets.more", AskMore(who, share_id, records, why, case), MoreTold)


async def log(door: Door, who: Caller, before: int, limit: int) -> OwnLogPage:
    """A page of what is recorded about whoever asks; a contact: about the whole supplier."""
    return await door.call("portal.log", AskOwnLog(who, before, limit), OwnLogPage)


async def colleagues(door: Door, who: Caller) -> Colleagues:
    """Who the people of a contact's supplier are."""
    return await door.call("portal.people", AskColleagues(who), Colleagues)
