"""Where the organisation's own databases are: `[systems.NAME]` of `keten.toml`. Loads nothing that a database needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from keten.core.errors import Invalid, Unavailable
from keten.core.places import SCHEMES, has_password

FILE_SCHEME = "sqlite"
MOST_CONNECTIONS = 64
MOST_SECONDS = 30
"""A lookup waits no longer: whoever asked over HTTPS has gone by then."""
_SECONDS = re.compile(r"([1-9][0-9]?)s\Z")


class SystemPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a system of the estate is, for the connector.

    url: "postgresql://USER@HOST/NAME?sslmode=verify-full", or "sqlite:///FOLDER/FILE". password_file: a file that holds
    the password and nothing else, that only its owner may read; named from the instance's folder. timeout: how long one
    lookup may take there. connections: how many lookups it is asked at once.
    """

    url: str
    password_file: str = ""
    timeout: str = "3s"
    connections: int = 4

    @property
    def kind(self) -> str:
        """Postgres or sqlite, as the register calls it."""
        return "sqlite" if self.url.partition(":")[0] == FILE_SCHEME else "postgres"

    @property
    def seconds(self) -> float:
        """How long one lookup may take."""
        return float(self.timeout[:-1])

    def file(self, home: Path) -> Path:
        """The file of SQLite's. A path that does not begin with a slash is named from the instance's folder."""
        return home / unquote(urlsplit(self.url).path)

    def password(self, home: Path) -> str:
        """What is in the file; "" where none is named.

        Raises `Unavailable` ("password-file") when it can't be read, or others may read it.
        """
        if not self.password_file:
            return ""
        path = home / self.password_file
        try:
            mode = path.stat().st_mode
            found = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable("password-file", f"The password file {path} cannot be read.", str(error)) from error
        if mode & 0o077:
            raise Unavailable("password-file", f"Others may read the password file {path}: chmod 600.")
        return found


def check_systems(systems: Mapping[str, SystemPlace], path: str) -> None:
    """Raises `Invalid` ("settings"), which names `path`, for the first that can't be."""
    for name, place in systems.items():
        where = f"{path}: [systems.{name}]"
        scheme = place.url.partition(":")[0]
        if scheme not in (*SCHEMES, FILE_SCHEME):
            raise Invalid("settings", f"{where} url begins with postgresql:// or sqlite:.")
        try:
            secret = has_password(place.url)
            parts = urlsplit(place.url)
        except (Invalid, ValueError) as error:
            raise Invalid("settings", f"{where} url is no URL.") from error
        if secret:
            raise Invalid("settings", f"{where} url holds a password, and everyone may read it: give 'password_file'.")
        if scheme == FILE_SCHEME and (parts.netloc or parts.query or parts.fragment or not parts.path):
            raise Invalid("settings", f"{where} url is sqlite:///FOLDER/FILE, or sqlite:FILE in the instance's folder.")
        if scheme == FILE_SCHEME and place.password_file:
            raise Invalid("settings", f"{where} a file of SQLite's has no password.")
        if not _SECONDS.match(place.timeout) or place.seconds > MOST_SECONDS:
            raise Invalid("settings", f"{where} timeout is of 1s to {MOST_SECONDS}s, such as 3s.")
        if not 1 <= place.connections <= MOST_CONNECTIONS:
            raise Invalid("settings", f"{where} connections is 1 to {MOST_CONNECTIONS}.")
