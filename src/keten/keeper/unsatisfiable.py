"""The answer to a range of an object that it does not have: with its size, and the entry that says it was described."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.ledger.model import Sealed


class Unsatisfiable(Invalid):
    """There are no such bytes. data: size, entry and index."""

    def __init__(self, size: int, described: Sealed) -> None:
        super().__init__("range-unsatisfiable", "The object has no such bytes.")
        self.data = {"size": str(size), "entry": described.id, "index": str(described.index)}
