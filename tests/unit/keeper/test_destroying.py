"""Destroying again what is destroyed already: nobody agrees to that, so it may not destroy anything more (law 14)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from keten.core.errors import Conflict
from keten.keeper.destroying import Destroying
from keten.revocation import service as revocation


class Writer:
    """Runs what is to be written at once, against nothing."""

    async def run(self, run: Any, **_how: object) -> tuple[Any, None]:
        return run(SimpleNamespace(connection=None, time_us=0)), None


@pytest.mark.parametrize("again", [True, False])
def test_a_contract_that_covers_more_than_when_it_was_looked_at(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another contract, which kept a dataset, ended between the plan and the transaction."""
    ended: list[str] = []

    def end(_writing: object, _kind: str, contract: str, *_why: str) -> None:
        ended.append(contract)
        raise LookupError("so far and no further")

    monkeypatch.setattr(revocation, "holds_against", lambda *_asked: [])
    monkeypatch.setattr(revocation, "covered_alone", lambda *_asked: revocation.Covered(("a dataset",), ()))  # type: ignore[arg-type]
    monkeypatch.setattr(revocation, "end", end)
    trusted: Any = SimpleNamespace(door=SimpleNamespace(fresh=lambda: None), writer=Writer())
    nothing: Any = None
    destroying = Destroying(trusted, nothing, nothing)
    with pytest.raises(Conflict if again else LookupError) as refused:
        asyncio.run(destroying.destroy("contract", "a contract", "a test", "operator:anna", again=again))
    assert (getattr(refused.value, "code", ""), ended) == (("act-changed", []) if again else ("", ["a contract"]))
