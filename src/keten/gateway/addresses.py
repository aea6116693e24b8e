"""Who a connection is from: the peer itself, or whom a trusted proxy names (docs/architecture.md, behind a proxy).

What a proxy says counts only when the connection comes from one of `trusted_proxies`; anybody else is a direct peer,
and the header that they send is only a header.
"""

from __future__ import annotations

import socket
import struct

from keten.core.addresses import normal_address

PROXY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_HEADER_BYTES = 16
MAX_PROXY_BYTES = 2048  # addresses and extensions after the fixed part
_FIXED = struct.Struct(">12sBBH")
_LENGTHS = {0x11: 12, 0x21: 36}  # TCP over IPv4, TCP over IPv6: addresses and ports
_LOCAL, _PROXY = 0x20, 0x21


class ProxyError(ValueError):
    """A trusted proxy did not speak PROXY protocol v2."""


def proxy_rest(head: bytes) -> int:
    """How many bytes follow the fixed part of a PROXY protocol v2 header. `ProxyError` when it is not one."""
    signature, _command, _family, rest = _FIXED.unpack(head)
    if signature != PROXY_SIGNATURE or rest > MAX_PROXY_BYTES:
        raise ProxyError("no PROXY protocol v2 header")
    return int(rest)


def proxied_address(head: bytes, rest: bytes) -> str | None:
    """The client's address in a PROXY v2 header; None when the proxy speaks for itself (health checks).

    "The PROXY protocol", versions 1 and 2, §2.2. `ProxyError` for what is not understood: such a client is unknown.
    """
    _signature, command, family, _length = _FIXED.unpack(head)
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyError("a PROXY command that is not known")
    needed = _LENGTHS.get(family)
    if needed is None or len(rest) < needed:
        raise ProxyError("a PROXY address that is not TCP")
    if family == 0x11:
        return normal_address(socket.inet_ntop(socket.AF_INET, rest[:4]))
    return normal_address(socket.inet_ntop(socket.AF_INET6, rest[:16]))
