"""From pressing return to a prompt, beside the import of prompt_toolkit alone, in turns in one run.

python -m benchmarks.startup
"""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic

TURNS = 9
PROMPT = b"invoke>"


def main() -> None:
    """Print both times, their ratio, and whether the typing process has torch in memory."""
    prompts, imports = [], []
    torch = False
    for _ in range(TURNS):
        imports.append(_timed(_import_prompt_toolkit))
        seconds, has_torch = _until_prompt()
        prompts.append(seconds)
        torch = torch or has_torch
    ours, theirs = median(prompts), median(imports)
    print(f"start → prompt                  {ours:.3f} s ({min(prompts):.3f} … {max(prompts):.3f}), {TURNS} turns")
    print(f"import prompt_toolkit alone     {theirs:.3f} s ({min(imports):.3f} … {max(imports):.3f})")
    print(f"ratio                           {ours / theirs:.2f}")
    print(f"torch in the typing process     {'yes' if torch else 'no'}")


def _import_prompt_toolkit() -> None:
    subprocess.run([sys.executable, "-c", "import prompt_toolkit"], check=True)


def _timed(work: Callable[[], None]) -> float:
    started = monotonic()
    work()
    return monotonic() - started


def _until_prompt() -> tuple[float, bool]:
    started = monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "invoke", "--no-history"])
    seen = b""
    while PROMPT not in seen and monotonic() - started < 60:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536)
            if b"\x1b[6n" in seen:  # the terminal is asked where its cursor is
                os.write(terminal, b"\x1b[1;1R")
                seen = seen.replace(b"\x1b[6n", b"")
    seconds = monotonic() - started
    has_torch = "libtorch" in Path(f"/proc/{child}/maps").read_text(encoding="utf-8")
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    os.close(terminal)
    return seconds, has_torch


if __name__ == "__main__":
    main()
