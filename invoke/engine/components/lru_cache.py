"""LRUCache: the most recent results of a slow computation."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """At most `size` values by key; the least recently used one is evicted first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get_or_compute(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of `key`, computed if it is not cached."""
        if key not in self._values:
            self.put(key, compute())
        return self[key]

    def put(self, key: Hashable, value: Value) -> None:
        while key not in self._values and len(self._values) >= self._size:
            self._values.popitem(last=False)
        self._values[key] = value
        self._values.move_to_end(key)

    def __getitem__(self, key: Hashable) -> Value:
        self._values.move_to_end(key)
        return self._values[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def clear(self) -> None:
        self._values.clear()
