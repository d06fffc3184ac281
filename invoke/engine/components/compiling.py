"""Compiler: what compiles networks (`--compile`), and the one of torch. `compiler_choice.py` chooses."""

import shutil
from collections.abc import Callable
from typing import Any

import torch

from invoke.events import EngineEvent


class Compiler:
    """Compiles networks. This one compiles none."""

    kinds: frozenset[str] = frozenset()
    """Class names of the networks that it compiles, in models with a UNet."""
    reads_packed = True
    """Whether it can read packed weights (`packing.py`)."""

    def compile(self, network: torch.nn.Module, device: torch.device) -> None:
        """Compile `network`, which runs on `device`, for the shapes that it is called with."""

    def begin_picture(self) -> None:
        """Switch to networks that have been compiled meanwhile. Called between pictures."""

    def notes(self) -> list[str]:
        """Return the notes for the user since the last call."""
        return []

    def recorded(self, event: EngineEvent) -> EngineEvent:
        """Return `event`; the facts of a finished picture say what computed it if more than last bits differ."""
        return event

    def close(self) -> None:
        """Stop background work."""


NO_COMPILER = Compiler()


class Inductor(Compiler):
    """torch.compile.

    On a CPU the weights become constants of the compiled code (inductor's `freezing`), which makes it faster. While
    such a network has other weights, such as a LoRA's, the compiled code must not run: the network runs uncompiled.
    """

    kinds = frozenset({"UNet2DConditionModel"})
    reads_packed = False

    def compile(self, network: torch.nn.Module, device: torch.device) -> None:
        """See `Compiler.compile`."""
        if device.type == "cpu":
            import torch._inductor.config

            torch._inductor.config.freezing = True  # for the process: dynamo reads it before a network's own options
        network.compile()


def without_constants(network: torch.nn.Module, weights: str) -> Callable[[], None]:
    """Keep `network` from running compiled code that holds copies of its weights; call the result to undo this.

    `weights` identifies what is added to them: OpenVINO compiles a network for each set of weights. Code compiled by
    torch for a CPU is not used until the network's own weights are back.
    """
    code: Any = network._compiled_call_impl
    if hasattr(code, "weights"):
        code.weights = weights

        def end() -> None:
            code.weights = ""

        return end
    if code is not None and next(network.parameters()).device.type == "cpu":
        network._compiled_call_impl = None

    def put_back() -> None:
        network._compiled_call_impl = code

    return put_back


def has_cxx() -> bool:
    """Whether torch.compile finds a C++ compiler, which it needs on a CPU."""
    from torch._inductor import config

    names = (config.cpp.cxx,) if isinstance(config.cpp.cxx, str) else config.cpp.cxx
    return any(name and shutil.which(name) for name in names)
