"""What a form said, once it is certain that it came from a page of this site (CSRF), and where to go after."""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qsl

from starlette.requests import Request

from keten.core.errors import Denied, Invalid
from keten.pages import uploads
from keten.pages.visits import Site, Visit

MOST_BYTES = 262_144
MOST_FIELDS = 200
MOST_PATH = 200
_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+\Z")
_TYPE = "application/x-www-form-urlencoded"


async def form_of(
    site: Site, visit: Visit, request: Request, most: int = MOST_BYTES, *, files: bool = False
) -> dict[str, str]:
    """The fields of a form, each at most once. most: bytes of it, as it is sent. files: it may hold files, as text.

    1. The browser says where the form is from: `Sec-Fetch-Site` (Fetch Metadata) must be "same-origin" where it is
       said at all, and `Origin` (RFC 6454 §7) must be this site's. One without it is refused: browsers say it with
       every POST.
    2. It is a form of moderate size, with no field twice.
    3. Its token is the one that this browser's pages carry, with this session (`visits.py`): no other site can know it.

    Raises `Denied` ("foreign-form"), `Invalid` ("form", "form-size").
    """
    fetched = request.headers.get("sec-fetch-site", "same-origin")  # 1
    if fetched != "same-origin" or request.headers.get("origin", "").lower() != site.origin.lower():
        raise Denied("foreign-form", "This form did not come from a page of this site.")
    said = request.headers.get("content-type", "")  # 2
    kind = said.partition(";")[0].strip().lower()
    if kind != _TYPE and not (files and kind == uploads.TYPE):
        raise Invalid("form", "This is not a form.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise Invalid("form-size", "This form is too large.")
    try:
        if kind == uploads.TYPE:
            pairs = uploads.fields(said, bytes(body), MOST_FIELDS)
        else:
            pairs = parse_qsl(bytes(body).decode("ascii"), True, True, "utf-8", "strict", MOST_FIELDS)
    except ValueError as error:  # UnicodeDecodeError is one
        raise Invalid("form", "This form cannot be read.", str(error)) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Invalid("form", "This form has a field twice.")
    if not hmac.compare_digest(fields.pop("token", "").encode(), visit.token.encode()):  # 3
        raise Denied("foreign-form", "This form did not come from a page of this site.")
    return fields


def safe_next(wanted: str, start: str = "") -> str:
    """Where to go after signing in: a path of this site, below its language; `start` for anything else.

    Only plain paths as this site's own are: no host, no scheme, no backslash, no control, nothing encoded.
    """
    return wanted if _PATH.match(wanted) and len(wanted) <= MOST_PATH else start
