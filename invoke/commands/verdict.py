"""Verdict: the result of comparing two pictures, in `!verify` and `!compare`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a comparison. `psnr` is in decibels over 8-bit RGB, infinite for equal pictures."""

    path: str
    kind: Literal["same", "close", "different"]
    psnr: float
    reasons: tuple[str, ...]
    """Settings and versions that changed since the picture was made."""

    def __str__(self) -> str:
        if self.kind == "same":
            return f"{self.path}: same"
        reasons = "; ".join(self.reasons) or "no recorded setting has changed"
        return f"{self.path}: {self.kind}, PSNR {self.psnr:.1f} dB: {reasons}"
