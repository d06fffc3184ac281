"""EngineOptions: where and how exactly pictures are computed. Nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What a sitting asks of its engine."""

    device: str = "auto"
    """`auto`, `cuda`, `cuda:N`, `mps` or `cpu`."""
    precision: Precision = "auto"
    """`auto`: float16 on CUDA, float32 elsewhere."""
    offline: bool = False
    """No hub is asked: only what lies on this disk is loaded."""
