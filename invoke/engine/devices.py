"""Where tensors live and in which precision; what memory can be given back; how running out of it looks."""

import gc
from dataclasses import dataclass

import torch

from invoke.engine.options import EngineOptions
from invoke.errors import EngineError

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Place:
    """A device and the precision of the networks on it."""

    device: torch.device
    dtype: torch.dtype

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
    if options.precision == "auto":
        return Place(device, torch.float16 if device.type == "cuda" else torch.float32)
    return Place(device, _DTYPES[options.precision])


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
