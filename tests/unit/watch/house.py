"""The watch on a register of its own, written as the keeper writes: one transaction, its entries, a signed head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from keten.budgets.misses import Scores
from keten.core.clock import SECOND
from keten.core.settings import Watch
from keten.identity.model import Client
from keten.ledger.writing import Writing
from keten.suppliers.model import Supplier
from keten.watch import handling
from keten.watch.alerts import Raising
from keten.watch.model import Raised, Seen, Severity, Signal, State
from keten.watch.row import Alert
from tests.unit.suppliers.instances import ACTOR, ESTATE, Instance, key_line

T = TypeVar("T")
ALL: tuple[State, ...] = ("noted", "open", "acknowledged", "closed")


def estate(clients: int) -> str:
    """The usual one, with so many system accounts at the printing house."""
    many = ", ".join(f'{{id: client-{n}, keys: ["{key_line(f"client {n}")}"]}}' for n in range(clients - 1))
    one = f'{{id: drukwerk-batch, keys: ["{key_line("batch")}"]}}'
    return ESTATE.replace(f"[{one}]", f"[{one}, {many}]") if many else ESTATE


class House:
    """An instance, and the watch's part of its keeper."""

    def __init__(self, folder: Path, clients: int = 1) -> None:
        self.instance = Instance(folder)
        self.ids = self.instance.apply(estate(clients)).ids
        self.settings = Watch()
        self.raising = Raising(self.settings)
        self.scores = Scores()
        self._at = 1000  # the entry at which signals are made

    def close(self) -> None:
        """Let go of the database."""
        self.instance.engine.dispose()
        self.instance.reader.dispose()

    def follow(self, settings: Watch) -> None:
        """By other settings from now on."""
        self.settings = settings
        self.raising = Raising(settings)

    def client_id(self, name: str = "drukwerk-batch") -> str:
        """A client's id."""
        return self.ids["client"][name]

    def client(self, name: str = "drukwerk-batch") -> Client:
        """A client as the register has it, checked."""
        found = self.instance.register().client(self.client_id(name))
        assert found is not None
        return found

    def supplier(self) -> Supplier:
        """The printing house, checked."""
        found = self.instance.register().supplier(self.ids["supplier"]["drukwerk"])
        assert found is not None
        return found

    @property
    def now_us(self) -> int:
        """The time of the last transaction."""
        return self.instance.now_us

    def later(self, seconds: float) -> None:
        """Let time go by."""
        self.instance.now_us += int(seconds * SECOND)

    def signal(
        self, detector: str = "misses", severity: Severity = "high", client: str = "drukwerk-batch", **fields: Any
    ) -> Signal:
        """What a detector would say."""
        made = Signal(
            detector=detector,
            severity=severity,
            time_us=self.now_us,
            principal=self.client_id(client),
            dataset=self.ids["dataset"]["voters"],
            facts={"asked": 30, "missed": 21},
        )
        return msgspec.structs.replace(made, **fields)

    def write(self, job: Callable[[Writing], T]) -> T:
        """One transaction."""
        return self.instance.write(job)

    def raise_(self, *signals: Signal) -> Raised:
        """Raise signals that nobody has raised before."""
        self._at += 1
        seen = tuple(Seen(self._at, one) for one in signals)
        return self.write(lambda writing: self.raising.raise_(writing, seen, self._at + 1))

    def handle(self, alert: str, action: str, note: str = "so it is") -> handling.Handled:
        """What a person says about an alert."""
        return self.write(
            lambda writing: handling.handle(writing, self.settings, self.scores, alert, action, note, ACTOR)
        )

    def alert(self, alert_id: str) -> Alert:
        """An alert, checked against the ledger."""
        with self.instance.reader.connect() as connection:
            return handling.get(connection, alert_id)

    def alerts(self) -> list[Alert]:
        """Every alert, the newest first."""
        with self.instance.reader.connect() as connection:
            return handling.listed(connection, ALL, 10_000)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one kind, oldest first."""
        return [found for one in self.instance.payloads() if (found := json.loads(one))["kind"] == kind]
