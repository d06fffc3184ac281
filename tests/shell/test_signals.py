"""The real program on a pseudo-terminal: signals at the prompt."""

import os
import pty
import select
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic

from tests.patience import PATIENCE
from tests.program import COMMAND


def test_sigterm_at_the_prompt_exits_with_143(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(COMMAND[0], [*COMMAND, "--no-history", "-o", str(tmp_path)])
    seen, deadline = b"", monotonic() + PATIENCE
    status = None
    while status is None and monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            with suppress(OSError):  # the other end may be closed
                seen += os.read(terminal, 65536)
            if b"invoke>" in seen:
                os.kill(child, signal.SIGTERM)
                seen = b""
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    os.close(terminal)
    assert status == 143
