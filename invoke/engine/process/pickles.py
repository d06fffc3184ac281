"""A process that converts weights in pickle files to safetensors without running code from the file.

`inert_unpickler` reads them. It answers in JSON, so that the parent process never unpickles anything from the file.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from invoke import files
from invoke.errors import ModelError, first_line
from invoke.processes import ENVIRONMENT, answer_untrusted, own_streams, receive


@dataclass(frozen=True, slots=True)
class Convert:
    """The request; the answer is None once `target` exists, or a ModelError."""

    source: Path
    target: Path


def convert(question: Convert) -> None:
    """Write the tensors of the pickle file `source` to `target` atomically. Raises ModelError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from invoke.engine.process.inert_unpickler import read_tensors

    try:
        tensors, facts = read_tensors(question.source)
    except OSError as error:
        raise ModelError(f"{question.source}: cannot be read: {error.strerror or error}") from error
    if not tensors:
        raise ModelError(f"{question.source}: this file does not contain weights")
    try:
        with files.making(question.target) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt", **facts})
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{question.target}: cannot be written: {getattr(error, 'strerror', None) or first_line(error)}"
        ) from error


def main() -> None:
    """Answer the request on standard input. Called in a fresh process."""
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    question = receive(questions)
    assert isinstance(question, Convert)
    failed = None
    try:
        convert(question)
    except ModelError as error:
        failed = error
    answer_untrusted(answers, failed)
    os._exit(0)
