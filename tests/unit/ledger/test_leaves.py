"""What a leaf is made of, by the definition in docs/formats/ledger.md and without Keten's own code."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from pathlib import Path

from tests.made_ledger import MadeLedger


def test_a_leaf_commits_to_its_payload_under_its_own_salt(tmp_path: Path) -> None:
    """Without the salt nobody can try out payloads until one fits (law 7)."""
    made = MadeLedger.create(tmp_path)
    made.fill(40)
    with made.engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT id, payload, salt, leaf FROM entries ORDER BY idx").all()
    made.close()
    assert len(rows) >= 40
    assert len({salt for _id, _payload, salt, _leaf in rows}) == len(rows)
    for entry_id, payload, salt, leaf in rows:
        assert len(salt) == 32
        expected = hmac.new(salt, entry_id.encode() + b"\0" + payload, sha256).hexdigest()
        assert json.loads(leaf) == {"id": entry_id, "v": 1, "commitment": expected}
