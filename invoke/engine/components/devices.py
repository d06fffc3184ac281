"""Devices and precisions; freeing memory; recognising out-of-memory errors."""

import ctypes
import gc
import sys
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch

from invoke.engine.components.compiler_choice import choose_compiler
from invoke.engine.components.compiling import NO_COMPILER, Compiler
from invoke.errors import EngineError
from invoke.options import EngineOptions, Offload, Quantize

_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
LARGE = 400_000_000
"""Models with at least this many bytes of weights are large; the built-in one has a tenth of it."""
_DTYPES = {"float32": torch.float32, "tf32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how networks are computed: device, precision, offloading, compilation."""

    device: torch.device
    dtype: torch.dtype
    offload: Offload = "none"
    compiler: Compiler = NO_COMPILER
    channels_last: bool = False
    """Whether networks use the channels-last memory format, which matrix instructions prefer."""
    large: torch.dtype | None = None
    """The precision of large networks, if it differs."""
    tf32: bool = False
    """Whether float32 matrix products use TF32."""
    quantize: Quantize = "none"
    """How the weights of large transformers are quantised."""
    is_packed: bool = False
    """Whether the transformer's weights come from a GGUF file."""

    def for_size(self, weights: int) -> "Placement":
        """The placement of a model with `weights` bytes of weights."""
        if self.large is None or weights < LARGE:
            return self
        return replace(self, dtype=self.large, channels_last=True)

    @property
    def device_name(self) -> str:
        return str(self.device)

    @property
    def dtype_name(self) -> str:
        computed = "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")
        kept = [*(["gguf"] if self.is_packed else []), *([self.quantize] if self.quantize != "none" else [])]
        return f"{computed}, {' and '.join(kept)} weights" if kept else computed


def choose_placement(options: EngineOptions) -> Placement:
    """Choose the device and precision that `options` ask for, or the best that this machine has.

    Raises EngineError if the device does not exist (code `no_device`), or if `--compile` finds nothing to compile with
    (`no_compiler`).
    """
    device = torch.device(_best() if options.device == "auto" else _checked(options.device))
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    is_cpu = device.type == "cpu"
    dtype = _DTYPES.get(options.precision, torch.float16 if device.type == "cuda" else torch.float32)
    return Placement(
        device,
        dtype,
        "none" if is_cpu else options.offload,
        choose_compiler(device) if options.compile else NO_COMPILER,
        channels_last=dtype == torch.bfloat16 if is_cpu else options.compile,
        large=torch.bfloat16 if is_cpu and options.precision == "auto" and _multiplies_bfloat16() else None,
        tf32=options.precision == "tf32" and device.type == "cuda",
        quantize=options.quantize,
    )


def memory_for_models(options: EngineOptions, place: Placement) -> int:
    """Bytes that networks may occupy: from `options`, else half of the machine's memory, or four fifths of a GPU's."""
    if options.max_memory:
        return int(options.max_memory * 10**9)
    if place.device.type == "cuda":
        return int(0.8 * torch.cuda.get_device_properties(place.device).total_memory)
    return int(psutil.virtual_memory().total // 2)


def inputs_of(network: Any) -> torch.device:
    """The device of a network's inputs: where it computes, even while it is offloaded (`--offload`)."""
    computes = getattr(getattr(network, "_hf_hook", None), "execution_device", getattr(network, "onload_device", None))
    device = next(network.parameters()).device if computes is None else torch.device(computes)
    return torch.device("cpu") if device.type == "meta" else device  # its layers move it themselves


def dtype_of(network: torch.nn.Module) -> torch.dtype:
    """The dtype of a network with a single dtype; diffusers' own `dtype` searches all layers, which takes 2 ms."""
    return next(network.parameters()).dtype


def free(place: Placement) -> None:
    """Return unreferenced memory to the device."""
    gc.collect()
    if _C_LIBRARY is not None and hasattr(_C_LIBRARY, "malloc_trim"):
        _C_LIBRARY.malloc_trim(0)  # glibc keeps freed memory until told to return it
    if place.device.type == "cuda":
        torch.cuda.empty_cache()
    elif place.device.type == "mps":
        torch.mps.empty_cache()


def memory_held(place: Placement) -> int:
    """Bytes of the device's memory that this process holds; on the CPU, its resident memory."""
    if place.device.type == "cuda":
        return torch.cuda.memory_reserved(place.device)
    if place.device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return int(psutil.Process().memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an out-of-memory error, of the device or of the CPU (which raises a RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether this process can no longer use the device (an illegal access, a reset driver)."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def _multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 products.

    With them Stable Diffusion 1.5 at 256×256 is 2.0 times as fast as in float32 (AVX-512), or 3.5 times (AMX); see
    `python -m benchmarks another_seed`. Results differ by about one percent, so small networks such as the built-in
    model, which gain little, stay in float32 and make the same pictures everywhere.
    """
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))


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
