"""What a process remembers of storage: bounded, and never trusted without a check by storage."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentlyUsed(Generic[K, V]):
    """A mapping that forgets what was not used for longest."""

    def __init__(self, most: int, weigh: Callable[[V], int] = lambda _: 1) -> None:
        """Begin empty.

        Args:
            most: What all values may weigh together.
            weigh: What one value weighs; each counts as one when left out.
        """
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._items: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is remembered under a key, or None."""
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value, unless it weighs too much by itself."""
        self.forget(key)
        self._items[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._most:
            _, forgotten = self._items.popitem(last=False)
            self._weight -= self._weigh(forgotten)

    def forget(self, key: K) -> None:
        """Remember nothing under a key."""
        if key in self._items:
            self._weight -= self._weigh(self._items.pop(key))
