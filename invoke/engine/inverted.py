"""A callback turned inside out: what a function tells while it runs becomes an iterator that its caller holds."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def inverted(run: Callable[[Callable[[Item], None]], Result]) -> Generator[Item, None, Result]:
    """Yield what `run(tell)` tells, then return its result, or raise what it raises.

    `run` is in a thread of its own; one of the two waits for the other at any time. When the iterator is closed,
    the `tell` that is waited in raises an exception that no `except Exception` catches.
    """
    told: SimpleQueue[_Told[Item] | _Ended | BaseException] = SimpleQueue()
    wanted: SimpleQueue[bool] = SimpleQueue()
    results: list[Result] = []

    def tell(item: Item) -> None:
        told.put(_Told(item))
        if not wanted.get():
            raise _Closed

    def body() -> None:
        try:
            results.append(run(tell))
            told.put(_Ended())
        except BaseException as error:  # raised where the iterator is
            told.put(error)

    thread = Thread(target=body, name="inverted", daemon=True)
    thread.start()
    try:
        while isinstance(news := told.get(), _Told):
            yield news.item
            wanted.put(True)
    finally:
        wanted.put(False)
        thread.join()
    if isinstance(news, BaseException):
        raise news
    return results[0]


class _Closed(BaseException):
    """Nobody listens any more."""


@dataclass(frozen=True, slots=True)
class _Told(Generic[Item]):
    item: Item


class _Ended:
    """Nothing more will be told."""
