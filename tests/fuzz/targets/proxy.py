"""PROXY protocol v2: an address as the standard library writes it, nobody, or an error; never anything else."""

from __future__ import annotations

import ipaddress
import struct

from keten.gateway.addresses import (
    MAX_PROXY_BYTES,
    PROXY_HEADER_BYTES,
    PROXY_SIGNATURE,
    ProxyError,
    proxied_address,
    proxy_rest,
)
from tests.fuzz.target import Target

V4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 5000, 443)
V6 = ipaddress.ip_address("2001:db8::7").packed + bytes(16) + struct.pack(">HH", 5000, 443)
MAPPED = ipaddress.ip_address("::ffff:192.0.2.7").packed + bytes(16) + struct.pack(">HH", 5000, 443)


def header(command: int, family: int, rest: bytes) -> bytes:
    return PROXY_SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


def check(data: bytes) -> bool:
    if len(data) < PROXY_HEADER_BYTES:
        return False
    head = data[:PROXY_HEADER_BYTES]
    try:
        count = proxy_rest(head)
        assert 0 <= count <= MAX_PROXY_BYTES
        rest = data[PROXY_HEADER_BYTES:][:count]
        if len(rest) < count:
            return False
        address = proxied_address(head, rest)
    except ProxyError:
        return False
    assert head.startswith(PROXY_SIGNATURE)
    if address is None:
        assert head[12] == 0x20, "the proxy speaks for itself"
    else:
        found = ipaddress.ip_address(address)
        assert str(found) == address
        assert getattr(found, "ipv4_mapped", None) is None, "an IPv4 address is written as one"
        assert found.packed in rest[:16]
    return True


TARGET = Target(
    "proxy",
    check,
    lambda: [
        header(0x21, 0x11, V4),
        header(0x21, 0x21, V6 + b"\x04\0\x01x"),
        header(0x21, 0x21, MAPPED),
        header(0x20, 0, b""),
    ],
    words=(PROXY_SIGNATURE, b"\x21\x11", b"\x20\0", b"\0\x0c", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
)
