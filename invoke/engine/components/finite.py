"""Finds weights that hold NaN or infinity, as failed trainings and merges leave them."""

from collections.abc import Iterable

import torch

from invoke.errors import ModelError


def first_not_finite(tensors: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """The name of the first of the named `tensors` that holds NaN or infinity."""
    return next((name for name, tensor in tensors if not _is_finite(tensor)), None)


def check_finite(name: str, what: str, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Raise ModelError if one of the named `tensors` of `name`, which is `what` ("LoRA"), holds NaN or infinity."""
    if (damaged := first_not_finite(tensors)) is not None:
        raise not_finite(name, what, damaged)


def not_finite(name: str, what: str, tensor: str) -> ModelError:
    """The error for the weights `tensor` of `name`."""
    return ModelError(
        f"{name}: this {what} holds values that are not numbers (NaN or infinity), in {tensor}",
        code="not_finite",
        hint="download it again; if it stays so, it was saved broken: use another version of it",
    )


def _is_finite(tensor: torch.Tensor) -> bool:
    if tensor.is_meta or not tensor.is_floating_point():
        return True
    return bool(tensor.float().isfinite().all())
