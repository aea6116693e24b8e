"""Where the listeners bind."""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid
from keten.core.settings import Settings

OFF = "off"
DEFAULTS = {"gateway": "127.0.0.1:8443", "sftp": "127.0.0.1:2222", "console": "127.0.0.1:8080"}


class Binds(msgspec.Struct, frozen=True):
    """HOST:PORT of each listener, or "off"."""

    gateway: str
    sftp: str
    console: str


def binds(settings: Settings, gateway: str, sftp: str, console: str) -> Binds:
    """What was given on the command line, else what the settings say, else the default. Raises `Invalid` ("bind")."""
    return Binds(
        _bind("--gateway", gateway or settings.gateway.bind or DEFAULTS["gateway"]),
        _bind("--sftp", sftp or settings.sftp.bind or DEFAULTS["sftp"]),
        _bind("--console", console or settings.console.bind or DEFAULTS["console"]),
    )


def split(bind: str) -> tuple[str, int]:
    """Host and port of HOST:PORT or [IPv6]:PORT. Raises `ValueError`."""
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError("write HOST:PORT, such as 127.0.0.1:8443; port 0 picks a free one; 'off' leaves it out")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8443")
    return host, int(port)


def _bind(option: str, value: str) -> str:
    if value == OFF:
        return OFF
    try:
        split(value)
    except ValueError as error:
        raise Invalid("bind", f"{option} {value!r}: {error}.") from error
    return value
