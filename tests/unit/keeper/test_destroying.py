"""Destroying again what is destroyed already: it destroys nothing more (law 14), and says only what was looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keten.core.errors import Conflict
from keten.keeper import destroying
from keten.keeper.destroying import Destroying
from keten.revocation import service as revocation
from keten.vault import service as vault
from keten.vault.model import Destroyed


class Writer:
    """Runs what is to be written at once, against nothing; remembers which traces were looked for."""

    reaches = True

    def __init__(self) -> None:
        self.looked_for: list[frozenset[bytes] | None] = []

    async def scrub(self, traces: frozenset[bytes] | None) -> bool:
        self.looked_for.append(traces)
        return True

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
    found = Destroying(trusted, nothing, nothing)
    with pytest.raises(Conflict if again else LookupError) as refused:
        asyncio.run(found.destroy("contract", "a contract", "a test", "operator:anna", again=again))
    assert (getattr(refused.value, "code", ""), ended) == (("act-changed", []) if again else ("", ["a contract"]))


class Content:
    """There is none."""

    async def cut_steps(self) -> list[dict[str, str]]:
        return []

    def remove_blobs(self, _keys: object) -> int:
        return 0


class NoBackups:
    """There is none."""

    def __init__(self, _trusted: object) -> None:
        pass

    def renew_keys(self) -> tuple[str, ...]:
        return ()


def test_what_an_earlier_process_destroyed_is_looked_for_without_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been killed before it looked: then the file is written anew, once."""
    index: list[int | None] = [None, None, 7, None]
    stored: list[bytes | None] = [None, None, b"a key", None]
    monkeypatch.setattr(revocation, "holds_against", lambda *_asked: [])
    monkeypatch.setattr(vault, "stored_key", lambda *_asked: stored.pop(0))
    monkeypatch.setattr(vault, "destroy_object", lambda *_asked: Destroyed(index.pop(0)))
    monkeypatch.setattr(destroying, "KnownBackups", NoBackups)
    monkeypatch.setattr(destroying, "sealed_in", lambda *_asked: SimpleNamespace(id="an entry"))
    writer = Writer()
    paths = SimpleNamespace(database=tmp_path / "keten.db")
    trusted: Any = SimpleNamespace(
        door=SimpleNamespace(fresh=lambda: None), writer=writer, settings=SimpleNamespace(paths=paths)
    )
    gateways: Any = SimpleNamespace(changed=lambda: None)
    found = Destroying(trusted, gateways, Content())
    for target in ("of before", "of before", "of now", "of now"):
        steps, _entry = asyncio.run(found.destroy("object", target, "a test", "operator:anna"))
        assert found.is_done(steps)
    assert writer.looked_for == [None, frozenset(), frozenset({b"a key"}), frozenset()]
