"""What a principal is told of a limit of its own (law 8)."""

from __future__ import annotations

from keten.core.errors import Busy


class Limited(Busy):
    """`data`: until when, and for a budget how much."""

    def __init__(self, code: str, public: str, data: dict[str, str]) -> None:
        super().__init__(code, public)
        self.data = data
