"""Temporarily replaces the attention processors of a UNet."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def attending(unet: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    """Context in which `unet` uses `processors` as its attention processors."""
    before = unet.attn_processors
    unet.set_attn_processor(dict(processors))
    try:
        yield
    finally:
        unet.set_attn_processor(before)
