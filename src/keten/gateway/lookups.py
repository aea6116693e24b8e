"""`GET` and `POST /v1/lookups/{share}`: records of a table by their keys, for a case. Nothing is listed or counted."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from keten.gateway.call import NO_STORE, Call
from keten.gateway.link import KeeperLink
from keten.gateway.problems import Problem
from keten.keeper.protocol import Caller, LookedUp, LookUp

MAX_BODY = 64 * 1024
T = TypeVar("T", bound=msgspec.Struct)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a POST. `columns` left out: all that are granted."""

    keys: tuple[str, ...]
    case: str
    columns: tuple[str, ...] = ()


async def serve_lookup(call: Call, link: KeeperLink, caller: Caller) -> None:
    """Answer one lookup.

    1. One key in the query (`key`, `case`, and `columns` with commas between), or several in the content (JSON).
    2. The keeper proves, decides, charges and records; what comes back are the granted columns alone.
    3. One that there is not is 404 like all that is absent or forbidden; of several it is null.
    """
    asked = await posted(call, Asked) if call.method == "POST" else _queried(call)  # 1
    body = LookUp(caller, call.parameter("id"), asked.keys, asked.case, asked.columns)
    found: LookedUp = await link.call("exchange.lookup", body)  # 2
    entry = [(b"keten-entry", found.entry.encode("latin-1")), (b"keten-entry-index", b"%d" % found.index)]
    if call.method == "GET" and found.records == (None,):  # 3
        raise Problem("not-found", headers=entry)
    headers = [(b"content-type", b"application/json"), NO_STORE, *entry]
    await call.answer(200, headers, msgspec.json.encode({"records": found.records, "entry": found.entry}))


def _queried(call: Call) -> Asked:
    query = call.query("key", "case", "columns")
    if "key" not in query or "case" not in query:
        raise Problem("malformed")
    columns = query.get("columns", "")
    return Asked((query["key"],), query["case"], tuple(columns.split(",")) if columns else ())


async def posted(call: Call, kind: type[T]) -> T:
    """The content of a request, as JSON of this type. `Problem` (media-type, malformed, too-large, timeout)."""
    if call.header(b"content-encoding") is not None:
        raise Problem("media-type", headers=[(b"connection", b"close")])
    media = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem("media-type", headers=[(b"connection", b"close")])
    return read(await call.body(MAX_BODY), kind)


def read(content: bytes, kind: type[T]) -> T:
    """The content of a POST, as JSON of this type. Raises `Problem` ("malformed")."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed") from error
