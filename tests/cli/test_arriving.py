"""Lines from a quick, slow or failing producer."""

from collections.abc import Iterator
from itertools import pairwise
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.cli.stdin import AHEAD, WAITING, arriving


@given(st.lists(st.text(), max_size=2 * AHEAD))
def test_available_lines_come_in_order(lines: list[str]) -> None:
    assert [line for line in arriving(lines) if line is not WAITING] == lines


def test_waiting_comes_once_before_a_late_line() -> None:
    go_on = Event()

    def slow() -> Iterator[str]:
        yield "a fire"
        yield "a cat"
        go_on.wait()
        yield "a house"

    came = []
    for line in arriving(slow(), patience=0.5):
        came.append(line)
        if line is WAITING:
            go_on.set()
    assert [line for line in came if line is not WAITING] == ["a fire", "a cat", "a house"]
    assert came[-2] is WAITING
    assert (WAITING, WAITING) not in pairwise(came)


def test_an_error_comes_after_the_lines_before_it() -> None:
    def broken() -> Iterator[str]:
        yield "a fire"
        raise OSError("unplugged")

    lines = arriving(broken())
    assert next(lines) == "a fire"
    with pytest.raises(OSError, match="unplugged"):
        list(lines)
