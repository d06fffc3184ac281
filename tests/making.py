"""A request with all defaults, for the built-in model."""

from collections.abc import Callable
from typing import Any

from invoke.language.switches import by_field
from invoke.request import Request

ARequest = Callable[..., Request]
"""The type of the fixture `a_request`: a request with some changes."""


def a_request(**changes: Any) -> Request:
    """`a_request(seed=7)`: a cat at 256×256, but for `changes`."""
    table = {name: row.default for name, row in by_field().items()}
    cat = {"prompt": "a cat", "model": "pocket", "width": 256, "height": 256, "scheduler": "k_lms", "seed": 42}
    return Request(**(table | cat | changes))
