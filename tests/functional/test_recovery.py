"""Getting back in, over the real processes: the whole way, and every way that is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional import rescue
from tests.functional.rescue import CODE, DONE, House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("recovery"))
    try:
        made.everybody()
        yield made
    finally:
        made.close()


def test_the_whole_way(house: House) -> None:
    parts = house.sent()
    assert house.mail.of("member@press.example", rescue.OPENED)
    assert house.mail.of("member@home.example", rescue.OPENED)
    new, answer = house.recover("member", parts)
    assert (answer.status, answer.place) == (303, "/en")
    assert house.case().state == "done"
    for address in ("member@press.example", "member@home.example"):
        house.mail.wait(address, DONE)
    assert new.get("/en").status == 200
