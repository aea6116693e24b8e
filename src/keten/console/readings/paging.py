"""A page of a list: which rows are on it, by the names as stored; the rows themselves are then read and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec


class Chosen(msgspec.Struct, frozen=True):
    """The ids of a page. count: how many match; all: how many there are; page: from 1, of `pages`."""

    ids: tuple[str, ...]
    count: int
    all: int
    page: int
    pages: int


def chosen(
    called: Iterable[tuple[str, ...]],
    wanted: str,
    page: int,
    size: int,
    later: Callable[[str], bool] = lambda _row_id: False,
) -> Chosen:
    """The page of those with a name that holds `wanted`, in the order of their names.

    called: of each row its names, as they are sorted and sought (folded), and last its id. page: the nearest that is.
    later: whether a row comes after all for which it is not so.
    """
    found = sorted(called, key=lambda row: (later(row[-1]), row))
    sought = wanted.casefold()
    matching = [row[-1] for row in found if any(sought in name for name in row[:-1])]
    pages = max(1, -(-len(matching) // size))
    page = min(max(page, 1), pages)
    return Chosen(tuple(matching[(page - 1) * size : page * size]), len(matching), len(found), page, pages)
