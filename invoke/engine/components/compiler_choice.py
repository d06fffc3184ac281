"""BACKENDS: the one table of what can compile networks (`--compile`); the first that fits is taken.

OpenVINO on a CPU where it is installed, else torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from invoke.engine.components.compiling import Compiler, Inductor, has_cxx
from invoke.errors import EngineError


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


def _openvino() -> Compiler:
    from invoke.engine.components.openvino_networks import OpenVINO

    return OpenVINO()


BACKENDS = (
    Backend("OpenVINO", ("cpu",), lambda: find_spec("openvino") is not None, _openvino),
    Backend("torch.compile with a C++ compiler", ("cpu",), has_cxx, Inductor),
    Backend("torch.compile", ("cuda", "mps"), lambda: True, Inductor),
)
