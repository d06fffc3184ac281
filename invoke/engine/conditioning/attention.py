"""Attention processors of a UNet, replaced for the length of a call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def attending(unet: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    """While this holds, the layers of `unet` attend as `processors` say."""
    before = unet.attn_processors
    unet.set_attn_processor(dict(processors))
    try:
        yield
    finally:
        unet.set_attn_processor(before)
