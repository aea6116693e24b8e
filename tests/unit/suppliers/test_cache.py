"""The bounded cache, against a plain list that does the same slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.suppliers.cache import LeastRecent

STEPS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 6), st.integers(1, 7)), max_size=60)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache: LeastRecent[str, int] = LeastRecent(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_what_is_too_heavy_is_not_held_and_pushes_nothing_out() -> None:
    cache: LeastRecent[str, int] = LeastRecent(5)
    cache.put("a", 1, 3)
    cache.put("b", 2, 6)
    assert (cache.get("a"), cache.get("b"), cache.weight) == (1, None, 3)
    cache.put("a", 4, 6)
    assert (cache.get("a"), cache.weight) == (None, 0)


def test_nothing_is_held_after_clearing() -> None:
    cache: LeastRecent[str, int] = LeastRecent(5)
    cache.put("a", 1, 3)
    cache.clear()
    assert (len(cache), cache.weight, cache.get("a")) == (0, 0, None)


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        LeastRecent(0)


@given(STEPS, st.integers(1, 12))
def test_it_does_what_a_plain_list_does(steps: list[tuple[str, int, int]], capacity: int) -> None:
    cache: LeastRecent[int, str] = LeastRecent(capacity)
    held: list[tuple[int, str, int]] = []  # the one used last is at the end
    for at, (step, key, weight) in enumerate(steps):
        found = next((one for one in held if one[0] == key), None)
        if step == "get":
            assert cache.get(key) == (found[1] if found else None)
            if found:
                held.remove(found)
                held.append(found)
            continue
        if found:
            held.remove(found)
        if step == "drop":
            cache.drop(key)
            continue
        cache.put(key, f"{key}-{at}", weight)
        if weight <= capacity:
            held.append((key, f"{key}-{at}", weight))
        while sum(one[2] for one in held) > capacity:
            held.pop(0)
        assert cache.weight == sum(one[2] for one in held) <= capacity
        assert len(cache) == len(held)
