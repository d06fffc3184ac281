"""A process that turns weights in pickle files into safetensors, without running what such a file may hold.

Read by torch's `weights_only` unpickler, which knows tensors, numbers, texts, lists and mappings, and calls nothing
that a file names. A file that wants more is refused with the name of what it wanted.
"""

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoke.errors import ModelError, first_line
from invoke.processes import ENVIRONMENT, own_streams, receive, send

NESTED = ("state_dict", "params_ema", "params", "model_state_dict", "model", "string_to_param")
"""Where in a file the weights may be, instead of at its top."""
_WANTED = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, slots=True)
class Convert:
    """The question; the answer is None once `target` is there, or a ModelError."""

    source: Path
    target: Path


def convert(question: Convert) -> None:
    """Write the tensors of the pickle file `source` to `target`, whole or not at all. Raises ModelError."""
    from safetensors.torch import save_file

    tensors = _tensors(_read(question.source))
    if not tensors:
        raise ModelError(f"{question.source}: this file holds no weights")
    aside = question.target.with_name(f".{question.target.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, aside, metadata={"format": "pt"})
        os.link(aside, question.target)  # fails where the name is taken by now
    except OSError as error:
        raise ModelError(f"{question.target}: cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _WANTED.search(str(error))
        what = f"it wants {found[1]}" if found else "it wants more than tensors"
        raise ModelError(
            f"{path}: this file holds more than weights and was not opened: {what}",
            code="unsafe_pickle",
            hint="look for a .safetensors version of it",
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # bytes that are no pickle make the unpickler fail in every way
        raise ModelError(f"{path}: this file is damaged, or no file of weights: {first_line(error)}") from error


def _tensors(value: Any) -> dict[str, Any]:
    """Name → tensor, each with memory of its own; what is no tensor (steps, settings of the training) is left out."""
    import torch

    if not isinstance(value, Mapping):
        return {}
    for key in NESTED:
        if isinstance(value.get(key), Mapping):
            inner = value[key]
            if key == "string_to_param":  # a textual inversion as AUTOMATIC1111 writes it: one vector per token
                inner = dict(zip(("emb_params",), inner.values(), strict=False))
            return _tensors(inner)
    return {str(key): each.contiguous().clone() for key, each in value.items() if isinstance(each, torch.Tensor)}


def main() -> None:
    """Answer the question on standard input. Called in a fresh process."""
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    question = receive(questions)
    assert isinstance(question, Convert)
    answer: object = None
    try:
        convert(question)
    except ModelError as error:
        answer = error
    send(answers, answer)
    os._exit(0)
