"""How much one client may have under way, and which client a token counts for."""

from __future__ import annotations

import pytest

from keten.core.errors import Busy
from keten.gateway import concurrency as module
from keten.gateway.concurrency import Concurrency


def test_as_many_as_allowed_and_each_given_back() -> None:
    counting = Concurrency(2)
    with counting.one_more("a"):
        with counting.one_more("a"):
            with pytest.raises(Busy), counting.one_more("a"):
                pass
            with counting.one_more("b"):
                pass
        with counting.one_more("a"):
            pass
    assert not counting._running


def test_given_back_also_after_a_failure() -> None:
    counting = Concurrency(1)
    for _attempt in range(3):
        with pytest.raises(ValueError, match="failed"), counting.one_more("a"):
            raise ValueError("failed")


def test_two_tokens_of_one_client_count_together() -> None:
    counting = Concurrency(1)
    counting.issued("one", "client", 300)
    counting.issued("two", "client", 300)
    assert counting.client_of("one") == counting.client_of("two") == "client"
    assert counting.client_of("elsewhere") != counting.client_of("other")
    assert "elsewhere" not in counting.client_of("elsewhere"), "a token is not kept"


def test_old_tokens_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS", 3)
    counting = Concurrency(1)
    counting.issued("old", "client", -1)
    counting.issued("one", "client", 300)
    assert counting.client_of("old").startswith("token ")
    for number in range(5):
        counting.issued(str(number), "client", 300)
    assert len(counting._tokens) == 3
    assert counting.client_of("4") == "client"
