"""IP addresses and networks in one spelling, and whom a proxy's header names, for every face behind a proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
