"""The organisation's own lists of bad networks: text files, one network or address a line, comments after `#`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from keten.core.errors import Invalid

MOST_BYTES = 64 * 1024 * 1024
MOST_NETWORKS = 1_000_000
LONGEST_LINE = 256
NAMED = 5
"""How many wrong lines an error names."""
WIDEST = {4: 8, 6: 16}
"""The shortest prefix: a wider one would call half of the world bad, by mistake or by somebody's will."""
_MAPPED_BITS = 96  # ::ffff:0:0/96 holds the whole of IPv4 (RFC 4291 §2.5.5.2)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Found = tuple[tuple[int, int, int], ...]
"""For each file its inode, time of change (nanoseconds) and size; zeros for one that is not there."""


class BadNetworks:
    """A set of networks, to be asked for addresses."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._count = 0
        self._by_prefix: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in networks:
            self._count += 1
            number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._by_prefix[network.version].setdefault(network.prefixlen, set()).add(number)

    def __len__(self) -> int:
        return self._count

    @classmethod
    def read(cls, paths: Sequence[Path]) -> BadNetworks:
        """Read lists. Raises `Invalid` ("settings"): a file can't be read, is too large, or has lines that are none.

        The first wrong lines are named with their numbers.
        """
        networks: list[Network] = []
        for path in paths:
            networks += _read(path)
            if len(networks) > MOST_NETWORKS:
                raise _unusable(path, f"there are more than {MOST_NETWORKS:,} networks in the lists")
        return cls(networks)

    def holds(self, address: str) -> bool:
        """Whether an address is in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4."""
        if not self._count:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number, bits = int(parsed), parsed.max_prefixlen
        return any(number >> (bits - prefix) in found for prefix, found in self._by_prefix[parsed.version].items())


def look(paths: Iterable[Path]) -> Found:
    """How the files are now, to see when one changes."""
    found: list[tuple[int, int, int]] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _read(path: Path) -> Iterator[Network]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _unusable(path, f"it is larger than {MOST_BYTES:,} bytes")
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from error
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                yield read_network(text)
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise _unusable(path, "; ".join(wrong[:NAMED]) + more)


def read_network(text: str) -> Network:
    """One network or address; an IPv4 network mapped into IPv6 counts as IPv4.

    Raises `ValueError` that shows no more of the text than is safe to print.
    """
    if len(text) > LONGEST_LINE:
        raise ValueError(f"{len(text)} characters are no network")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text[:60]!a} is not a network such as 192.0.2.0/24") from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            network = ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    if network.prefixlen < WIDEST[network.version]:
        raise ValueError(f"{text!a} is too wide: at least /{WIDEST[network.version]}")
    return network


def _unusable(path: Path, why: str) -> Invalid:
    return Invalid("settings", f"The list of bad networks {path} can't be used: {why}.")
