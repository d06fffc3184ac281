"""Questions that a process of its own answers, so that they can be given up: what the hub has, what a pickle holds."""

import subprocess
from typing import Any

from invoke.engine.child import start_child
from invoke.engine.messages import receive, send
from invoke.errors import ModelError


def ask_child(module: str, question: object, broken: str) -> Any:
    """The answer of `main()` of `module` to `question`; Ctrl-C ends the process.

    Raises the ModelError that it answers with, or one that says `broken` where it ends without an answer.
    """
    with start_child(module, subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, question)
            answer = receive(child.stdout)
        except EOFError:
            raise ModelError(broken) from None
        finally:
            child.kill()
    if isinstance(answer, ModelError):
        raise answer
    return answer
