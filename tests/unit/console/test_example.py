"""The example estate: in both languages it is right as it stands, below what a register says that has nothing yet."""

from __future__ import annotations

from datetime import date

import pytest

from keten.console.example import WIDTH, example
from keten.pages.words import Words
from keten.suppliers.reading import parse

HEAD = """organisation: {name: Proef, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: me, email: unchanged, roles: [administrator]}
"""


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("day", [date(2026, 11, 29), date(2028, 2, 29)])
def test_it_is_an_estate_in_which_somebody_may_fetch_something(language: str, day: date) -> None:
    text = example(Words(language, room="console"), "me", day)
    estate = parse(f"{HEAD}{text}".encode(), "example")
    (supplier,), (contract,), (dataset,), (grant,) = (
        estate.suppliers,
        estate.contracts,
        estate.datasets,
        estate.grants,
    )
    assert (dataset.owner, contract.starts, contract.supplier) == ("me", str(day), supplier.id)
    assert (grant.dataset, grant.contract, grant.purpose) == (dataset.id, contract.id, contract.purposes[0])
    assert supplier.people[0].roles == ("contact",)
    assert max(map(len, text.splitlines())) <= WIDTH + 20


def test_a_colleague_is_added_by_taking_the_mark_away() -> None:
    text = example(Words("nl", room="console"), "me", date(2026, 11, 29))
    line = next(one for one in text.splitlines() if one.startswith("#  - {id: collega"))
    estate = parse(f"{HEAD}{line[1:]}\n{text}".encode(), "example")
    assert [one.id for one in estate.people] == ["me", "collega"]


def test_what_it_says_in_the_two_languages_differs() -> None:
    dutch, english = (example(Words(one, room="console"), "me", date(2026, 11, 29)) for one in ("nl", "en"))
    assert "Leveranciers: wie gegevens krijgt." in dutch
    assert "Suppliers: who receives data." in english
