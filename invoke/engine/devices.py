"""Where tensors live and in which precision; what memory can be given back; how running out of it looks."""

import gc
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from invoke.engine.options import EngineOptions, Offload
from invoke.errors import EngineError

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Place:
    """A device and the precision of the networks on it."""

    device: torch.device
    dtype: torch.dtype
    offload: Offload = "none"
    compiled: bool = False

    @property
    def device_name(self) -> str:
        return str(self.device)

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose_place(options: EngineOptions) -> Place:
    """The device and precision that `options` ask for, or the best that this machine has.

    Raises EngineError (code `no_device`) when the one that is asked for is not there.
    """
    device = torch.device(_best() if options.device == "auto" else _checked(options.device))
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    if options.precision != "auto":
        dtype = _DTYPES[options.precision]
    return Place(device, dtype, options.offload if device.type != "cpu" else "none", options.compile)


def memory_for_models(options: EngineOptions, place: Place) -> int:
    """Bytes that networks may fill: what `options` say, else half of the memory there is (of a GPU, four fifths)."""
    if options.max_memory:
        return int(options.max_memory * 10**9)
    if place.device.type == "cuda":
        return int(0.8 * torch.cuda.get_device_properties(place.device).total_memory)
    return int(psutil.virtual_memory().total // 2)


def inputs_of(network: Any) -> torch.device:
    """Where a network takes what it is given: where it computes, also while it waits elsewhere (`--offload`)."""
    computes = getattr(getattr(network, "_hf_hook", None), "execution_device", None)
    device: torch.device = network.device if computes is None else torch.device(computes)
    return torch.device("cpu") if device.type == "meta" else device  # its layers fetch it


def free(place: Place) -> None:
    """Give back to the device what nothing refers to any more."""
    gc.collect()
    if place.device.type == "cuda":
        torch.cuda.empty_cache()
    elif place.device.type == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the device or on the CPU (which raises a RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether the device can no longer be used by this process (an illegal access, a reset driver)."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _checked(name: str) -> str:
    kind, _, number = name.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in there or (number and not number.isdecimal()):
        raise EngineError(f"--device: unknown device '{name}'", code="no_device", hint="auto, cuda, cuda:N, mps or cpu")
    if int(number or 0) >= there[kind]:
        have = ", ".join(k for k, count in there.items() if count)
        raise EngineError(
            f"--device {name}: this machine has no such device", code="no_device", hint=f"there is: {have}"
        )
    return name
