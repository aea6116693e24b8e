"""Headers that name whom a proxy speaks for: an address that is no proxy's, or nobody."""

from __future__ import annotations

import ipaddress

from keten.core.addresses import forwarded_address, networks, within
from tests.fuzz.target import Target

PROXIES = networks(("10.0.0.0/8", "fd00::/8"))


def check(data: bytes) -> bool:
    lines = data.decode("latin-1").split("\n")
    address = forwarded_address(lines, PROXIES)
    if address is None:
        return False
    assert str(ipaddress.ip_address(address)) == address
    assert not within(address, PROXIES)
    assert forwarded_address([*lines, "10.1.2.3"], PROXIES) == address, "a trusted proxy in front changes nothing"
    assert forwarded_address([address, *lines], PROXIES) == address, "what a client says beforehand does not count"
    return True


TARGET = Target(
    "forwarded",
    check,
    lambda: [b"192.0.2.7", b"1.2.3.4, 192.0.2.7:5000, 10.0.0.1", b"[2001:db8::7]:443\nfd00::1", b"::ffff:192.0.2.7"],
    words=(b"10.0.0.1", b"fd00::1", b"::ffff:10.0.0.1", b"%eth0", b"unknown", b"[", b"]", b", ", b"for="),
)
