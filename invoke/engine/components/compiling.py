"""Networks compiled for a device (`--compile`): by OpenVINO on a CPU where it is installed, else by torch.

BACKENDS is the one table of what can compile; `choose_compiler` takes the first that fits.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from invoke.errors import EngineError
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


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to compile networks."""

    name: str
    devices: tuple[str, ...]
    """Device types that it compiles for."""
    is_there: Callable[[], bool]
    """Whether it is installed."""
    make: Callable[[], Compiler]


def choose_compiler(device: torch.device, backends: Sequence[Backend] | None = None) -> Compiler:
    """Choose the first of `backends` (by default BACKENDS) that is installed and compiles for `device`.

    Raises EngineError (code `no_compiler`) if there is none.
    """
    for backend in BACKENDS if backends is None else backends:
        if device.type in backend.devices and backend.is_there():
            return backend.make()
    raise EngineError(
        "--compile needs OpenVINO or a C++ compiler on a CPU, and there is neither",
        code="no_compiler",
        hint="pip install 'invoke-shell[openvino]', or install g++, set CXX, or omit --compile",
    )


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


def _openvino() -> Compiler:
    from invoke.engine.components.openvino_networks import OpenVINO

    return OpenVINO()


BACKENDS = (
    Backend("OpenVINO", ("cpu",), lambda: find_spec("openvino") is not None, _openvino),
    Backend("torch.compile with a C++ compiler", ("cpu",), has_cxx, Inductor),
    Backend("torch.compile", ("cuda", "mps"), lambda: True, Inductor),
)
