"""Entries say a pseudonym of a caller's network, and whether it is on the organisation's list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.core.settings import Limits
from keten.identity.bad_networks import NAMED, BadNetworks
from keten.identity.networks import Networks
from keten.identity.service import SignIn
from tests.unit.identity.keeping import LONG_AGO, ROOT, Keeper, refusal
from tests.unit.identity.signing import NOW, ClientKey, token_request

KEY = b"n" * 32


def lists(folder: Path, *texts: str) -> list[Path]:
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"list-{number}.txt"
        path.write_text(text)
        paths.append(path)
    return paths


def test_a_network_has_one_pseudonym_and_another_one_another() -> None:
    networks = Networks(KEY)
    assert networks.place("192.0.2.1") == networks.place("::ffff:192.0.2.200") != {}
    assert networks.place("2001:db8:1::1") == networks.place("2001:db8:1:ffff::2") != {}
    others = ("192.0.2.1", "192.0.3.1", "2001:db8:1::1", "2001:db8:2::1")
    assert len({str(networks.place(each)) for each in others}) == len(others)


def test_it_says_nothing_without_the_key() -> None:
    said = Networks(KEY).place("192.0.2.1")["network"]
    assert said != Networks(b"o" * 32).place("192.0.2.1")["network"]
    assert isinstance(said, str)
    assert len(said) == 16
    assert said.isalnum()


@given(st.text(max_size=60))
def test_no_address_is_too_strange(address: str) -> None:
    assert set(Networks(KEY).place(address)) <= {"network"}


def test_where_nothing_is_known_nothing_is_said() -> None:
    networks = Networks(KEY)
    assert networks.place("") == {}
    assert networks.place("no address") == {}
    assert networks.pseudonym("other") == ""


def test_a_listed_address_is_said_to_be(tmp_path: Path) -> None:
    found = lists(
        tmp_path, "# our own\n192.0.2.0/25  # half\n\n2001:db8:bad::/48\r\n", "198.51.100.7\n::ffff:203.0.113.0/120\n"
    )
    networks = Networks(KEY, found)
    for address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8:bad::1", "198.51.100.7", "203.0.113.9"):
        assert networks.place(address).get("listed") is True, address
    for address in ("192.0.2.128", "198.51.100.8", "2001:db8:bae::1", "", "192.0.2.1.1"):
        assert "listed" not in networks.place(address), address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.0/24\n0.0.0.0/0\n", "line 2: '0.0.0.0/0' is too wide: at least /8"),
        ("::/0", "line 1: '::/0' is too wide: at least /16"),
        ("::ffff:0:0/96", "line 1: '::ffff:0:0/96' is too wide: at least /8"),
        ("192.0.2.1/24", "line 1: '192.0.2.1/24' is not a network such as 192.0.2.0/24"),
        ("\n\nevil\x1b[2J", "line 3: 'evil\\x1b[2J' is not a network such as 192.0.2.0/24"),
        ("1" * 500, "line 1: 500 characters are no network"),
        ("192.0.2.0/24 x", "line 1: '192.0.2.0/24 x' is not a network such as 192.0.2.0/24"),
    ],
)
def test_a_line_that_is_none_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        BadNetworks.read(lists(tmp_path, text))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_many_wrong_lines_are_not_all_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"line 5: .*; and 95 more") as caught:
        BadNetworks.read(lists(tmp_path, "x\n" * 100))
    assert str(caught.value).count("line ") == NAMED


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="can't be used"):
        BadNetworks.read([tmp_path / "gone"])
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe1.2.3.4")
    with pytest.raises(Invalid, match="can't be used"):
        BadNetworks.read([binary])


def test_a_list_that_changes_is_read_again_and_a_broken_one_is_not_used(tmp_path: Path) -> None:
    (path,) = lists(tmp_path, "192.0.2.0/24\n")
    networks = Networks(KEY, [path])
    assert "listed" not in networks.place("198.51.100.1")
    path.write_text("198.51.100.0/24\n")
    os.utime(path, (1, 1))
    networks.refresh()
    assert networks.place("198.51.100.1").get("listed") is True
    assert "listed" not in networks.place("192.0.2.1")
    path.write_text("rubbish\n")
    os.utime(path, (2, 2))
    networks.refresh()
    assert networks.place("198.51.100.1").get("listed") is True
    path.write_text("192.0.2.0/24\n")
    os.utime(path, (3, 3))
    networks.refresh()
    assert "listed" not in networks.place("198.51.100.1")


def test_sign_ins_and_their_refusals_say_it(keeper: Keeper, tmp_path: Path) -> None:
    networks = Networks(KEY, lists(tmp_path, "192.0.2.0/24\n"))
    keeper.sign_in = sign_in = SignIn(ROOT, keeper.clients.get, Limits(), LONG_AGO, networks=networks)
    key, dpop, other = ClientKey(), ClientKey(), ClientKey()
    client = keeper.register(key)
    signed_in = sign_in.check_assertion(token_request(key, client.id, dpop), client, NOW)
    payload = keeper.record(signed_in, address="192.0.2.9")
    assert {word: payload.details[word] for word in ("network", "listed")} == networks.place("192.0.2.9")
    error = refusal(lambda: sign_in.check_assertion(token_request(other, client.id, dpop), client, NOW))
    draft = sign_in.refused(error, "198.51.100.1", "private_key_jwt", NOW)
    assert draft is not None
    assert draft.details["network"] == networks.place("198.51.100.1")["network"]
    stranger = refusal(lambda: sign_in.check_assertion(token_request(other, "x" * 26, dpop), None, NOW))
    assert sign_in.refused(stranger, "198.51.100.1", "private_key_jwt", NOW) is None
    (counted,) = sign_in.flush(NOW, everything=True)
    assert counted.details["pseudonym"] == networks.place("198.51.100.1")["network"]
