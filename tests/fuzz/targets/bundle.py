"""Entry bundles, ours and the auditor's reader: the same leaves, and the bytes are those that the writer makes."""

from __future__ import annotations

import struct

from keten.core.errors import Corrupt
from keten.ledger.tiles import WIDTH, decode_bundle, encode_bundle
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import leaf, tool


def check(data: bytes) -> bool:
    theirs = tool().split_bundle(data)
    width = len(theirs or [])
    for other in (width + 1, max(0, width - 1)):
        if other != width:
            try:
                decode_bundle(data, other, "fuzzed")
            except Corrupt:
                continue
            raise AssertionError("a bundle has one number of leaves")
    try:
        leaves = decode_bundle(data, width, "fuzzed")
    except Corrupt:
        assert theirs is None
        return False
    assert leaves == theirs
    if 1 <= width <= WIDTH:
        assert encode_bundle(leaves) == data
    return True


TARGET = Target(
    "bundle",
    check,
    lambda: [encode_bundle([leaf(index) for index in range(3)]), encode_bundle([b"", b"x", b"yy" * 40])],
    words=(b"\0\0", b"\0\1", b"\xff\xff", struct.pack(">H", 114)),
)
