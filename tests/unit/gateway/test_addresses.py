"""Whose a connection is: PROXY protocol v2 and headers from trusted proxies, and nobody else's word."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.addresses import forwarded_address, networks, normal_address, within
from keten.gateway.addresses import (
    PROXY_HEADER_BYTES,
    PROXY_SIGNATURE,
    ProxyError,
    proxied_address,
    proxy_rest,
)

PROXIES = networks(("10.0.0.0/8", "fd00::/8"))


def header(command: int, family: int, rest: bytes) -> bytes:
    return PROXY_SIGNATURE + struct.pack(">BBH", command, family, len(rest))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ],
)
def test_an_address_has_one_spelling(text: str, normal: str) -> None:
    assert normal_address(text) == normal


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2.256", "192.0.2.1:80", "0x7f000001", "127.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        normal_address(text)


def test_proxy_v2_names_the_client() -> None:
    rest = socket.inet_aton("192.0.2.7") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 1234, 443)
    assert proxied_address(header(0x21, 0x11, rest), rest) == "192.0.2.7"
    rest = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7") + bytes(16) + struct.pack(">HH", 1234, 443)
    assert proxied_address(header(0x21, 0x21, rest + b"tlv"), rest + b"tlv") == "192.0.2.7"


def test_a_health_check_is_the_proxy_itself() -> None:
    assert proxied_address(header(0x20, 0x00, b""), b"") is None


@pytest.mark.parametrize(
    ("command", "family", "rest"),
    [
        (0x21, 0x11, b"short"),
        (0x21, 0x21, bytes(35)),
        (0x21, 0x00, b""),  # unspecified: no address, so nobody known
        (0x21, 0x31, bytes(216)),  # a Unix socket
        (0x21, 0x12, bytes(12)),  # UDP
        (0x11, 0x11, bytes(12)),  # another version
        (0x2F, 0x11, bytes(12)),  # another command
    ],
)
def test_what_is_not_understood_is_refused(command: int, family: int, rest: bytes) -> None:
    with pytest.raises(ProxyError):
        proxied_address(header(command, family, rest), rest)


@given(st.binary(min_size=PROXY_HEADER_BYTES, max_size=PROXY_HEADER_BYTES))
def test_other_bytes_are_no_header(head: bytes) -> None:
    if not head.startswith(PROXY_SIGNATURE):
        with pytest.raises(ProxyError):
            proxy_rest(head)


def test_a_huge_header_is_refused() -> None:
    with pytest.raises(ProxyError):
        proxy_rest(PROXY_SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 65_535))


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),  # what the client wrote itself is to the left
        (["6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1:4711"], "192.0.2.1"),
        (["[2001:db8::9]:443, fd00::1"], "2001:db8::9"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["10.0.0.1, 10.0.0.2"], None),
        ([], None),
        ([""], None),
        (["192.0.2.1, unknown"], None),
        (["192.0.2.1, <script>"], None),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(values: list[str], client: str | None) -> None:
    assert forwarded_address(values, PROXIES) == client


def test_within_compares_like_with_like() -> None:
    assert within("10.1.2.3", PROXIES)
    assert not within("11.0.0.1", PROXIES)
    assert not within("2001:db8::1", PROXIES)
