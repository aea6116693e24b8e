"""What the keeper has the worker fetch from the organisation's OpenID Connect provider, on the worker's own socket.

The keeper speaks to nobody outside, and the worker decides nothing: it carries one question there and one answer back.
"""

from __future__ import annotations

import msgspec

MAX_BODY = 256 * 1024
MAX_FRAME = MAX_BODY + 64 * 1024
FETCH_SECONDS = 6.0
"""For one question, from looking up the name to the last byte, however little comes at a time."""


class Fetch(msgspec.Struct, frozen=True):
    """One request. form: as `application/x-www-form-urlencoded`, sent by POST; "": GET. authorization: that header."""

    url: str
    form: str = ""
    authorization: str = ""


class Fetched(msgspec.Struct, frozen=True):
    """The answer, read whole. kind: its media type. date: its Date header, as sent. A redirect is not followed."""

    status: int
    kind: str
    body: bytes
    date: str = ""


FETCH_VERBS: dict[str, tuple[type, type]] = {"provider.fetch": (Fetch, Fetched)}
