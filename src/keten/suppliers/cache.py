"""A bounded cache that forgets what was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LeastRecent(Generic[K, V]):
    """Holds values of together at most `capacity` units of weight, such as rows. Not safe between threads."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a cache needs room for at least one")
        self._capacity = capacity
        self._weight = 0
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def weight(self) -> int:
        """The weight of all that is held."""
        return self._weight

    def get(self, key: K) -> V | None:
        """The value, used just now; None when it is not held."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Hold a value, and let go of others if need be. What is heavier than the whole cache is not held."""
        self.drop(key)
        if weight > self._capacity:
            return
        self._held[key] = (value, weight)
        self._weight += weight
        while self._weight > self._capacity:
            _, (_, lost) = self._held.popitem(last=False)
            self._weight -= lost

    def drop(self, key: K) -> None:
        """Let go of one value, if it is held."""
        held = self._held.pop(key, None)
        if held is not None:
            self._weight -= held[1]

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._weight = 0
