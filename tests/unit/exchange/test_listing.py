"""Pages of a listing: bounded in number and bytes, and together everything once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from keten.core.ids import new_id
from keten.exchange import listing
from keten.exchange.cursors import Position
from keten.exchange.listing import Page, Question, Visible
from keten.exchange.objects import Objects
from keten.suppliers.model import Grant
from keten.vault import service as vault
from keten.vault.tables import objects
from tests.many import write_objects
from tests.unit.vault.house import NOW, House, tamper

EVERYTHING = Question()
LONG = "\U00020000" * 247  # with three digits more 250 characters, nearly all of 4 bytes


def fill(house: House, dataset: str, names: list[str], expires_us: int = 0) -> None:
    """Rows of objects, bound to their entries, without content."""
    with house.writing() as writing:
        write_objects(writing, dataset, names, expires_us)


def granted(*datasets: str) -> list[Visible]:
    """A share for each dataset, as `allowed` orders them."""
    shares = [
        Visible(
            Grant(
                id=new_id(),
                name="own name",
                dataset=dataset,
                contract=new_id(),
                supplier=new_id(),
                purpose="purpose",
                form="file",
                label=f"label-{number}",
            ),
            f"label-{number}",
            NOW + 1,
        )
        for number, dataset in enumerate(datasets)
    ]
    return sorted(shares, key=lambda one: one.grant.id)


def turn(
    house: House, shares: list[Visible], limit: int, begins: Position | None = None, question: Question = EVERYTHING
) -> Page:
    return asyncio.run(listing.page(shares, Objects(house.reader), question, begins, limit, NOW))


def turned(house: House, shares: list[Visible], limit: int, question: Question = EVERYTHING) -> list[Page]:
    """Every page, from the first to the last."""
    pages = [turn(house, shares, limit, None, question)]
    while pages[-1].next is not None:
        pages.append(turn(house, shares, limit, pages[-1].next, question))
    return pages


def seen(pages: list[Page]) -> list[tuple[str, str]]:
    return [(share.grant.id, one.name) for page in pages for share in page.shares for one in share.objects]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 7), max_size=6), limit=st.integers(1, 9), chunk=st.integers(1, 4))
def test_pages_are_together_everything_once(
    house: House, monkeypatch: pytest.MonkeyPatch, sizes: list[int], limit: int, chunk: int
) -> None:
    monkeypatch.setattr(listing, "CHUNK", chunk)
    datasets = [new_id() for _size in sizes]
    for dataset, size in zip(datasets, sizes, strict=True):
        fill(house, dataset, [f"{n}.csv" for n in range(size)])
    shares = granted(*datasets)
    pages = turned(house, shares, limit)
    size_of = dict(zip(datasets, sizes, strict=True))
    assert seen(pages) == [(one.grant.id, f"{n}.csv") for one in shares for n in range(size_of[one.grant.dataset])]
    assert list(dict.fromkeys(share.grant.id for page in pages for share in page.shares)) == [
        one.grant.id for one in shares
    ]
    for page in pages:
        assert len(page.shares) <= limit
        assert sum(len(share.objects) for share in page.shares) <= limit
        assert page.shares or len(pages) == 1
    bare = turned(house, shares, limit, Question(bare=True))
    assert [(share.grant.id, share.objects) for page in bare for share in page.shares] == [
        (one.grant.id, ()) for one in shares
    ]


def test_three_hundred_grants_of_one_client(house: House) -> None:
    datasets = [new_id() for _each in range(300)]
    for dataset in datasets:
        fill(house, dataset, ["a.csv", "b.csv"])
    shares = granted(*datasets)
    pages = turned(house, shares, 100)
    assert len(seen(pages)) == len(set(seen(pages))) == 600
    assert len(pages) == 6


def test_names_of_250_characters_of_4_bytes_make_pages_shorter(house: House) -> None:
    dataset = new_id()
    names = [f"{LONG}{n:03}" for n in range(999)]
    assert len(names[0].encode()) == 991
    fill(house, dataset, names)
    pages = turned(house, granted(dataset), listing.MAX_PAGE)
    assert [name for _grant, name in seen(pages)] == names
    assert len(pages) == 2
    for page in pages:
        assert len(msgspec.json.encode(page)) <= 2 * listing.MAX_PAGE_BYTES, "with all that is told to nobody"


def test_one_object_always_fits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 10)
    dataset = new_id()
    fill(house, dataset, ["a", "b", "c"])
    assert [name for _grant, name in seen(turned(house, granted(dataset), 100))] == ["a", "b", "c"]


def test_what_is_over_is_not_shown_and_counts_as_read(house: House) -> None:
    dataset = new_id()
    fill(house, dataset, [f"{n}.csv" for n in range(10)], expires_us=NOW)
    fill(house, dataset, ["z.csv"], expires_us=NOW + 1)
    pages = turned(house, granted(dataset), 4)
    assert [len(page.shares[0].objects) for page in pages] == [0, 0, 1], "a page costs no more for it"
    assert [name for _grant, name in seen(pages)] == ["z.csv"]


def test_a_grant_that_ends_between_pages(house: House) -> None:
    datasets = [new_id() for _each in range(3)]
    for dataset in datasets:
        fill(house, dataset, ["a", "b", "c"])
    shares = granted(*datasets)
    first = turn(house, shares, 4)
    assert first.next == Position(shares[1].grant.id, "a")
    rest = turn(house, [shares[0], shares[2]], 4, first.next)
    assert seen([rest]) == [(shares[2].grant.id, name) for name in "abc"]
    assert rest.next is None


def test_a_damaged_row_hides_its_object_alone(house: House) -> None:
    dataset = new_id()
    fill(house, dataset, ["a", "b", "c"])
    with house.reading() as connection:
        (damaged,) = [one for one in vault.objects_of(connection, dataset) if one.name == "b"]
    tamper(house, update(objects).where(objects.c.id == damaged.id).values(body=b"{}"))
    pages = turned(house, granted(dataset), 2)
    assert [name for _grant, name in seen(pages)] == ["a", "c"]
    assert sum(page.left_out for page in pages) == 1
    for question in (Question(name="b", share=""), Question(object=damaged.id)):
        assert turn(house, granted(dataset), 2, None, question).shares == ()


def test_one_object_by_name_or_id(house: House) -> None:
    one, other = new_id(), new_id()
    fill(house, one, ["a", "b", "é"])
    fill(house, other, ["a"])
    fill(house, other, ["over"], expires_us=NOW)
    shares = granted(one, other)
    of_one = next(share for share in shares if share.grant.dataset == one)
    with house.reading() as connection:
        b = next(found for found in vault.objects_of(connection, one) if found.name == "b")

    def found(**asked: str) -> list[tuple[str, str]]:
        page = turn(house, shares, 10, None, msgspec.structs.replace(EVERYTHING, **asked))
        assert page.next is None
        assert all(share.objects for share in page.shares)
        return seen([page])

    assert found(label=of_one.label, name="b") == found(share=of_one.grant.id, name="b") == found(object=b.id)
    assert found(object=b.id) == [(of_one.grant.id, "b")]
    assert found(label=of_one.label, name="e\N{COMBINING ACUTE ACCENT}") == [(of_one.grant.id, "é")]
    assert len(found(name="a")) == 2
    for asked in (
        {"name": "A"},
        {"name": "../a"},
        {"name": "over"},
        {"object": new_id()},
        {"object": "x"},
        {"label": "none", "name": "b"},
        {"share": new_id(), "name": "b"},
    ):
        assert found(**asked) == [], asked
