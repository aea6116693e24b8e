"""Which country an address is in: what is declared, what a database says, and "" for everything else."""

import ipaddress
import random
from pathlib import Path

import pytest

from keten.core.errors import Invalid, Unavailable
from keten.core.settings import Geo
from keten.policy import country as country_module
from keten.policy.country import Countries
from tests.unit.policy.mmdb import database

NETWORKS = {
    "127.0.0.0/8": "NL",
    "10.0.0.0/8": "NL",
    "10.20.0.0/16": "BE",
    "10.20.30.40/32": "DE",
    "fd00::/8": "FR",
    "fd00:1::/32": "ES",
    "::/0": "IT",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in the forms of several makers."""
    made = tmp_path / "countries.mmdb"
    made.write_bytes(
        database(
            {
                "192.0.2.0/24": {"country": {"iso_code": "NL"}},
                "192.0.2.128/25": {"country": {"iso_code": "BE"}, "registered_country": {"iso_code": "NL"}},
                "198.51.100.0/24": {"country_code": "DE"},
                "203.0.113.0/26": {"registered_country": {"iso_code": "NL"}},
                "203.0.113.64/26": {"country": {"iso_code": "XX"}},
                "203.0.113.128/26": {"country": {"names": {"en": "Nowhere"}}},
                "203.0.113.192/26": {"continent": {"code": "EU"}},
                "2001:db8::/32": {"country": "FR"},
                "2001:db8:1::/48": {"country": {"iso_code": "EU"}},
            }
        )
    )
    return made


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "NL"),
        ("10.1.2.3", "NL"),
        ("10.20.0.1", "BE"),
        ("10.20.30.40", "DE"),
        ("10.20.30.41", "BE"),
        ("11.0.0.1", ""),
        ("::ffff:10.20.30.40", "DE"),
        ("::ffff:a14:1e28", "DE"),
        ("::FFFF:11.0.0.1", ""),
        ("fd00::1", "FR"),
        ("fd00:1::1", "ES"),
        ("2001:db8::1", "IT"),
        ("fe80::1%eth0", "IT"),
    ],
)
def test_the_longest_declared_prefix_decides(address: str, expected: str) -> None:
    countries = Countries(Geo(networks=NETWORKS))
    assert countries.country(address, direct=True) == expected
    assert countries.country(address, direct=True) == expected
    assert countries.country(address, direct=False) == ""


def test_direct_and_behind_a_proxy_are_remembered_apart(path: Path) -> None:
    countries = Countries(Geo(str(path), {"192.0.2.0/24": "US"}))
    for _ in range(2):
        assert countries.country("192.0.2.1", direct=False) == "NL"
        assert countries.country("192.0.2.1", direct=True) == "US"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "127.1",
        "127.0.0.1:80",
        "[::1]",
        "0127.0.0.1",
        "1.2.3.4.5",
        " 127.0.0.1",
        "127.0.0.1\n",
        "127.0.0.1, 10.0.0.1",
        "::ffff:300.1.1.1",
        "\u0661\u0662\u0667.0.0.1",  # digits, of another script
        "x" * 1_000_000,
        "%",
        "2130706433",
        "\0",
        "\ud800",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_what_is_no_address_has_no_country(path: Path, address: str) -> None:
    countries = Countries(Geo(str(path), {"0.0.0.0/0": "NL", "::/0": "NL"}))
    assert countries.country(address, direct=True) == ""


def test_mapped_networks_count_for_ipv4() -> None:
    countries = Countries(Geo(networks={"::ffff:10.0.0.0/104": "NL", "::ffff:10.1.0.0/112": "BE"}))
    assert countries.country("10.2.0.1", direct=True) == "NL"
    assert countries.country("::ffff:10.1.0.1", direct=True) == "BE"
    assert countries.country("11.0.0.1", direct=True) == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "NL"),
        ("192.0.2.200", "BE"),
        ("::ffff:192.0.2.200", "BE"),
        ("198.51.100.7", "DE"),
        ("203.0.113.1", ""),  # registered somewhere, not in a country
        ("203.0.113.65", ""),
        ("203.0.113.129", ""),
        ("203.0.113.200", ""),
        ("2001:db8::1", "FR"),
        ("2001:db8:1::1", ""),  # the European Union is no country
        ("8.8.8.8", ""),
        ("2002:c000:0201::1", ""),  # 6to4 of 192.0.2.1: no guess
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_the_database_decides_by_country_only(path: Path, address: str, expected: str, direct: bool) -> None:
    assert Countries(Geo(str(path))).country(address, direct=direct) == expected


def test_a_database_that_is_not_there_is_said_at_the_start(tmp_path: Path, path: Path) -> None:
    good = path.read_bytes()
    broken = {
        "empty.mmdb": b"",
        "text.mmdb": b"no database at all",
        "cut.mmdb": good[: len(good) // 3],
        "headless.mmdb": good.replace(b"MaxMind.com", b"MaxMind.org"),
        "wild.mmdb": good[:-40] + bytes(40),
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    for name in (*broken, "missing.mmdb", "."):
        with pytest.raises(Unavailable) as caught:
            Countries(Geo(str(tmp_path / name)))
        assert caught.value.code == "geo-database"
        assert str(tmp_path) in caught.value.public


def test_a_database_too_large_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(country_module, "MAX_DATABASE", path.stat().st_size - 1)
    with pytest.raises(Unavailable):
        Countries(Geo(str(path)))


def test_damage_inside_the_database_is_unknown_or_what_was_said(path: Path) -> None:
    """Random bytes changed: it is refused at the start, or answers with a country or "" – it never breaks."""
    chance = random.Random(5)
    good = path.read_bytes()
    answers: set[str] = set()
    for _ in range(300):
        raw = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw) - 250)] = chance.randrange(256)
        path.write_bytes(raw)
        try:
            countries = Countries(Geo(str(path)))
        except Unavailable:
            continue
        for address in ("192.0.2.1", "198.51.100.7", "2001:db8::1", "8.8.8.8"):
            answers.add(countries.country(address, direct=True))
    assert answers >= {"", "NL", "DE", "FR"}
    assert all(answer == "" or (len(answer) == 2 and answer.isupper()) for answer in answers)


def test_a_file_cut_short_while_in_use_does_no_harm(path: Path) -> None:
    countries = Countries(Geo(str(path)))
    path.write_bytes(b"")
    assert countries.country("192.0.2.1", direct=True) == "NL"


@pytest.mark.parametrize(
    "networks",
    [
        {"10.0.0.1/8": "NL"},
        {"10.0.0.0/33": "NL"},
        {"here": "NL"},
        {"": "NL"},
        {"10.0.0.0/8": "UK"},
        {"10.0.0.0/8": "ZZ"},
        {"10.0.0.0/8": "NL", "::ffff:10.0.0.0/104": "BE"},
    ],
    ids=str,
)
def test_networks_that_are_none_or_contradict_are_refused(networks: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Countries(Geo(networks=networks))


def test_nothing_configured_nothing_known() -> None:
    assert Countries(Geo()).country("127.0.0.1", direct=True) == ""


def test_random_networks_against_a_slow_search() -> None:
    chance = random.Random(3)
    networks: dict[str, str] = {}
    for _ in range(200):
        prefix = chance.randint(4, 32)
        number = chance.randrange(2**32) >> (32 - prefix) << (32 - prefix)
        networks[f"{ipaddress.IPv4Address(number)}/{prefix}"] = chance.choice(["NL", "BE", "DE"])
    countries = Countries(Geo(networks=networks))
    parsed = [(ipaddress.ip_network(text), country) for text, country in networks.items()]
    hits = 0
    for _ in range(3000):
        near = int(chance.choice(parsed)[0].network_address) + chance.randrange(-300, 300)
        address = ipaddress.IPv4Address(near % 2**32)
        holding = [(network.prefixlen, country) for network, country in parsed if address in network]
        hits += bool(holding)
        assert countries.country(str(address), direct=True) == (max(holding)[1] if holding else "")
    assert hits > 1000


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(country_module, "MAX_CACHED", 100)
    countries = Countries(Geo(networks={"10.0.0.0/8": "NL"}))
    for number in range(1000):
        assert countries.country(str(ipaddress.IPv4Address(0x0A000000 + number)), direct=True) == "NL"
    assert len(countries._cache) == 100
