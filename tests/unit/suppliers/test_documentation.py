"""docs/formats/estate.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from keten.identity.roles import STAFF as ROLES
from keten.suppliers import reading
from keten.suppliers.changes import MAX_WITH_FIELDS
from keten.suppliers.document import MAX_BYTES, MAX_DEPTH, MAX_NODES
from keten.suppliers.model import BUDGET_WINDOWS, FORMS, TIERS
from keten.suppliers.rules import MAX_DAYS

TEXT = Path(__file__).parents[3].joinpath("docs/formats/estate.md").read_text(encoding="utf-8")


def test_the_example_is_right() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    estate = reading.parse(example.encode(), "example.yaml")
    assert estate.grants[0].id == "voters-for-drukwerk"


def test_every_key_is_documented_and_bold_where_it_must_be_there() -> None:
    rows = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| ") and " | " in line]
    keys: dict[str, dict[str, bool]] = {}
    where = ""
    for row in rows:
        if len(row) != 3 or row[0] in {"| Where", "| ---"}:
            continue
        where = row[0].strip("|` ") or where
        for bold, key in re.findall(r"(\*\*)?`([a-z_]+)`", row[1]):
            keys.setdefault(where, {})[key] = bool(bold)
    known = {
        "top": reading._ESTATE,
        "organisation": reading._ORGANISATION,
        "people": reading._PERSON,
        "suppliers": reading._SUPPLIER,
        "contracts": reading._CONTRACT,
        "systems": reading._SYSTEM,
        "datasets": reading._DATASET,
        "source": reading._SOURCE,
        "table": reading._TABLE,
        "grants": reading._GRANT,
    }
    assert {name: keys[name] for name in known} == known
    assert keys["clients"] == {"keys": True}


def test_every_word_and_limit_is_documented() -> None:
    for word in (*ROLES, *TIERS, *FORMS, *BUDGET_WINDOWS):
        assert f"`{word}`" in TEXT
    assert f"{MAX_BYTES // 1024 // 1024} MiB" in TEXT
    assert f"{MAX_NODES // 1_000_000} million values" in TEXT
    assert f"{MAX_DEPTH} levels" in TEXT
    assert f"at most {MAX_DAYS};" in TEXT
    assert f"more than {MAX_WITH_FIELDS:,} changes" in TEXT
