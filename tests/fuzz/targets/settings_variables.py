"""`KETEN_…` variables, `NAME=VALUE` a line: settings, or one error that says what is wrong."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from keten.core.errors import Invalid
from keten.core.settings import load_settings
from tests.fuzz.target import Target, refused, text_of


@functools.cache
def _home() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    held = tempfile.TemporaryDirectory(prefix="keten-fuzz-")
    return held, Path(held.name)


def check(data: bytes) -> bool:
    pairs = (line.partition("=") for line in text_of(data).replace("\0", "").split("\n"))
    variables = {f"KETEN_{name}": value for name, _, value in pairs if name}
    try:
        found = load_settings(_home()[1], variables)
    except Invalid as error:
        return refused(error, "settings")
    return found.home == str(_home()[1])


TARGET = Target(
    "settings-variables",
    check,
    lambda: [
        b"LIMITS__CONNECTIONS=10\nGATEWAY__BIND=127.0.0.1:0",
        b'GATEWAY__TRUSTED_PROXIES=["10.0.0.1"]\nGATEWAY__PROXY=v2\nGATEWAY__PUBLIC_URL=https://a.example',
        b"KEEPER__GATEWAY_USERS=[]\nHOME__X=1",
    ],
    words=(
        b"__",
        b"GEO__NETWORKS={}",
        b"=[",
        b"A__B=" + b"[" * 2000,
        b"A__B=" + b"9" * 5000,
        b"\n",
        b"={}",
        b"LIMITS__",
        b"=nan",
        b"=1979-13-40",
    ),
    longest=8000,
    calls=(300, 50_000),
)
