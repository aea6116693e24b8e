"""`GET` and `HEAD /v1/objects/{id}`: one object, or a range of it, under RFC 9110's rules.

The entity tag is the object's id: what an id stands for never changes. So conditions are settled before the keeper
is asked, and one request is one question – a DPoP proof holds for one only.
"""

from __future__ import annotations

import re
import urllib.parse

from keten.core.errors import KetenError
from keten.gateway.accesses import Accesses
from keten.gateway.call import NO_STORE, Call
from keten.gateway.delivery import INLINE, Delivery
from keten.gateway.problems import Headers, Problem
from keten.gateway.ranges import WHOLE, etag_is_same, etag_matches, honours_range, parse_range
from keten.keeper.protocol import Caller, ObjectInfo

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+\Z")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]")


async def serve_object(call: Call, accesses: Accesses, caller: Caller) -> None:
    """Serve one request for an object.

    1. Settle the conditions: `If-Match`, `If-None-Match`, `If-Range`, `Range` (RFC 9110 §13.2.2).
    2. Without content to give, ask the keeper to describe: recorded, charged nothing, no key.
    3. Else ask it to open: proof, decision, budget, entry, key.
    4. Deliver; how it ended is reported in any case.
    """
    object_id = call.parameter("id")
    etag = f'"{object_id}"'
    if_match = call.joined(b"if-match")
    other = if_match is not None and not etag_is_same(if_match, etag)
    if_none_match = call.joined(b"if-none-match")
    unchanged = if_none_match is not None and etag_matches(if_none_match, etag)
    span = WHOLE
    if call.method == "GET" and honours_range(call.joined(b"if-range"), etag):
        span = parse_range(call.joined(b"range"))
    if call.method == "HEAD" or other or unchanged or span.empty:
        opened = await accesses.describe(caller, object_id)
        headers = _headers(opened.info, opened.opening, opened.index)
        if other:
            raise Problem("precondition", headers=_entry(opened.opening, opened.index))
        if unchanged:
            await call.start(304, headers)
            await call.content(b"")
        elif span.empty:
            beyond = (b"content-range", b"bytes */%d" % opened.info.size)
            raise Problem("range", headers=[beyond, *_entry(opened.opening, opened.index)])
        else:
            length = (b"content-length", b"%d" % opened.info.size)
            await call.start(200, [*headers, *_content_headers(opened.info), length])
            await call.content(b"")
        return
    delivery = await accesses.open(caller, object_id, call.connection, span.start, span.length)
    try:
        await _deliver(call, delivery, partial=span.partial)
    finally:
        delivery.finish("failed")  # only if it has not ended: an error of ours, or a gateway that stops


async def _deliver(call: Call, delivery: Delivery, *, partial: bool) -> None:
    """Send an access's bytes. What is damaged before the first byte is a 500; later the connection is reset."""
    if delivery.end:
        return  # cut before its first byte: the connection is reset
    info = delivery.info
    headers = [*_headers(info, delivery.opening, delivery.index), *_content_headers(info)]
    headers.append((b"content-length", b"%d" % delivery.length))
    partial = partial and delivery.length > 0  # an empty object has no ranges: it is served whole
    if partial:
        last = delivery.start + delivery.length - 1
        headers.append((b"content-range", b"bytes %d-%d/%d" % (delivery.start, last, info.size)))
    status = 206 if partial else 200
    if delivery.length <= INLINE:
        body = delivery.whole()
        await call.start(status, headers)
        if await _give(call, delivery, body):
            await _complete(call, delivery)
    else:
        try:
            await _stream(call, delivery, status, headers)
        except KetenError:
            if not call.started:
                raise
            call.connection.cut("damaged")


async def _stream(call: Call, delivery: Delivery, status: int, headers: Headers) -> None:
    async for piece in delivery.pieces():
        if not call.started:
            await call.start(status, headers)
        if not await _give(call, delivery, piece):
            return
    if not delivery.end:
        await _complete(call, delivery)


async def _complete(call: Call, delivery: Delivery) -> None:
    """Wait until the kernel has everything, and only then let the connection's next request begin."""
    await delivery.complete()
    await call.content(b"")


async def _give(call: Call, delivery: Delivery, piece: bytes | memoryview) -> bool:
    """Write a piece once there is room; whether it was written. Only then is it counted as handed over."""
    delivery.wait()
    await call.content(piece, more=True)
    if delivery.end or call.connection.is_lost:
        return False
    delivery.hand(len(piece))
    return True


def _headers(info: ObjectInfo, opening: str, index: int) -> Headers:
    """Headers of every answer about an object, also without content."""
    return [
        (b"etag", f'"{info.id}"'.encode("latin-1")),
        *_entry(opening, index),
        NO_STORE,
    ]


def _entry(opening: str, index: int) -> Headers:
    return [(b"keten-entry", opening.encode("latin-1")), (b"keten-entry-index", b"%d" % index)]


def _content_headers(info: ObjectInfo) -> Headers:
    media_type = info.media_type if _MEDIA_TYPE.match(info.media_type) else "application/octet-stream"
    return [
        (b"content-type", media_type.encode("ascii")),
        (b"content-disposition", disposition(info.name)),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        (b"accept-ranges", b"bytes"),
        (b"repr-digest", info.digest.encode("latin-1")),
    ]


def disposition(name: str) -> bytes:
    """`Content-Disposition` for a file name (RFC 6266, RFC 8187): a plain fallback, and the name itself escaped."""
    plain = _NOT_PLAIN.sub("_", name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{urllib.parse.quote(name, safe='!#$&+.^_`|~')}"
    return header.encode("ascii")
