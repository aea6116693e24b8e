"""Time stamps by a real authority: OpenSSL's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.core.clock import wall_us
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.ledger.stamps import MAX_STAMP_BYTES, load_roots, question, verify_stamp
from tests.authority import Authority

pytestmark = pytest.mark.needs("openssl")
NOTE = "ledger.example\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 ledger.example AAAAAAAA\n"
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with Authority(tmp_path_factory.mktemp("tsa") / "one") as made:
        yield made


def test_a_stamp_holds_for_us_and_for_openssl(authority: Authority, tmp_path: Path) -> None:
    asked = question(NOTE)
    stamp = authority.stamp(asked.request)
    roots = load_roots(authority.ca)
    time_us = verify_stamp(stamp, NOTE, roots, asked.nonce)
    assert abs(time_us - wall_us()) < DAY_US
    assert verify_stamp(stamp, NOTE, roots) == time_us
    (tmp_path / "note").write_text(NOTE)
    (tmp_path / "stamp").write_bytes(stamp)
    assert authority.verify(tmp_path / "note", tmp_path / "stamp")


def test_what_does_not_hold(authority: Authority, tmp_path: Path) -> None:
    asked = question(NOTE)
    stamp = authority.stamp(asked.request)
    roots = load_roots(authority.ca)
    with pytest.raises(Corrupt, match="does not hold"):
        verify_stamp(stamp, NOTE + "x", roots)
    with pytest.raises(Corrupt, match="does not hold"):
        verify_stamp(stamp, NOTE, roots, asked.nonce + 1)
    other = Authority(tmp_path / "other", "Another")
    with pytest.raises(Corrupt, match="does not hold"):
        verify_stamp(stamp, NOTE, load_roots(other.ca))
    for content in (b"", b"\x30", b"nonsense" * 100, stamp[:-1], b"\0" * (MAX_STAMP_BYTES + 1)):
        with pytest.raises(Corrupt, match="time stamp"):
            verify_stamp(content, NOTE, roots)
    wrong = 0
    for at in range(0, len(stamp), 7):
        flipped = bytearray(stamp)
        flipped[at] ^= 0x40
        try:
            verify_stamp(bytes(flipped), NOTE, roots, asked.nonce)
        except (Corrupt, Unavailable):
            wrong += 1
    assert wrong > len(range(0, len(stamp), 7)) * 3 // 4  # what is not signed may be changed: it says nothing


def test_an_authority_that_refuses(authority: Authority) -> None:
    with pytest.raises(Unavailable, match="refused"):
        verify_stamp(authority.stamp(b"no request at all"), NOTE, load_roots(authority.ca))


def test_roots_that_cannot_be_read(tmp_path: Path) -> None:
    for content in (None, b"", b"nonsense"):
        if content is not None:
            (tmp_path / "ca.pem").write_bytes(content)
        with pytest.raises(Invalid, match="cannot be read"):
            load_roots(tmp_path / "ca.pem")
