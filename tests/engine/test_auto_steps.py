"""A callback as an iterator: every value comes out, and closing it ends the function."""

from collections.abc import Callable
from threading import get_ident

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.engine.families.auto_steps import inverted


@given(st.lists(st.integers()), st.integers())
def test_all_callback_values_and_the_result_come_out(items: list[int], result: int) -> None:
    def run(tell: Callable[[int], None]) -> int:
        for item in items:
            tell(item)
        return result

    output = []
    steps = inverted(run)
    try:
        while True:
            output.append(next(steps))
    except StopIteration as end:
        assert (output, end.value) == (items, result)


@given(st.integers(1, 5))
def test_the_function_waits_until_its_value_is_consumed(count: int) -> None:
    output: list[int] = []

    def run(tell: Callable[[int], None]) -> None:
        try:
            for item in range(100):
                output.append(item)
                tell(item)
        finally:
            output.append(-1)

    steps = inverted(run)
    for _ in range(count):
        next(steps)
    assert output == list(range(count))
    steps.close()
    assert output == [*range(count), -1]


def test_an_exception_inside_is_raised_outside() -> None:
    def run(tell: Callable[[int], None]) -> None:
        tell(get_ident())
        raise KeyError("here")

    steps = inverted(run)
    assert next(steps) != get_ident()
    with pytest.raises(KeyError, match="here"):
        next(steps)
