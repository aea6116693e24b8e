"""`/api` and `/v1` answer as they say of themselves, whatever is asked; `make schemas` asks much more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.schemas.faces import Console, Gateway, Instance
from tests.schemas.trying import try_all

EXAMPLES = 3


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = Instance(tmp_path_factory.mktemp("schemas"))
    yield made
    made.keten.run("ledger", "verify")
    made.close()


@pytest.mark.parametrize("which", [Console, Gateway], ids=["api", "v1"])
def test_no_answer_outside_of_the_description(instance: Instance, which: type[Console | Gateway]) -> None:
    tried = try_all(which(instance), EXAMPLES, 1)
    assert tried.faults == []
    assert tried.operations == len(tried.statuses)
    assert tried.requests > tried.operations * EXAMPLES / 2
    answered = {status for statuses in tried.statuses.values() for status in statuses}
    assert {200, 400, 401} <= answered

