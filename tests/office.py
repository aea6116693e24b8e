"""A municipality with tables that are looked up: what tests of lookups start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.town import Town, estate

ROWS = 400
TABLES = """
datasets:
  - id: jobseekers
    owner: dpo
    classification: confidential
    retention_days: 365
    table:
      key: nir
      columns:
        - {name: nir, category: identifier, meaning: Social security number}
        - {name: name, category: name}
        - {name: phone, category: contact}
        - {name: debt, category: financial}
    breaker: {records: 60, per: day}
  - id: caseload
    owner: dpo
    classification: internal
    retention_days: 365
    table: {key: nir, columns: [{name: nir, category: identifier}, {name: advisers, category: other}]}
"""
GRANTS = """
  - id: lookup-for-drukwerk
    dataset: jobseekers
    contract: vwo-1
    purpose: election-cards
    form: lookup
    label: jobseekers
    columns: [name, phone]
    budgets: [{records: 10, per: hour}, {records: 40, per: month}]
    to: [drukwerk-batch]
  - id: lookup-of-own-cases
    dataset: jobseekers
    contract: vwo-2
    purpose: care-transport
    form: lookup
    label: own-cases
    budget: {records: 20, per: day}
    caseload: {dataset: caseload, column: advisers, outside: refuse}
"""


def key(number: int) -> str:
    """A key in the table, for 0 to ROWS - 1."""
    return f"{number * 97:013d}"


class Office:
    """The town with its tables. console: with one."""

    def __init__(self, folder: Path, *, console: bool = False) -> None:
        self.town = Town(folder, console=console)
        self.keten = self.town.keten
        register = folder / "jobseekers.csv"
        lines = [f"{key(n)};Naam {n};06{n:08d};{n * 10};secret {n}" for n in range(ROWS)]
        register.write_text("nir;name;phone;debt;notes\n" + "\n".join(lines) + "\n", encoding="utf-8")
        self.register = register
        self.caseload = folder / "caseload.csv"
        self.caseload.write_text(f"nir,advisers\n{key(1)},zorgvervoer-batch\n{key(2)},somebody-else\n")

    def start(self) -> None:
        """Run, declare, put."""
        self.town.start()
        text = self.estate()
        self.keten.apply(text)
        self.keten.run("put", "jobseekers", str(self.register))
        self.keten.run("put", "caseload", str(self.caseload))

    def entries(self, *options: str) -> list[dict[str, Any]]:
        """The ledger's entries."""
        shown = self.keten.command("ledger", "show", "--json", *options).stdout
        return [json.loads(line) for line in shown.splitlines()]

    def estate(self) -> str:
        """The town's estate with its tables."""
        text = estate(self.town.printer_key.line, self.town.carrier_key.line)
        head, _, rest = text.partition("datasets:\n")
        return head + TABLES.lstrip("\n") + rest.rstrip("\n") + "\n" + GRANTS.lstrip("\n")
