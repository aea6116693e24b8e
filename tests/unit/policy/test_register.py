"""Decisions over the real register and ledger: estate in, decision out, and what someone with the database can't do."""

from __future__ import annotations

import pytest

from keten.policy.engine import Engine
from keten.policy.model import Allow, Deny
from keten.policy.service import Decisions, Outcome
from keten.suppliers.register import Register
from tests.unit.suppliers.instances import ESTATE, START_US, Instance

MAY = START_US + 120 * 86_400_000_000


class Asking:
    """Asks by the estate's names, as `keten decide` does."""

    def __init__(self, instance: Instance, engine: Engine) -> None:
        self.register: Register = instance.register()
        self.decisions = Decisions(self.register, engine)

    def id(self, kind: str, name: str) -> str:
        """The random id behind a name."""
        row = self.register.named(kind, name)
        assert row is not None
        return row.id

    def ask(self, client: str = "drukwerk-batch", country: str = "NL", at_us: int = MAY) -> Outcome:
        """May this client open the voters?"""
        dataset = self.id("dataset", "voters")
        return self.decisions.access(self.id("client", client), dataset, "open", country, at_us)


@pytest.fixture
def asking(instance: Instance, engine: Engine) -> Asking:
    instance.apply(ESTATE)
    return Asking(instance, engine)


def test_the_sample_estate(asking: Asking) -> None:
    outcome = asking.ask()
    ends_us = asking.register.contract(outcome.attributes.contract).ends_us  # type: ignore[union-attr]  # it is there
    assert outcome.decision == Allow(ends_us, ("file-grant",))
    assert asking.ask(country="US").decision == Deny(("country-not-allowed",), ("country-not-allowed",))
    assert asking.ask(country="").decision == Deny(("country-unknown",), ("country-unknown",))
    assert asking.ask("vervoer-app").decision == Deny(("no-grant",), ("file-grant", "lookup-grant"))
    assert asking.ask(at_us=ends_us).decision == Deny(("contract-ended",), ("contract-ended",))
    assert isinstance(asking.ask(at_us=ends_us - 1).decision, Allow)
    (share,) = asking.decisions.shares(asking.id("client", "drukwerk-batch"), "BE", MAY)
    assert share.decision == outcome.decision


@pytest.mark.parametrize(
    ("kind", "name", "reasons"),
    [
        ("grant", "voters-for-drukwerk", ("revoked",)),
        ("contract", "vwo-2026-014", ("revoked",)),
        ("client", "drukwerk-batch", ("revoked", "client-ended")),
        ("supplier", "drukwerk", ("revoked", "supplier-ended")),
    ],
)
def test_what_is_revoked_is_refused_once_the_register_is_read_again(
    instance: Instance, asking: Asking, kind: str, name: str, reasons: tuple[str, ...]
) -> None:
    assert isinstance(asking.ask().decision, Allow)
    instance.end(kind, asking.id(kind, name))
    asking.register.invalidate()
    outcome = asking.ask()
    assert isinstance(outcome.decision, Deny)
    assert set(reasons) <= set(outcome.decision.reasons)
    assert outcome.decision.reasons[0] == "revoked"
    assert asking.decisions.explain(outcome)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE contracts SET body = CAST(replace(body, '2026-12-31', '2036-12-31') AS BLOB)",
        "UPDATE grants SET body = CAST(replace(body, 'election-cards', 'anything') AS BLOB)",
        "UPDATE datasets SET body = CAST(replace(body, 'confidential', 'public') AS BLOB)",
        "UPDATE suppliers SET body = CAST(replace(body, 'Drukwerk', 'Anders') AS BLOB)",
        "UPDATE clients SET entry = 0",
        "UPDATE entries SET payload = CAST(replace(payload, 'election-cards', 'anything') AS BLOB)",
    ],
)
def test_a_changed_row_is_refused_and_named(instance: Instance, asking: Asking, statement: str) -> None:
    client, dataset = asking.id("client", "drukwerk-batch"), asking.id("dataset", "voters")
    assert instance.tamper(statement) > 0
    asking.register.invalidate()
    outcome = asking.decisions.access(client, dataset, "open", "NL", MAY)
    assert outcome.decision == Deny(("register-mismatch",), ("register-mismatch",))
    assert outcome.attributes.mismatch.startswith("table ")
    assert outcome.attributes.principal == client
