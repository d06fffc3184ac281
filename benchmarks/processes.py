"""Other processes: started once and then fed line by line, or run to their end."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter, sleep
from typing import Any

import psutil

from benchmarks.alternating import Cost
from benchmarks.jobs import Job
from benchmarks.machine import ROOT
from benchmarks.stock import question

INVOKE = (sys.executable, "-m", "invoke")
MAKING = (*INVOKE, "--json", "--offline", "--no-warm", "--device", "cpu")
"""The program, on the processor also where there is a GPU: what the peers run on."""
TUNING = ("OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "TORCH", "PYTORCH_", "MALLOC_", "LD_PRELOAD")
"""Prefixes of variables that change how the libraries compute, wait or allocate memory."""


class Program:
    """A process that answers each line with JSON lines."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """`environment` is added to that of this process."""
        self._errors = TemporaryFile()  # noqa: SIM115 - closed with the program
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            cwd=ROOT,
            env=os.environ | (environment or {}),
        )

    def say(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{line}\n" for line in lines)
        self._process.stdin.flush()

    def answers(self) -> Iterator[dict[str, Any]]:
        """What it says, to its end. Where it speaks of an error it is closed, and RuntimeError raised."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            answer = json.loads(line)
            if answer["type"] == "error":
                self.close()
                raise RuntimeError(f"invoke: {answer['message']}")
            yield answer

    def wait_for(self, wanted: str) -> dict[str, Any]:
        """The next answer of this type."""
        for answer in self.answers():
            if answer["type"] == wanted:
                return answer
        said = self._last_words()
        self.close()
        raise RuntimeError(f"it ended: {said}")

    def processor(self) -> float:
        """CPU seconds used so far by it and its children."""
        used = 0.0
        with suppress(psutil.NoSuchProcess):
            mother = psutil.Process(self._process.pid)
            for process in (mother, *mother.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    used += sum(process.cpu_times()[:2])
        return used

    def end(self) -> None:
        """End its input, so that it ends."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended by itself
            self._process.stdin.close()

    def close(self) -> None:
        """End it and wait; a failed one is already closed."""
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return
        self.end()
        self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")[-2000:]


class Ours(Program):
    """A session of the real program, its lines piped in."""

    def __init__(self, model: Path, outdir: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__((*MAKING, "-m", model, "-o", outdir), environment)
        session = self.wait_for("session")
        self.dtype = str(session["dtype"])

    def make(self, *lines: str, pictures: int = 1, sheet: str = "") -> None:
        """Say `lines`, and wait for their `pictures` and for the `sheet` of this kind."""
        self.say(*lines)
        for _ in range(pictures):
            self.wait_for("image")
        while sheet and self.wait_for("file")["kind"] != sheet:
            pass


class Theirs(Program):
    """A stock pipeline that is loaded once (`benchmarks.stock`)."""

    def __init__(self, model: Path, dtype: str, outdir: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is what its own users do not set; its name says so."""
        super().__init__((sys.executable, "-m", "benchmarks.stock", model, dtype), environment)
        self.name = f"diffusers, {dtype}" + (", waiting as invoke does" if environment else "")
        self._outdir = outdir
        self.wait_for("ready")

    def make(self, jobs: list[Job], *, count: int = 1, reload: str = "") -> None:
        """All of `jobs`, each `count` times in one call; `reload` reads that model from its files first."""
        self.say(question(jobs, self._outdir, count=count, reload=reload))
        self.wait_for("made")


def run_to_end(command: Sequence[str | Path], lines: Sequence[str], ready: str) -> tuple[Cost, Cost]:
    """The cost of a whole process for `lines`, and the part after it reported `ready`."""
    began, used = perf_counter(), children()
    program = Program(command)
    program.say(*lines)
    program.end()
    program.wait_for(ready)
    loaded, used_by_then = perf_counter(), program.processor()
    for _ in program.answers():
        pass
    program.close()
    ended, used = perf_counter(), children() - used
    return Cost(ended - began, used), Cost(ended - loaded, max(0.0, used - used_by_then))


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Peak memory in MB of it and its children, until it ends."""
    peak = 0
    while process.poll() is None:
        sleep(0.05)
        with suppress(psutil.NoSuchProcess):
            mother = psutil.Process(process.pid)
            family = [mother, *mother.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
    return peak / 2**20


def children() -> float:
    """Processor seconds of all processes that were started here and have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


@contextmanager
def fair_surroundings() -> Iterator[None]:
    """Every side runs as its own users run it: with the defaults of its libraries, or what it sets by itself.

    Nothing that is set here about threads, waiting or memory reaches any of them, but a number of threads
    (`OMP_NUM_THREADS`), which reaches all. Bytecode is kept; there is no network, and nobody's own settings.
    """
    with TemporaryDirectory() as home:
        folders = {f"XDG_{name}_HOME": str(Path(home) / name.lower()) for name in ("CONFIG", "STATE", "DATA")}
        changed: dict[str, str | None] = {**folders, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        changed |= {name: None for name in os.environ if name.startswith(TUNING) and name != "OMP_NUM_THREADS"}
        before = {name: os.environ.get(name) for name in changed}
        _set(changed)
        try:
            yield
        finally:
            _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
