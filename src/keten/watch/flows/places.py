"""Which supplier an address or a host is of. Answers are remembered, for a log names few of them many times."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from keten.identity.bad_networks import read_network
from keten.watch.flows.model import PlacesOf

MOST_CACHED = 200_000
LONGEST_ADDRESS = 64
LONGEST_HOST = 253


class Place(NamedTuple):
    """A place of a supplier (random id), as the register names it."""

    supplier: str
    name: str


class Places:
    """Where suppliers' systems are. The longest prefix wins, and the longest host. What cannot be read is left out."""

    def __init__(self, suppliers: Iterable[PlacesOf]) -> None:
        self._by_prefix: dict[int, dict[int, dict[int, Place]]] = {4: {}, 6: {}}
        self._hosts: dict[str, Place] = {}
        self._below: dict[str, Place] = {}
        for one in suppliers:
            for text in one.networks:
                self._add(text, one.supplier)
            for host in one.hosts:
                place = Place(one.supplier, host)
                if host.startswith("*."):
                    self._below.setdefault(host[2:], place)
                else:
                    self._hosts.setdefault(host, place)
        self._lengths = {
            version: sorted(prefixes.items(), reverse=True) for version, prefixes in self._by_prefix.items()
        }
        self._cached: dict[str, Place | str | None] = {}

    def __bool__(self) -> bool:
        return bool(self._hosts or self._below or any(self._by_prefix.values()))

    def _add(self, text: str, supplier: str) -> None:
        try:
            network = read_network(text)
        except ValueError:
            return
        number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        found = self._by_prefix[network.version].setdefault(network.prefixlen, {})
        found.setdefault(number, Place(supplier, text))

    def of_address(self, text: str) -> Place | None:
        """The place that an address is in. Raises `ValueError` when it is no address."""
        try:
            found = self._cached[text]
        except KeyError:
            found = self._remember(text)
        if found is not None and not isinstance(found, Place):
            raise ValueError(found)
        return found

    def _remember(self, text: str) -> Place | str | None:
        if len(self._cached) >= MOST_CACHED:
            self._cached.clear()
        try:
            found: Place | str | None = self._find(text)
        except ValueError:
            found = "no address"
        if len(text) <= LONGEST_ADDRESS:
            self._cached[text] = found
        return found

    def _find(self, text: str) -> Place | None:
        if len(text) > LONGEST_ADDRESS:
            raise ValueError("too long for an address")
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number, bits = int(address), address.max_prefixlen
        for prefix, networks in self._lengths[address.version]:
            found = networks.get(number >> (bits - prefix))
            if found is not None:
                return found
        return None

    def of_host(self, text: str) -> Place | None:
        """The place that a host is, or that it is below of."""
        host = text.lower().rstrip(".")
        if len(host) > LONGEST_HOST:
            return None
        found = self._hosts.get(host)
        while found is None and "." in host:
            host = host.partition(".")[2]
            found = self._below.get(host)
        return found
