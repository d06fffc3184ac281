"""A process that converts one network for OpenVINO, compiles it for one shape, and writes the result to a file.

It imports the result again, the way the engine will, and measures its error against float32 with the same weights and
inputs: a model imported with other settings than it was compiled with silently computes something else.
"""

import json
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from invoke.engine.components.openvino_networks import HEADER, Task, imported
from invoke.engine.components.tensor_tree import mapped, tensors
from invoke.errors import first_line
from invoke.files import replacing
from invoke.processes import own_streams, receive, send

NICENESS = 5
"""Added to that of the engine, which draws meanwhile."""


def main() -> None:
    """Run the Task from standard input; reply with an error message or ""."""
    questions, answers = own_streams()
    os.nice(NICENESS)
    with suppress(OSError):  # of all processes, this one can be spared when memory runs out
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    task = receive(questions)
    assert isinstance(task, Task)
    threading.Thread(target=_end_with, args=(questions,), daemon=True).start()
    try:
        export(task)
        answer = ""
    except Exception as error:
        answer = f"{type(error).__name__}: {first_line(error)}"
    send(answers, answer)
    os._exit(0)


def export(task: Task) -> float:
    """Write the file of `task`; return its relative error. Raises what the libraries raise.

    Memory is what it is short of: the weights are taken out of the task, and each form of the network is released
    when the next one is there.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each conversion to its makers
    import openvino

    given = list(tensors(task.arguments))
    network = _Flat(_rebuilt(task), task.arguments)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about values that are constant for one shape
        expected = network(*given)
        converted = openvino.convert_model(network, example_input=tuple(given))
        del network
    if len(converted.inputs) != len(given):
        raise ValueError(f"it takes {len(given)} tensors, and {len(converted.inputs)} were converted")
    converted.reshape({node: list(tensor.shape) for node, tensor in zip(converted.inputs, given, strict=True)})
    compiled = openvino.Core().compile_model(converted, "CPU", dict(task.settings))
    del converted
    stream = BytesIO()
    compiled.export_model(stream)
    del compiled
    exported = np.frombuffer(stream.getbuffer(), np.uint8)
    error = _error(imported(exported, task.settings)(given), expected)
    if not isfinite(error):
        raise ValueError("overflow")
    header = {"error": error, "sha256": sha256(exported.data).hexdigest()}
    with replacing(task.path, 0o600) as file:
        file.write(json.dumps(header).encode().ljust(HEADER))
        file.write(exported.data)
    return error


class _Flat(torch.nn.Module):
    """A network that takes the tensors in its arguments as a flat list, and returns a flat tuple."""

    def __init__(self, network: torch.nn.Module, arguments: tuple[tuple[Any, ...], Mapping[str, Any]]) -> None:
        super().__init__()
        self.network, self.arguments = network, arguments

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rest = iter(given)
        words, options = mapped(self.arguments, lambda _: next(rest))
        return tuple(tensors(self.network(*words, **options)))


def _rebuilt(task: Task) -> torch.nn.Module:
    """Build the network of `task` in float32."""
    import diffusers
    from accelerate import init_empty_weights

    with init_empty_weights():
        network = getattr(diffusers, task.kind).from_config(dict(task.config))
    module: torch.nn.Module = network.get_submodule(task.part)
    module.load_state_dict({name: task.state.pop(name).float() for name in list(task.state)}, assign=True)
    return module.eval().requires_grad_(False)


def _error(outputs: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """Return the largest ‖output − expected‖ / ‖expected‖."""
    return max(
        float((output - exact).norm() / exact.norm().clamp(min=1e-30))
        for output, exact in zip(outputs, expected, strict=True)
    )


def _end_with(questions: BinaryIO) -> None:
    """Exit when the engine does."""
    with suppress(OSError):
        questions.read()
    os._exit(1)
