"""EngineOptions: where and how exactly pictures are computed. Nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal

Offload = Literal["none", "model", "group", "sequential"]
Precision = Literal["auto", "float32", "tf32", "float16", "bfloat16"]

Quantize = Literal["none", "int8", "nf4"]
"""`int8`: one byte for each weight (torchao); `nf4`: half a byte (bitsandbytes, on CUDA)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What a session asks of its engine."""

    device: str = "auto"
    """`auto`, `cuda`, `cuda:N`, `mps` or `cpu`."""
    precision: Precision = "auto"
    """`auto`: float16 on CUDA; elsewhere float32, but bfloat16 for large models on CPUs that multiply it."""
    quantize: Quantize = "none"
    """How the weights of large transformers are kept, where a model's entry does not say."""
    offline: bool = False
    """No hub is asked: only what lies on this disk is loaded."""
    offload: Offload = "none"
    """Where networks wait: on the device, or in the CPU's memory as wholes, block by block or layer by layer."""
    compile: bool = False
    """UNets are compiled (torch.compile): slow the first time at each size, then faster; last bits may differ."""
    graphs: bool = True
    """On CUDA, denoisers are launched as one (CUDA graphs): sooner, and the same to the last bit."""
    safety_checker: bool = False
    """Pictures are looked at by Stable Diffusion's safety checker, and blurred where it objects."""
    max_memory: float = 0
    """Gigabytes that models may fill, the one that was used longest ago goes first; 0: half of what there is."""
    nice: int = 0
    """Added to the engine's niceness: at a prompt, the keys come first."""
    threads: int = 0
    """Of each operation on a CPU; a picture's last bits depend on it. 0: PyTorch decides, one a core."""
