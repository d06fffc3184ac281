"""Child processes: separate Python processes with pickled messages on pipes, which can be killed at any time."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from invoke import signals
from invoke.errors import ModelError

Q = TypeVar("Q")

ENVIRONMENT = {
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Variables that keep the libraries quiet and from running code of models."""
UNKNOWN = 256
"""Stands for the exit status of another process's child, which only its parent can know."""
START = "import sys, importlib; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).main()"


def start_child(
    module: str, errors: IO[bytes] | int, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process that runs `main()` of `module`; it reads and answers on pipes, and writes errors to `errors`.

    `environment` is added to that of this process.
    """
    root = Path(__file__).parents[1]
    # -P: do not import a torch.py of the working folder; a new session: Ctrl-C does not reach it
    return subprocess.Popen(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-P", "-c", START, str(root), module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        env={**os.environ, **environment} if environment else None,
    )


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """In a child: move standard input and output to other descriptors; output of libraries goes to standard error."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return questions, answers


def send(stream: IO[bytes], message: object) -> None:
    """Send a message. Raises OSError or ValueError if the reader has gone."""
    pickle.dump(message, stream)
    stream.flush()


def receive(stream: IO[bytes]) -> object:
    """The next message. Raises EOFError if the writer has gone."""
    try:
        return pickle.load(stream)  # noqa: S301 - the other end is this program
    except (OSError, ValueError, OverflowError, LookupError, pickle.UnpicklingError) as error:
        raise EOFError from error


def ask_child(module: str, question: object, broken: str) -> Any:
    """The answer of `main()` of `module` to `question`; Ctrl-C ends the process.

    Raises the ModelError that it answers with, or one with the message `broken` if it ends without an answer.
    """
    with start_child(module, subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, question)
            answer = signals.wait_for(partial(receive, child.stdout))
        except EOFError:
            raise ModelError(broken) from None
        finally:
            child.kill()
    if isinstance(answer, ModelError):
        raise answer
    return answer


def answer_parent(kind: type[Q], answer: Callable[[Q], object]) -> None:
    """In a child of `ask_child`: answer its question, of this `kind`, or with the ModelError raised; then end."""
    questions, answers = own_streams()
    os.environ.update(ENVIRONMENT)
    question = receive(questions)
    assert isinstance(question, kind)
    try:
        send(answers, answer(question))
    except ModelError as error:
        send(answers, error)
    os._exit(0)


LONGEST_ANSWER = 100_000


def ask_untrusted(module: str, question: object, broken: str) -> None:
    """Have `main()` of `module` do `question`; Ctrl-C ends the process.

    It reads what strangers have made, so that its answer is not believed: a short JSON object, `{}` or `error`, `code`
    and `hint`, which becomes a ModelError. Raises one that says `broken` where there is no such answer.
    """
    with start_child(module, subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, question)
            answer = json.loads(signals.wait_for(partial(child.stdout.read, LONGEST_ANSWER)))
        except (OSError, ValueError, RecursionError):
            raise ModelError(broken) from None
        finally:
            child.kill()
    if not isinstance(answer, dict):
        raise ModelError(broken)
    if answer:
        message, code, hint = (str(answer.get(key, "")) for key in ("error", "code", "hint"))
        raise ModelError(message or broken, code=code, hint=hint)


def answer_untrusted(stream: BinaryIO, error: ModelError | None) -> None:
    """The answer that `ask_untrusted` waits for."""
    answer = {} if error is None else {"error": error.message, "code": error.code, "hint": error.hint}
    stream.write(json.dumps(answer).encode())
    stream.flush()
