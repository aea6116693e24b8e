from __future__ import annotations

import pytest
from msgspec.structs import replace

from keten.app import with_binds
from keten.cli.up.binds import binds
from keten.core.errors import Invalid
from keten.core.listening import split_bind
from keten.core.settings import Listener, Settings


def test_option_then_setting_then_default() -> None:
    settings = replace(Settings(), sftp=Listener(bind="192.0.2.1:22"), console=Listener(bind="off"))
    found = binds(settings, "0.0.0.0:443", "", "")
    assert (found.gateway, found.sftp, found.console) == ("0.0.0.0:443", "192.0.2.1:22", "off")
    assert binds(Settings(), "", "", "").gateway == "127.0.0.1:8443"


def test_what_is_off_is_not_bound() -> None:
    found = with_binds(Settings(), gateway="127.0.0.1:0", sftp="off")
    assert (found.gateway.bind, found.sftp.bind, found.console.bind) == ("127.0.0.1:0", "", "127.0.0.1:8080")


@pytest.mark.parametrize("bind", ["", "host", ":", "host:", "host:x", "host:65536", "host:-1", "::1:80", "host:٣"])
def test_what_is_no_bind(bind: str) -> None:
    with pytest.raises(Invalid, match=r"HOST:PORT|brackets"):
        split_bind(bind)
    if bind:
        with pytest.raises(Invalid, match="--gateway"):
            binds(Settings(), bind, "", "")


@pytest.mark.parametrize(
    ("bind", "expected"), [("[::1]:0", ("::1", 0)), (":8443", ("", 8443)), ("example.org:1", ("example.org", 1))]
)
def test_host_and_port(bind: str, expected: tuple[str, int]) -> None:
    assert split_bind(bind) == expected
