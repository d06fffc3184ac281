"""EngineOptions: the device, precision and other settings of the engine. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

Offload = Literal["none", "model", "group", "sequential"]
Precision = Literal["auto", "float32", "tf32", "float16", "bfloat16"]

Quantize = Literal["none", "int8", "nf4"]
"""`int8`: one byte for each weight (torchao); `nf4`: half a byte (bitsandbytes, on CUDA)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """The settings of an engine."""

    device: str = "auto"
    """`auto`, `cuda`, `cuda:N`, `mps` or `cpu`."""
    precision: Precision = "auto"
    """`auto`: float16 on CUDA; elsewhere float32, but bfloat16 for large models on CPUs that multiply it."""
    quantize: Quantize = "none"
    """Quantization of large transformers, unless a model's entry sets it."""
    offline: bool = False
    """Contact no hub; load only models on this disk."""
    offload: Offload = "none"
    """Where unused networks are kept: on the device, or in CPU memory, whole, by block or by layer."""
    compile: bool = False
    """UNets are compiled (torch.compile): slow the first time at each size, then faster; last bits may differ."""
    graphs: bool = True
    """Calls of the denoiser are recorded, on CUDA as CUDA graphs: faster, and bit-identical."""
    safety_checker: bool = False
    """Run Stable Diffusion's safety checker, and blur pictures that it flags."""
    max_memory: float = 0
    """Limit in gigabytes for loaded models; the least recently used is unloaded first. 0: half of the memory."""
    nice: int = 0
    """Added to the engine's niceness, so that the prompt stays responsive."""
    threads: int = 0
    """Threads of each operation on a CPU; a picture's last bits depend on it. 0: PyTorch decides, one per core."""
