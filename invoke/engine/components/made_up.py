"""Refuses networks of transformers whose files lack tensors: it fills them with random numbers, and only logs it."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = "transformers.modeling_utils"
_ROW = re.compile(r"^(\S+) *\|[^|]*(?:MISSING|MISMATCH)", re.MULTILINE)
"""A row of transformers' report about a network that it has read."""


class _Reports(logging.Handler):
    """Collects the names of tensors that were made up."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.tensors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.tensors += _ROW.findall(record.getMessage())


@contextmanager
def nothing_made_up() -> Iterator[None]:
    """Context in which pipelines are read. Raises ValueError on exit if a tensor of theirs is made up."""
    logger, reports = logging.getLogger(_LOGGER), _Reports()
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(reports)
    try:
        yield
    finally:
        logger.removeHandler(reports)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    if reports.tensors:
        raise ValueError(f"its files lack tensors that its configs ask for, such as {min(reports.tensors)}")
