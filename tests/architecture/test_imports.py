"""The import contracts hold, and the one that is our own notices what it is for."""

import subprocess
import sys
from pathlib import Path

from grimp import ImportGraph
from importlinter.domain.contract import ContractCheck

from tests.architecture.checkout import ROOT
from tools.import_contracts import OwnTables


def check(*imports: tuple[str, str]) -> ContractCheck:
    """The outcome of the contract on a graph of these imports."""
    graph = ImportGraph()
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="")
    contract = OwnTables(name="tables", session_options={}, contract_options={})
    return contract.check(graph, verbose=False)


def test_contracts_hold(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_room_may_import_its_own_tables() -> None:
    assert check(
        ("keten.ledger.service", "keten.ledger.tables"),
        ("keten.ledger", "keten.ledger.tables"),
        ("keten.ledger.deep.down", "keten.ledger.tables"),
        ("keten.ledger.tables", "keten.core.db"),
    ).kept


def test_another_room_may_not() -> None:
    broken = check(("keten.exchange.service", "keten.ledger.tables"))
    assert not broken.kept
    assert broken.metadata["illegal"] == [("keten.exchange.service", "keten.ledger.tables", [1])]


def test_neither_may_a_room_whose_name_begins_alike() -> None:
    assert not check(("keten.ledgers.service", "keten.ledger.tables")).kept


def test_tables_in_a_folder_are_tables_too() -> None:
    assert not check(("keten.exchange.service", "keten.ledger.tables.entries")).kept
