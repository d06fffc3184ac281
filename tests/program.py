"""The real program in a process of its own: words in; stdout, stderr and exit status out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "invoke" / "cli" / "events.schema.json"
COMMAND = [sys.executable, "-P", "-m", "invoke"]


@dataclass(frozen=True)
class Outcome:
    """What a process left behind."""

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
    """One line of `--json`. Raises ValidationError where it is not as the shipped schema has it."""
    event: dict[str, Any] = json.loads(line)
    _schema().validate(event)
    return event


def invoke(*arguments: str | Path, stdin: str | bytes = "", cwd: Path = ROOT) -> Outcome:
    """Run `invoke` with `arguments`, `stdin` piped in."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], input=data, capture_output=True, cwd=cwd, timeout=240, check=False
    )
    return Outcome(done.stdout.decode(), done.stderr.decode(), done.returncode)


@contextmanager
def running(*arguments: str | Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """`invoke` with pipes on all three streams; what is left of it at the end of the block is killed and closed."""
    pipe = subprocess.PIPE
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def first_answer(process: subprocess.Popen[str], line: str) -> str:
    """What the program says first on stdout after `line` is typed into it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline()
