"""Writes small databases in the MaxMind DB format 2.0, for tests of lookups. Only what the tests need of it."""

from __future__ import annotations

import ipaddress
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
Record = dict[str, Any]


def _control(kind: int, size: int) -> bytes:
    """Control byte(s) of a field; sizes below 29 only."""
    assert size < 29
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])


def encode(value: object) -> bytes:
    """A value of the data section: map (7), string (2), array (11), uint16 (5), uint32 (6), uint64 (9)."""
    if isinstance(value, dict):
        return _control(7, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, str):
        raw = value.encode()
        return _control(2, len(raw)) + raw
    if isinstance(value, list):
        return _control(11, len(value)) + b"".join(encode(item) for item in value)
    assert isinstance(value, int)
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(6 if len(raw) <= 4 else 9, len(raw)) + raw


def database(networks: dict[str, Record]) -> bytes:
    """An IPv6 tree (IPv4 networks below ::/96) with 24-bit records."""
    tree: list[list[int | str | None]] = [[None, None]]
    for text in sorted(networks, key=lambda one: ipaddress.ip_network(one).prefixlen):
        network = ipaddress.ip_network(text)
        prefix = network.prefixlen + (96 if network.version == 4 else 0)
        bits = f"{int(network.network_address):0128b}"[:prefix]
        node = 0
        for bit in bits[:-1]:
            below = tree[node][int(bit)]
            if not isinstance(below, int):
                tree.append([below, below])  # a wider network's answer holds for both halves
                below = tree[node][int(bit)] = len(tree) - 1
            node = below
        tree[node][int(bits[-1])] = text
    count = len(tree)
    data, places = b"", {}
    for text, record in networks.items():
        places[text] = count + 16 + len(data)
        data += encode(record)
    out = b""
    for pair in tree:
        for record_ in pair:
            value = count if record_ is None else places[record_] if isinstance(record_, str) else record_
            out += value.to_bytes(3, "big")
    metadata = {
        "node_count": count,
        "record_size": 24,
        "ip_version": 6,
        "database_type": "Test-Country",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "description": {"en": "test"},
    }
    return out + bytes(16) + data + MARKER + encode(metadata)
