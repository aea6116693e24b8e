"""Comparing a proof's `htu` with the address that was asked for (RFC 9449 §4.3 step 9, RFC 3986 §6.2.2 and §6.2.3)."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_URL = 2048
_PARTS = re.compile(r"(https?)://([^/?#]*)([^?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?\Z")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*\Z")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def same_resource(htu: str, url: str) -> bool:
    """Whether both are the same http or https address, query and fragment left aside."""
    if htu == url.partition("?")[0].partition("#")[0] and htu:
        return normal_url(htu) is not None
    normal = normal_url(htu)
    return normal is not None and normal == normal_url(url)


@lru_cache(4096)  # a client asks for one address several times: ranges, a resumed download
def normal_url(url: str) -> str | None:
    """The normal form of an http or https address without query and fragment; None when it is not one.

    1. Scheme and host in lower case; no user name or password in it.
    2. Escapes: unreserved characters written out, the others with upper-case digits.
    3. No dot segments; an empty path is "/".
    4. The scheme's default port, and an empty one, left out.
    """
    if len(url) > MAX_URL or not url.isascii():
        return None
    parts = _PARTS.match(url)
    if parts is None:
        return None
    authority = _AUTHORITY.match(parts[2])
    path = parts[3]
    if authority is None or not _PATH.match(path):
        return None
    scheme = parts[1].lower()  # 1
    host = _escapes(authority[1]).lower() if "%" in authority[1] else authority[1].lower()
    port = str(int(authority[2])) if authority[2] else ""
    if port and int(port) > 65_535:
        return None
    if "%" in path:
        path = _escapes(path)  # 2
    if "/." in path:
        path = _without_dots(path)  # 3
    where = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""  # 4
    return f"{scheme}://{host}{where}{path or '/'}"


def _escapes(text: str) -> str:
    def one(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 16))
        return character if character in _UNRESERVED else f"%{escape[1].upper()}"

    return _ESCAPE.sub(one, text)


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4 for a path that begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)
