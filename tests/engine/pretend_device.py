"""A pretend accelerator: a device of its own name whose tensors are computed on the CPU, but never meet its tensors.

`register()` changes torch for the whole process: use it in one of its own (`tests/engine/pretend_lines.py`).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.utils._device
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
MOVES = {"aten::_to_copy", "aten::copy_", "aten::to"}
"""Functions that may mix tensors of both devices."""
FACTORIES = ("arange", "linspace", "full", "zeros", "ones", "eye", "randn", "rand", "randperm", "logspace", "tensor")


class MixedDevicesError(RuntimeError):
    """A tensor of the CPU was used beside tensors on the pretend device."""


class PretendTensor(torch.Tensor):
    """A tensor on the device; its data is in `raw`, on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> "PretendTensor":
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=f"{NAME}:0",
            requires_grad=False,
        )
        tensor.raw = raw
        return tensor

    def __init__(self, raw: torch.Tensor) -> None:
        pass

    def __repr__(self) -> str:
        return f"{NAME}({self.raw})"

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_on_device(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_on_device(index), value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def register() -> torch.device:
    """Register the device with torch."""
    torch.utils._device._device_constructors()  # remembers the functions that are replaced below
    _setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda op, *args, **kwargs: _run(op, args, kwargs), "PrivateUse1")
    _KEPT.append(library)
    for name in FACTORIES:
        setattr(torch, name, _made_here(getattr(torch, name)))
    # tensors made in inference mode have no version, which a wrapper cannot do without
    torch.inference_mode = lambda mode=True: torch.no_grad()  # type: ignore[assignment, misc]
    return torch.device(f"{NAME}:0")


_KEPT: list[Any] = []
"""What lasts as long as the process."""


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    name = func._schema.name
    for tensor in tree_leaves((args, kwargs)) if name not in MOVES else ():
        if isinstance(tensor, torch.Tensor) and not isinstance(tensor, PretendTensor) and tensor.dim() > 0:
            raise MixedDevicesError(f"{name}: a CPU tensor of {tuple(tensor.shape)} beside tensors on the device")
    device = kwargs.get("device")
    raw_kwargs = kwargs | ({} if device is None else {"device": "cpu"})
    made = func(*tree_map(_raw, args), **tree_map(_raw, raw_kwargs))
    if name == "aten::copy_" or (func._schema.is_mutable and args and made is _raw(args[0])):
        return args[0]
    if device is not None and torch.device(device).type == "cpu":
        return made
    return tree_map(lambda each: PretendTensor(each) if isinstance(each, torch.Tensor) else each, made)


def _raw(each: Any) -> Any:
    return each.raw if isinstance(each, PretendTensor) else each


def _on_device(index: Any) -> Any:
    """Convert lists of numbers in an index to tensors."""
    if isinstance(index, tuple):
        return tuple(map(_on_device, index))
    return torch.tensor(index).to(NAME) if isinstance(index, list) else index


def _made_here(factory: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`factory`, which makes what is asked of the device on the CPU, and brings it there."""

    def make(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is not None and torch.device(device).type == NAME:
            return factory(*args, **kwargs).to(device)
        return factory(*args, device=device, **kwargs)

    return make
