"""`keten.toml`: settings, or one error that says what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keten.core.errors import Invalid
from keten.core.settings import Settings, load_settings
from tests.fuzz.target import Target, refused

FULL = b"""\
[geo]
networks = {"10.0.0.0/8" = "NL"}
[gateway]
bind = "127.0.0.1:8443"
public_url = "https://delen.example"
trusted_proxies = ["10.0.0.1"]
proxy = "X-Forwarded-For"
[keeper]
reserve_bytes = 1_000_000
[limits]
connections = 10
"""


def check(data: bytes) -> bool:
    with tempfile.TemporaryDirectory(prefix="keten-fuzz-") as folder:
        (Path(folder) / "keten.toml").write_bytes(data)
        try:
            found = load_settings(Path(folder), {})
        except Invalid as error:
            return refused(error, "settings")
    assert isinstance(found, Settings)
    assert found.home == folder
    assert bool(found.gateway.proxy) == bool(found.gateway.trusted_proxies)
    return True


TARGET = Target(
    "settings-file",
    check,
    lambda: [FULL, b""],
    words=(
        b"= ",
        b"[[a]]",
        b"x = " + b"[" * 2000,
        b"{a=" * 30,
        b"1979-13-40",
        b"x = " + b"9" * 5000,
        b'"""',
        b"inf",
        b"0x",
        b"nan",
        b"home = 1",
    ),
    longest=8000,
    calls=(200, 50_000),
)
