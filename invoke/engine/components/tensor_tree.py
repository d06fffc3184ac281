"""Tensors in mappings and sequences, as networks are given them and answer."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import torch


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`value` with every tensor in it changed, however deep it lies in mappings and lists."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: mapped(part, change) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(mapped(part, change) for part in value)
    return value


def shape(value: Any) -> Hashable:
    """What questions have in common that can be put as one: the shapes and types of their tensors, all else alike."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype
    if isinstance(value, Mapping):
        return tuple((name, shape(part)) for name, part in value.items())
    if isinstance(value, tuple | list):
        return tuple(shape(part) for part in value)
    return str(value)


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Those that `mapped` changes, in its order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(part)
