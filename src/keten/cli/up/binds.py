"""Where the listeners bind."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid
from keten.core.listening import split_bind
from keten.core.settings import Settings

OFF = "off"
DEFAULTS = {"gateway": "127.0.0.1:8443", "sftp": "127.0.0.1:2222", "console": "127.0.0.1:8080", "portal": OFF}
"""The portal is off: without a host name and a certificate nobody outside could sign in there."""


class Binds(msgspec.Struct, frozen=True):
    """HOST:PORT of each listener, or "off"."""

    gateway: str
    sftp: str
    console: str
    portal: str


def binds(settings: Settings, gateway: str, sftp: str, console: str, portal: str = "") -> Binds:
    """What was given on the command line, else what the settings say, else the default. Raises `Invalid` ("bind")."""
    return Binds(
        _bind("--gateway", gateway or settings.gateway.bind or DEFAULTS["gateway"]),
        _bind("--sftp", sftp or settings.sftp.bind or DEFAULTS["sftp"]),
        _bind("--console", console or settings.console.bind or DEFAULTS["console"]),
        _bind("--portal", portal or settings.portal.bind or DEFAULTS["portal"]),
    )


def _bind(option: str, value: str) -> str:
    if value == OFF:
        return OFF
    try:
        split_bind(value)
    except Invalid as error:
        raise Invalid("bind", f"{option} {error.public}") from error
    return value
