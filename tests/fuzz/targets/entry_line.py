"""Lines of entries.jsonl, as the auditor's tool checks them: present only with the payload that was sealed."""

from __future__ import annotations

import base64
import json

from keten.ledger.sealing import commitment
from tests.fuzz.target import Target
from tests.fuzz.targets.log_keys import ID, tool

SALT = b"\x05" * 32
PAYLOAD = '{"time":"2026-11-22T00:00:00.000000Z","kind":"exchange.object.opened"}'
ENTRY = {"index": 13, "id": ID, "payload": PAYLOAD, "salt": base64.b64encode(SALT).decode(), "state": "present"}
ERASED = ENTRY | {"payload": None, "salt": None, "state": "erased"}


def check(data: bytes) -> bool:
    auditor = tool()
    seen = auditor.Seen()
    commits = commitment(SALT, ID, PAYLOAD.encode()).encode()
    problem = auditor.check_line(data, 13, ID.encode(), commits, seen)
    if problem is not None:
        what, detail = problem
        assert what in ("entry-malformed", "entry-other", "commitment-wrong", "payload-malformed")
        assert len(detail) <= 200
        return False
    assert (seen.present, len(seen.erased)) in ((1, 0), (0, 1))
    line = json.loads(data)
    assert (line["index"], line["id"]) == (13, ID)
    if seen.present:
        assert (line["payload"], base64.b64decode(line["salt"])) == (PAYLOAD, SALT), "only what was sealed"
    else:
        assert (line["payload"], line["salt"], line["state"]) == (None, None, "erased")
    return True


TARGET = Target(
    "entry-line",
    check,
    lambda: [json.dumps(ENTRY).encode(), json.dumps(ERASED | {"more": 1}).encode()],
    words=(
        *(b'"index":13', b'"index":13.0', b'"index":true', b'"payload":null', b'"state":"erased"', b'"salt":null'),
        *(b"{" + b'"a":[' * 3000, b"9" * 5000, b"1e999", b'"\\ud800"', b"NaN", b"\xef\xbb\xbf", b"Infinity"),
    ),
    longest=20_000,
)
