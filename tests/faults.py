"""Faults injected into this process: a kill before any call that changes a file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest

CHANGING = ("write", "link", "unlink", "fsync", "rename", "replace", "mkdir", "rmdir", "open", "ftruncate")


class Killed(BaseException):
    """Stands for a killed process: nothing more may happen."""


@contextmanager
def full_after_one_picture(code: int) -> Iterator[None]:
    """The first picture is saved; every later one fails with the error `code`."""
    real, named = os.link, count()

    def link(*arguments: Any, **more: Any) -> None:
        if next(named):
            raise OSError(code, os.strerror(code))
        real(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", link)
        yield


@contextmanager
def killed_at_call(number: int) -> Iterator[list[str]]:
    """From the `number`th call that changes a file on, no such call has an effect; yields the names of earlier ones.

    If that one writes, it writes half.
    """
    calls, made = count(1), list[str]()
    opened: set[int] = set()
    close = os.close

    def dying(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **more: Any) -> Any:
            made.append(name)
            here = next(calls)
            if here == number and name == "write":
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if here >= number:
                raise Killed
            result = None if name == "fsync" else call(*arguments, **more)  # a kill loses nothing that was written
            if name == "open":
                opened.add(result)
            return result

        return instead

    def closed(descriptor: int) -> None:
        opened.discard(descriptor)
        close(descriptor)

    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGING:
                patch.setattr(os, name, dying(name, getattr(os, name)))
            patch.setattr(os, "close", closed)
            yield made
    finally:
        for descriptor in opened:  # the system does that, and releases locks
            with suppress(OSError):
                close(descriptor)


@contextmanager
def its_process_gone() -> Iterator[None]:
    """Make this process, after such a kill, count as dead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("invoke.files._alive", lambda pid: False)
        yield
