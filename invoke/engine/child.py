"""A Python of our own beside this one: the worker, and what it leaves to others (downloads, unsafe files)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, BinaryIO

ENVIRONMENT = {
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""What keeps the libraries quiet, and from running what models bring along."""
START = "import sys, importlib; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).main()"


def start_child(module: str, errors: IO[bytes] | int) -> "subprocess.Popen[bytes]":
    """A process that runs `main()` of `module`; it hears and answers on pipes, and complains to `errors`."""
    root = Path(__file__).parents[2]
    # -P: no torch.py of the working folder is imported; a session of its own: Ctrl-C does not reach it
    return subprocess.Popen(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-P", "-c", START, str(root), module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """In a child: standard input and output under other numbers; what libraries print goes to standard error."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return questions, answers
