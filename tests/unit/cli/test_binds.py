from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from keten.app import with_binds
from keten.cli.up.binds import binds, certificate_hosts, split
from keten.cli.up.certificate import missing, read
from keten.core.errors import Corrupt, Invalid
from keten.core.settings import Listener, Settings
from keten.keeper.certificates import create_authority, issue


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
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        split(bind)
    if bind:
        with pytest.raises(Invalid, match="--gateway"):
            binds(Settings(), bind, "", "")


@pytest.mark.parametrize(
    ("bind", "expected"), [("[::1]:0", ("::1", 0)), (":8443", ("", 8443)), ("example.org:1", ("example.org", 1))]
)
def test_host_and_port(bind: str, expected: tuple[str, int]) -> None:
    assert split(bind) == expected


def test_hosts_for_the_certificate() -> None:
    public = replace(Settings(), gateway=Listener(public_url="https://files.example:8443"))
    assert certificate_hosts(public, "192.0.2.1:8443") == ("files.example", "192.0.2.1")
    everywhere = certificate_hosts(public, "0.0.0.0:8443")
    assert everywhere[0] == "files.example"
    assert {"localhost", "127.0.0.1", "::1", socket.gethostname()} <= set(everywhere)


def test_which_hosts_a_certificate_lacks(tmp_path: Path) -> None:
    made = issue(create_authority("test"), ("Files.Example", "192.0.2.1", "::1"))
    (tmp_path / "tls.pem").write_bytes(made.certificate)
    known = read(tmp_path / "tls.pem")
    assert (known.ends - datetime.now(UTC)).days >= 363
    assert missing(known, ("files.example.", "192.0.2.1", "[0:0::1]")) == ()
    assert missing(known, ("other.example", "192.0.2.2")) == ("other.example", "192.0.2.2")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_bytes(content)
    with pytest.raises(Corrupt):
        read(tmp_path / "tls.pem")
