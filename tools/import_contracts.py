"""An import-linter contract: `keten.<room>.tables` is imported inside its own room only.

import-linter's own `protected` contract does the same for modules that are listed by hand; this one finds
them, so that a new room is protected from its first table on.
"""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class OwnTables(Contract):
    """Kept when no module outside a room imports that room's `tables`."""

    type_name = "own_tables"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - set by the base class
        """Find imports of `tables` from outside its room."""
        illegal = []
        for imported in sorted(graph.modules):
            parts = imported.split(".")
            if len(parts) < 3 or parts[0] != "keten" or parts[2] != "tables":
                continue
            room = ".".join(parts[:2])
            for importer in sorted(graph.find_modules_that_directly_import(imported)):
                if importer != room and not importer.startswith(room + "."):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    illegal.append((importer, imported, [detail["line_number"] for detail in details]))
        return ContractCheck(kept=not illegal, metadata={"illegal": illegal})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import that must not be."""
        for importer, imported, lines in check.metadata["illegal"]:
            where = ", ".join(f"l.{line}" for line in lines)
            output.print_error(f"{importer} is not allowed to import {imported} ({where})", bold=False)
