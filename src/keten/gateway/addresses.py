"""Who a connection is from: the peer itself, or whom a trusted proxy names (docs/architecture.md, behind a proxy).

What a proxy says counts only when the connection comes from one of `trusted_proxies`; anybody else is a direct peer,
and the header that they send is only a header.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence

PROXY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_HEADER_BYTES = 16
MAX_PROXY_BYTES = 2048  # addresses and extensions after the fixed part
_FIXED = struct.Struct(">12sBBH")
_LENGTHS = {0x11: 12, 0x21: 36}  # TCP over IPv4, TCP over IPv6: addresses and ports
_LOCAL, _PROXY = 0x20, 0x21

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyError(ValueError):
    """A trusted proxy did not speak PROXY protocol v2."""


def normal_address(text: str) -> str:
    """An IP address in its one spelling: no zone, an IPv4-mapped one as IPv4. `ValueError` when it is none."""
    address = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks from settings that were checked when they were read."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def within(address: str, nets: Sequence[Network]) -> bool:
    """Whether an address is in one of some networks."""
    found = ipaddress.ip_address(address)
    return any(found in net for net in nets if net.version == found.version)


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


def forwarded_address(values: Sequence[str], proxies: Sequence[Network]) -> str | None:
    """The client in a header such as X-Forwarded-For: the last address that is no trusted proxy.

    None when there is none or the list holds something else than addresses to the right of it.
    """
    for item in reversed(",".join(values).split(",")):
        text = item.strip()
        if text.count(":") == 1:  # IPv4 with a port
            text = text.partition(":")[0]
        elif text.startswith("["):
            text = text[1:].partition("]")[0]
        try:
            address = normal_address(text)
        except ValueError:
            return None
        if not within(address, proxies):
            return address
    return None
