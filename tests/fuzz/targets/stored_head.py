"""The ledger's head as a damaged database gives it: `Corrupt`, or the very head that was signed.

The bytes are a JSON object that takes the place of columns; bytes are written {"b": hex}.
"""

from __future__ import annotations

import json
from typing import Any

from keten.core.errors import Corrupt
from keten.ledger.sealing import head_from_row
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import COSIGNED, EDGE, NOTE, SIZE, VERIFIER

GOOD: dict[str, Any] = {"size": SIZE, "root": EDGE.root(), "edge": EDGE.encode(), "note": NOTE, "time_us": 5}


def check(data: bytes) -> bool:
    try:
        said = json.loads(data)
        changes = {
            str(name): bytes.fromhex(str(value.get("b", ""))) if isinstance(value, dict) else value
            for name, value in said.items()
        }
    except (ValueError, AttributeError, RecursionError):
        return False
    try:
        head = head_from_row(GOOD | changes, VERIFIER)
    except Corrupt:
        return False
    assert (head.size, head.root, head.edge) == (SIZE, EDGE.root(), EDGE)
    assert isinstance(head.time_us, int)
    return True


TARGET = Target(
    "stored-head",
    check,
    lambda: [
        b"{}",
        json.dumps({"note": COSIGNED}).encode(),
        json.dumps({"root": {"b": EDGE.root().hex()}, "edge": {"b": EDGE.encode().hex()}, "size": SIZE}).encode(),
    ],
    words=(
        *(b'{"size":null}', b'{"root":5}', b'{"root":"x"}', b'{"edge":1.5}', b'{"edge":null}', b'{"note":null}'),
        *(b'{"time_us":"x"}', b'{"time_us":null}', b'{"size":"x"}', b'{"root":1000000000000}', b'{"note":{"b":"00"}}'),
    ),
)
