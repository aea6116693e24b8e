"""Where a database is: a file of SQLite's, or a server of PostgreSQL's. Loads nothing that a database needs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from keten.core.errors import Invalid

SCHEMES = ("postgresql", "postgres")


class Server(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A database on a server. url: "postgresql://USER@HOST/NAME…" (libpq's form, §34.1.1.2 of its manual).

    risky: also on a server that may lose or tear what it said is committed; for trying out only.
    """

    url: str
    risky: bool = False

    def __str__(self) -> str:
        """Without a password."""
        parts = urlsplit(self.url)
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"

    __repr__ = __str__


Place = Path | Server


def place_of(url: str, *, risky: bool = False) -> Server:
    """The place that a URL names. Raises `Invalid` ("settings") for another kind of URL."""
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES or "://" not in url:
        raise Invalid("settings", "[database] url: it must begin with postgresql:// (left out: a file).")
    return Server(url, risky)


def has_password(url: str) -> bool:
    """Whether a URL holds a password, where a user's would be or among its parameters. Raises `Invalid`."""
    try:
        parts = urlsplit(url)
        return parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError as error:
        raise Invalid("settings", f"[database] {url!r:.60} is no URL: {error}.") from error
