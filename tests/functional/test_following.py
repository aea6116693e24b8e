"""Whoever follows the ledger is told the same whether an entry is still in the keeper's memory or read back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from keten.keeper.follow_protocol import Follow, Followed, Following
from tests.functional.operators import ANNA, BERT, Operators

ERASED = "drukwerk-ops"


@pytest.fixture(scope="module")
def operators() -> Iterator[Operators]:
    with Operators() as made:
        made.start()
        yield made


def followed(operators: Operators, asked: Follow) -> Following:
    with operators.town.keten.keeper() as keeper:
        return keeper.call("ledger.follow", asked, Following)


def told(page: Following, until: int) -> tuple[list[Followed], dict[str, str]]:
    """What is told of the entries before `until`, and the names of that."""
    return [one for one in page.entries if one.index < until], page.names


@pytest.mark.parametrize("text", [True, False], ids=["as-text", "as-an-older-worker-asks"])
def test_the_same_from_memory_and_from_the_database(operators: Operators, text: bool) -> None:
    keten = operators.town.keten
    start = followed(operators, Follow(2**62, 1)).size
    operators.town.printer().shares()
    asked = Follow(start, text=text)
    before = followed(operators, asked)
    assert before.entries
    keten.down()  # a keeper that starts remembers no entry
    keten.up()
    after = followed(operators, msgspec.structs.replace(asked, limit=len(before.entries)))
    assert told(after, before.size)[0] == list(before.entries)
    assert before.names
    assert {name: after.names[name] for name in before.names} == before.names


def test_an_entry_that_was_erased_a_moment_ago_has_no_payload(operators: Operators) -> None:
    keten = operators.town.keten
    person = keten.ids["person"][ERASED]
    index = next(one["index"] for one in operators.entries(kind="identity.person.declared") if person in str(one))
    (known,) = followed(operators, Follow(index, 1, text=True)).entries
    assert known.read() is not None
    request = operators.erase(ANNA, ERASED).request
    assert request is not None
    operators.approve(BERT, request.id)
    (gone,) = followed(operators, Follow(index, 1, text=True)).entries
    assert (gone.id, gone.read()) == (known.id, None)
    assert str(person) not in str(gone)
