"""The real program in a process of its own: words in; stdout, stderr and exit status out."""

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from jsonschema import Draft202012Validator

from tests import preloaded
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "invoke" / "cli" / "events.schema.json"
COMMAND = [sys.executable, "-P", "-m", "invoke"]


@dataclass(frozen=True)
class Outcome:
    """The result of a process."""

    stdout: str
    stderr: str
    status: int

    @property
    def paths(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout, each as the schema has it."""
        return [event_of(line) for line in self.stdout.splitlines()]

    def of_type(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == name]


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def event_of(line: str) -> dict[str, Any]:
    """One line of `--json`. Raises ValidationError if it is not as the shipped schema has it."""
    event: dict[str, Any] = json.loads(line)
    _schema().validate(event)
    return event


def invoke(*arguments: str | Path, stdin: str | bytes = "", cwd: Path = ROOT, is_preloaded: bool = True) -> Outcome:
    """Run `invoke` with `arguments`, `stdin` piped in.

    With `is_preloaded`, its engine is forked from a process that has imported torch; else all is as for a user.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        cwd=cwd,
        timeout=2 * PATIENCE,
        check=False,
        env=os.environ | preloaded.environment() if is_preloaded else None,
    )
    return Outcome(done.stdout.decode(), done.stderr.decode(), done.returncode)


def forked(*arguments: str | Path, stdin: str = "", cwd: Path = ROOT) -> Outcome:
    """The same in a fork of this process, with modules already imported, for commands without an engine.

    `stdin` is less than a pipe holds.
    """
    reading, writing = os.pipe()
    os.write(writing, stdin.encode())
    os.close(writing)
    with TemporaryFile() as out, TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            os._exit(_run([*map(str, arguments)], (reading, out.fileno(), err.fileno()), cwd))
        os.close(reading)
        _, code = os.waitpid(pid, 0)
        texts = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return Outcome(*texts, os.waitstatus_to_exitcode(code))


def _run(arguments: list[str], streams: Sequence[int], cwd: Path) -> int:
    """In a fork: `invoke` as it is run from a shell."""
    status = 99
    try:
        os.chdir(cwd)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin, sys.stdout, sys.stderr = (open(number, "wr"[number == 0]) for number in (0, 1, 2))  # noqa: SIM115, PTH123
        logging.getLogger().handlers.clear()
        from invoke.cli.main import main

        status = int(main(arguments))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 98
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


@contextmanager
def running(*arguments: str | Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """`invoke` with pipes on all three streams, its engine preloaded; what is left at the end is killed and closed."""
    pipe = subprocess.PIPE
    command, env = [*COMMAND, *map(str, arguments)], os.environ | preloaded.environment()
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, text=True, bufsize=1, env=env
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_answer(process: subprocess.Popen[str], line: str) -> str:
    """The first output on stdout after `line` is typed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline()
