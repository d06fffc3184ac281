"""Devices and precisions; freeing memory; recognising errors of running out of it."""

import ctypes
import gc
import shutil
import sys
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch

from invoke.errors import EngineError
from invoke.options import EngineOptions, Offload, Quantize

_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
LARGE = 400_000_000
"""Bytes of weights from which on a model is large; the built-in one has a tenth."""
_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Placement:
    """A device and the precision of the networks on it."""

    device: torch.device
    dtype: torch.dtype
    offload: Offload = "none"
    compiled: bool = False
    channels_last: bool = False
    """Whether networks keep their channels together in memory, as matrix instructions like them."""
    large: torch.dtype | None = None
    """The precision of large networks, if it is another one."""
    tf32: bool = False
    """Whether float32 products are rounded to TF32 on the way."""
    quantize: Quantize = "none"
    """How the weights of large transformers are kept."""

    def for_size(self, weights: int) -> "Placement":
        """Where a model of so many bytes of weights is computed."""
        if self.large is None or weights < LARGE:
            return self
        return replace(self, dtype=self.large, channels_last=True)

    @property
    def device_name(self) -> str:
        return str(self.device)

    @property
    def dtype_name(self) -> str:
        computed = "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")
        return computed if self.quantize == "none" else f"{computed}, {self.quantize} weights"


def choose_placement(options: EngineOptions) -> Placement:
    """The device and precision that `options` ask for, or the best that this machine has.

    Raises EngineError when the one that is asked for is not there (code `no_device`), or the compiler that
    `--compile` needs (`no_compiler`).
    """
    device = torch.device(_best() if options.device == "auto" else _checked(options.device))
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    is_cpu = device.type == "cpu"
    if is_cpu and options.compile and not _has_compiler():
        raise EngineError(
            "--compile needs a C++ compiler on a CPU, and there is none",
            code="no_compiler",
            hint="install g++ or set CXX, or leave --compile out",
        )
    dtype = _DTYPES.get(options.precision, torch.float16 if device.type == "cuda" else torch.float32)
    return Placement(
        device,
        dtype,
        "none" if is_cpu else options.offload,
        options.compile,
        channels_last=dtype == torch.bfloat16 if is_cpu else options.compile,
        large=torch.bfloat16 if is_cpu and options.precision == "auto" and _multiplies_bfloat16() else None,
        tf32=options.precision == "tf32" and device.type == "cuda",
        quantize=options.quantize,
    )


def memory_for_models(options: EngineOptions, place: Placement) -> int:
    """Bytes that networks may fill: what `options` say, else half of the memory there is (of a GPU, four fifths)."""
    if options.max_memory:
        return int(options.max_memory * 10**9)
    if place.device.type == "cuda":
        return int(0.8 * torch.cuda.get_device_properties(place.device).total_memory)
    return int(psutil.virtual_memory().total // 2)


def inputs_of(network: Any) -> torch.device:
    """Where a network takes what it is given: where it computes, also while it waits elsewhere (`--offload`)."""
    computes = getattr(getattr(network, "_hf_hook", None), "execution_device", None)
    device = next(network.parameters()).device if computes is None else torch.device(computes)
    return torch.device("cpu") if device.type == "meta" else device  # its layers fetch it


def dtype_of(network: torch.nn.Module) -> torch.dtype:
    """The precision of a network of one; diffusers' own `dtype` looks through all of its layers, for 2 ms."""
    return next(network.parameters()).dtype


def free(place: Placement) -> None:
    """Return unreferenced memory to the device."""
    gc.collect()
    if _C_LIBRARY is not None and hasattr(_C_LIBRARY, "malloc_trim"):
        _C_LIBRARY.malloc_trim(0)  # glibc keeps what is freed until it is asked
    if place.device.type == "cuda":
        torch.cuda.empty_cache()
    elif place.device.type == "mps":
        torch.mps.empty_cache()


def memory_held(place: Placement) -> int:
    """Bytes of the device's memory that this process holds; on the CPU, of the machine's."""
    if place.device.type == "cuda":
        return torch.cuda.memory_reserved(place.device)
    if place.device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return int(psutil.Process().memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the device or on the CPU (which raises a RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether the device can no longer be used by this process (an illegal access, a reset driver)."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def _multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16.

    Stable Diffusion 1.5 at 256×256 is then 2.0 times as fast as in float32 with AVX-512's, 3.5 times with AMX
    (`python -m benchmarks another_seed` compares both). The numbers differ by a hundredth, so that networks as small as
    the built-in model, for which it matters little, stay in float32 and make the same pictures everywhere.
    """
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))


def _has_compiler() -> bool:
    """Whether torch.compile finds what it compiles for a CPU with."""
    from torch._inductor import config

    names = (config.cpp.cxx,) if isinstance(config.cpp.cxx, str) else config.cpp.cxx
    return any(name and shutil.which(name) for name in names)


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _checked(name: str) -> str:
    kind, _, number = name.partition(":")
    devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in devices or (number and not number.isdecimal()):
        raise EngineError(f"--device: unknown device '{name}'", code="no_device", hint="auto, cuda, cuda:N, mps or cpu")
    if int(number or 0) >= devices[kind]:
        have = ", ".join(k for k, count in devices.items() if count)
        raise EngineError(
            f"--device {name}: this machine has no such device, only {have}",
            code="no_device",
            hint="--device auto takes the best one there is",
        )
    return name
