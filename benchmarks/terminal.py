"""Latencies of the shell at a terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter, sleep

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.machine import ROOT
from benchmarks.results import Row

PROMPT = b"invoke>"
PAUSE = 0.06
"""Seconds between two keys of a fast typist."""
KEYS = 60
A_LINE = 40
"""Characters of a typed line."""
PATIENCE = 60.0


def prompt(bench: Bench) -> Iterator[Row]:
    """From pressing return to a prompt, beside the import of prompt_toolkit alone."""
    torch: list[bool] = []

    def until_prompt(turn: int) -> None:
        with _shell() as (child, _):
            torch.append("libtorch" in _mapped(child))

    def imported(turn: int) -> None:
        subprocess.run([sys.executable, "-c", "import prompt_toolkit"], check=True)

    costs = in_turns({"ours": Side(until_prompt), "import": Side(imported)}, turns=max(9, bench.turns))
    yield Row(
        what="process start → prompt",
        peer="import prompt_toolkit, alone",
        ours_costs=costs["ours"],
        peer_costs=costs["import"],
        facts={"torch in the typing process": any(torch)},
    )


def typing(bench: Bench) -> Iterator[Row]:
    """How long a key takes to appear while the model is loaded, and afterwards."""
    with _shell() as (_, terminal):
        for when in ("while the model loads", "afterwards"):
            waits = [1000 * _echo(terminal, letter) for letter in ("ZQXY" * KEYS)[:KEYS]]
            worst = quantiles(waits, n=100, method="inclusive")[98]
            yield Row(
                what=f"key → echo, {when}",
                facts={"ms": median(waits), "ms p99": worst, "ms at most": max(waits), "keys": KEYS},
            )
            sleep(5)
            _drain(terminal, 0)


def drawing(bench: Bench) -> Iterator[Row]:
    """The same while pictures are drawn and shown, compared with an idle prompt and a terminal that only echoes."""
    with _raw_echo() as terminal:
        yield _row("a program that only echoes", terminal)
    with _shell() as (_, terminal):
        sleep(10)
        _drain(terminal, 0)
        yield _row("at an idle prompt", terminal)
        _clear(terminal)
        os.write(terminal, b"a boat on the sea -s 1000 -W 256 -H 256\r")
        sleep(3)
        _drain(terminal, 0)
        yield _row("while a picture is drawn", terminal)


def _row(when: str, terminal: int) -> Row:
    waits = []
    for count, letter in enumerate(("ZQXY" * KEYS)[: 4 * KEYS]):
        if count % A_LINE == 0:
            _clear(terminal)
        waits.append(1000 * _echo(terminal, letter))
    worst = quantiles(waits, n=100, method="inclusive")[98]
    return Row(
        what=f"key → echo, {when}",
        facts={"ms": median(waits), "ms p99": worst, "ms at most": max(waits), "keys": len(waits)},
    )


def _clear(terminal: int) -> None:
    """Clear the line: suggestions from the history would show characters before they are typed."""
    os.write(terminal, b"\x15")
    sleep(PAUSE)
    _drain(terminal, 0)


@contextmanager
def _raw_echo() -> Iterator[int]:
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("sh", ["sh", "-c", "stty raw -echo; exec cat"])
    try:
        sleep(0.5)
        yield terminal
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


@contextmanager
def _shell() -> Iterator[tuple[int, int]]:
    """The shell in a terminal, its prompt just shown: process and terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "invoke", "--no-history", "--offline"])
    try:
        seen, began = b"", monotonic()
        while PROMPT not in seen:
            if monotonic() - began > PATIENCE:
                raise RuntimeError(f"no prompt after {PATIENCE:.0f} s")
            seen += _drain(terminal, 0.5)
        yield child, terminal
    finally:
        os.kill(child, signal.SIGKILL)  # at once: its end is not measured
        os.waitpid(child, 0)
        os.close(terminal)


def _echo(terminal: int, letter: str) -> float:
    """Seconds until `letter`, typed now, is shown."""
    os.write(terminal, letter.encode())
    began, seen = perf_counter(), b""
    while letter.encode() not in seen:
        if perf_counter() - began > PATIENCE:
            raise RuntimeError("a key was never shown")
        seen += _drain(terminal, 0.2)
    took = perf_counter() - began
    sleep(PAUSE)
    _drain(terminal, 0)
    return took


def _drain(terminal: int, seconds: float) -> bytes:
    """The first output within `seconds`. Queries to the terminal are answered."""
    if not select.select([terminal], [], [], seconds)[0]:
        return b""
    seen = os.read(terminal, 65536)
    if b"\x1b[6n" in seen:  # cursor position query
        os.write(terminal, b"\x1b[1;1R")
    return seen


def _mapped(child: int) -> str:
    """The files mapped by a process; "" if unreadable."""
    try:
        return Path(f"/proc/{child}/maps").read_text(encoding="utf-8")
    except OSError:
        return ""
