"""The country that an address is in: declared networks first, then a database of the user's own. Never a guess."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Protocol

import maxminddb

from keten.core.errors import Invalid, Unavailable
from keten.core.settings import Geo
from keten.suppliers.cache import LeastRecent
from keten.suppliers.countries import COUNTRIES, meant

UNKNOWN = ""
MAX_CACHED = 65_536
MAX_ADDRESS = 64  # longer text is no address
MAX_DATABASE = 512 * 1024 * 1024  # bytes; the largest with cities are a quarter of it
MAPPED_BITS = 96  # ::ffff:0:0/96 holds the whole of IPv4 (RFC 4291 §2.5.5.2)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Lookup(Protocol):
    """A geographic database: what it says of an address, or None."""

    def get(self, ip_address: Address, /) -> object:
        """The record of an address."""


class Countries:
    """Answers "which country?" for one setting of `[geo]`. For one thread at a time; the cache is bounded.

    The database is read into memory at the start, so that a file that is replaced or cut short later does no harm.

    Raises `Invalid` ("settings") for a network or country that is none, `Unavailable` ("geo-database") when the
    database is configured and missing, unreadable or no such database.
    """

    def __init__(self, geo: Geo) -> None:
        self._networks = _by_prefix(geo)
        self._database = _open(geo.database) if geo.database else None
        self._cache: LeastRecent[tuple[str, bool], str] = LeastRecent(MAX_CACHED)

    def country(self, address: str, *, direct: bool) -> str:
        """Two letters of ISO 3166, or "" when the country is unknown.

        1. The address is one, without a zone; an IPv4-mapped IPv6 address is its IPv4 address.
        2. A declared network decides, the longest prefix first – only for a direct peer: behind a proxy the peer's
           place says nothing about the caller's.
        3. Else the database decides, by the country it says the address is in; where it is registered is no answer.
        """
        key = (address, direct)
        found = self._cache.get(key)
        if found is None:
            found = self._find(address, direct=direct)
            self._cache.put(key, found)
        return found

    def _find(self, text: str, *, direct: bool) -> str:
        address = _parse(text)  # 1
        if address is None:
            return UNKNOWN
        if direct:  # 2
            number, bits = int(address), address.max_prefixlen
            for prefix, networks in self._networks.get(address.version, ()):
                declared = networks.get(number >> (bits - prefix))
                if declared is not None:
                    return declared
        if self._database is None:
            return UNKNOWN
        try:
            return _country_of(self._database.get(address))  # 3
        except Exception:  # noqa: BLE001 - a damaged place in the database: the country is unknown, never a guess
            return UNKNOWN


def _parse(text: str) -> Address | None:
    if len(text) > MAX_ADDRESS:
        return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _by_prefix(geo: Geo) -> dict[int, list[tuple[int, dict[int, str]]]]:
    """IP version → (prefix length, network number → country), the longest prefix first."""
    found: dict[int, dict[int, dict[int, str]]] = {}
    for text, country in geo.networks.items():
        if country not in COUNTRIES:
            right = meant(country)
            hint = f"; did you mean {right!r}?" if right else "."
            raise Invalid("settings", f"[geo] networks: {country!r} is not a country of ISO 3166-1{hint}")
        try:
            network = _unmapped(ipaddress.ip_network(text))
        except ValueError as error:
            raise Invalid("settings", f"[geo] networks: {error}") from error
        number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        same = found.setdefault(network.version, {}).setdefault(network.prefixlen, {})
        if same.setdefault(number, country) != country:
            raise Invalid("settings", f"[geo] networks: {text} is declared twice, with different countries.")
    return {version: sorted(lengths.items(), reverse=True) for version, lengths in found.items()}


def _unmapped(network: Network) -> Network:
    """A network of IPv4-mapped addresses as the IPv4 network that it stands for."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_BITS))
    return network


def _open(name: str) -> Lookup:
    path = Path(name)
    try:
        if path.is_file() and path.stat().st_size <= MAX_DATABASE:
            return maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except Exception as error:  # a damaged file makes the reader raise all kinds
        raise _unusable(path, repr(error)) from error
    raise _unusable(path, f"it is not there, not a file, or larger than {MAX_DATABASE} bytes")


def _unusable(path: Path, why: str) -> Unavailable:
    public = f"The database of countries that [geo] 'database' names can't be used: {path}"
    return Unavailable("geo-database", public, why)


def _country_of(record: object) -> str:
    """The country in a record: MaxMind's and DB-IP's form, or the flat form of other makers; "" when unclear."""
    if not isinstance(record, dict):
        return UNKNOWN
    country = record.get("country", record.get("country_code"))
    code = country.get("iso_code") if isinstance(country, dict) else country
    return code if isinstance(code, str) and code in COUNTRIES else UNKNOWN
