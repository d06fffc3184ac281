"""Signals as flags: none is lost, the current file is finished, a second signal ends at once."""

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from invoke import signals
from tests.patience import PATIENCE
from tests.program import ROOT


def child(code: str, *, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs `code` within `as_flags`, and ends as the program does."""
    script = f"""
import os, queue, signal, sys, threading, time
from invoke import signals
try:
    with signals.as_flags():
{textwrap.indent(textwrap.dedent(code), "        ")}
        sys.exit(signals.status() or 0)
except KeyboardInterrupt:
    sys.exit(130)
"""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=timeout, check=False
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
@pytest.mark.parametrize(
    "wait",
    [
        "signals.get(queue.Queue())",
        "signals.wait_for(lambda: os.read(os.pipe()[0], 1))",
        "while not signals.status(): time.sleep(0.01)",
    ],
)
def test_a_signal_ends_any_kind_of_wait(number: signal.Signals, status: int, wait: str) -> None:
    outcome = child(f"threading.Timer(0.1, os.kill, (os.getpid(), {number})).start()\n{wait}")
    assert (outcome.returncode, outcome.stderr) == (status, "")


def test_a_signal_while_a_piped_picture_is_awaited() -> None:
    """A thread that held the lock of standard input would abort the interpreter."""
    outcome = child(
        """
        from invoke.cli.stdin import Piped
        os.dup2(os.pipe()[0], 0)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        Piped(sys.stdin.buffer)._read()
        """
    )
    assert (outcome.returncode, outcome.stderr) == (143, "")


def test_a_signal_during_a_destructor_is_not_lost() -> None:
    """Deterministic: each deleted object sends one while its destructor runs."""
    outcome = child(
        """
        class Sends:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
        Sends()
        signals.check()
        print("lost")
        """
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (143, "", "")


def test_running_code_finishes_and_a_second_signal_ends_it_at_once() -> None:
    code = "os.kill(os.getpid(), signal.SIGTERM); print('written', flush=True)\n"
    assert child(code).stdout == "written\n"
    outcome = child(code + "os.kill(os.getpid(), signal.SIGTERM); print('never', flush=True)")
    assert (outcome.returncode, outcome.stdout) == (143, "written\n")


def test_code_that_never_checks_is_ended_after_a_grace_period() -> None:
    outcome = child("signals.GRACE = 0.2\nos.kill(os.getpid(), signal.SIGTERM)\nwhile True: time.sleep(0.05)")
    assert outcome.returncode == 143


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.as_flags():
            os.kill(os.getpid(), signal.SIGHUP)
            signals.check()
            assert signals.status() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_pressed_receives_each_ctrl_c_at_the_prompt() -> None:
    presses: list[int] = []
    with signals.as_flags(interactive=True):
        with signals.pressed(presses.append):
            signals.check()
            signal.raise_signal(signal.SIGINT)
            signals.check()
            signal.raise_signal(signal.SIGINT)
            signals.check()
        assert presses == [1, 2]
        signals.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.check()
        signals.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):  # nobody has looked since the first
            signal.raise_signal(signal.SIGINT)


def test_only_the_main_thread_is_interrupted() -> None:
    items: queue.Queue[str] = queue.Queue()
    with signals.as_flags(interactive=True):
        signal.raise_signal(signal.SIGINT)
        thread = threading.Thread(target=lambda: (signals.check(), items.put("went on")))
        thread.start()
        thread.join()
        assert items.get() == "went on"
        with pytest.raises(KeyboardInterrupt):
            signals.check()


def test_an_exception_of_a_thread_is_raised_in_wait_for() -> None:
    with pytest.raises(ZeroDivisionError):
        signals.wait_for(lambda: 1 // 0)
    with pytest.raises(queue.Empty):
        signals.get(queue.Queue(), 0.01)


def test_time_spent_stopped_does_not_count(tmp_path: Path) -> None:
    """Ctrl-Z, a pause, fg."""
    done = tmp_path / "done"
    script = f"""
import os, signal, sys, time
from pathlib import Path
from invoke import signals
with signals.as_flags(), signals.around_stop(lambda: print("stops", flush=True), lambda: print("goes on", flush=True)):
    wall, began = time.monotonic(), signals.running_time()
    print("ready", flush=True)
    while not Path({str(done)!r}).exists():
        time.sleep(0.01)
    ran = signals.running_time() - began
    print(time.monotonic() - wall - ran >= 0.3)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTSTP)
        assert process.stdout.readline() == "stops\n"
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # it says so a moment before it is
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        done.touch()
        assert process.stdout.read() in {"goes on\nTrue\n", "goes on\ngoes on\nTrue\n"}
