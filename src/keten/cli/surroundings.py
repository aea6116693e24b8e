"""What a command finds around it, read from the environment by `keten.app` and handed to every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from keten.core.errors import Invalid, Unavailable
from keten.core.settings import Settings


class Surroundings(msgspec.Struct, frozen=True):
    """home: KETEN_HOME, or "". config: the user's folder for logins. language: "nl" or "en".

    proxies: "https": the proxy for it; "no": hosts that are reached without one (as urllib.request has them).
    """

    home: str
    config: Path
    language: str
    proxies: dict[str, str]
    settings: Callable[[Path], Settings]

    def folder(self, home: str) -> Path:
        """The instance's folder: `--home`, or else KETEN_HOME. `Invalid` when neither is given."""
        named = home or self.home
        if not named:
            raise Invalid("no-home", "Say which instance: --home DIR, or set KETEN_HOME.")
        return Path(named).absolute()

    def instance(self, home: str) -> Settings:
        """The settings of an instance that is there. Raises `Invalid`, `Unavailable` ("not-an-instance")."""
        folder = self.folder(home)
        if not (folder / "ledger" / "key.pub").is_file():
            raise Unavailable("not-an-instance", f"{folder} is not an instance; 'keten init --home DIR' makes one.")
        return self.settings(folder)
