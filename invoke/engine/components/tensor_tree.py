"""Helpers for tensors nested in mappings and sequences, as in the inputs and outputs of networks."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import torch


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Apply `change` to every tensor in nested mappings and lists."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: mapped(part, change) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(mapped(part, change) for part in value)
    return value


def shape(value: Any) -> Hashable:
    """A key that is equal for calls that run the same operations: the form of tensors, and all other values."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype
    if value is None or isinstance(value, str | float):
        return value  # without asking whether it is a Mapping, which is slow
    if isinstance(value, Mapping):
        return tuple([(name, shape(part)) for name, part in value.items()])
    if isinstance(value, tuple | list):
        return tuple([shape(part) for part in value])
    return str(value)


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in `value`, in the order of `mapped`."""
    if isinstance(value, torch.Tensor):
        yield value
    elif value is not None and isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(part)
