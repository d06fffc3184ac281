"""Lanes that are processes of this machine: killed at random, the program too, and with the real engine."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psutil
import pytest

from invoke.cli import worker_choice
from invoke.cli.worker_choice import cards
from invoke.errors import ExitStatus
from invoke.language.launch import engine_options, read_arguments
from invoke.options import EngineOptions
from invoke.workers.messages import Gone, Message
from invoke.workers.processes import Processes
from invoke.workers.task import Task
from tests.batches import Batches
from tests.patience import PATIENCE
from tests.program import ROOT, invoke
from tests.workers.lanes import SETUP
from tests.workers.test_pool import files

FAKE = "tests.workers.fake_host"
LINES = [f"picture {k} -S {k}" for k in range(60)]
EXPECTED = {f"picture {k}": 1 for k in range(60)}


class Killing(Processes):
    """Kills a worker, chosen at random, at some of the messages; but no line's worker three times."""

    def __init__(self, random: Random, kills: set[int]) -> None:
        super().__init__([SETUP] * 3, module=FAKE)
        self.random, self.kills, self.came = random, kills, 0
        self.given: dict[int, frozenset[str]] = {}
        self.killed = Counter[str]()

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        found = super().wait(timeout)
        self.came += found is not None
        if found is not None and self.came in self.kills:
            lane = self.random.randrange(3)
            prompts = self.given.get(lane, frozenset())
            if all(self.killed[prompt] < 2 for prompt in prompts):
                self.killed.update(prompts)
                self.kill(lane)
        return found

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        self.given[lane] = frozenset(task.request.prompt for task in tasks)
        super().give(lane, call, tasks)


def test_workers_are_killed_at_random(tmp_path: Path) -> None:
    random = Random(3)
    lanes = Killing(random, set(random.sample(range(4, 70), 8)))
    batches = Batches(tmp_path / "out")
    result = batches.run(LINES, lanes=lanes, as_json=True)
    assert result.status == ExitStatus.OK
    assert batches.prompts() == EXPECTED
    assert not [path for path in batches.pictures if "-01" in path.name]
    assert [event for event in result.of_type("worker") if event["state"] == "lost"]
    assert not [child for child in psutil.Process().children() if _runs(child, FAKE)]


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_a_worker_that_never_comes_up_is_gone() -> None:
    lanes = Processes([SETUP], module="tests.workers.no_such_module")
    try:
        while not isinstance((found := lanes.wait(PATIENCE)), tuple) or not isinstance(found[1], Gone):
            assert found is not None
        assert "died 3 times before it was ready" in found[1].why
    finally:
        lanes.close()


PROGRAM = """
import sys
from pathlib import Path
from invoke.workers.processes import Processes
from tests.batches import Batches
from tests.workers.lanes import SETUP
from tests.workers.test_processes import FAKE, LINES
lanes = Processes([SETUP] * 2, module=FAKE)
sys.exit(Batches(Path(sys.argv[1])).run(LINES, lanes=lanes, resume=len(sys.argv) > 2).status)
"""


@pytest.mark.slow
def test_the_program_is_killed_and_resumed(tmp_path: Path) -> None:
    batches, random = Batches(tmp_path / "out"), Random(5)
    command = [sys.executable, "-c", PROGRAM, str(batches.folder)]
    for attempt in range(4):
        with subprocess.Popen([*command, *(["resume"] if attempt else [])], cwd=ROOT) as process:
            seen = len(batches.pictures)
            while process.poll() is None and len(batches.pictures) < seen + 5:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.05))
            process.kill()
    assert subprocess.run([*command, "resume"], cwd=ROOT, check=False).returncode == ExitStatus.OK
    assert batches.prompts() == EXPECTED


@pytest.mark.slow
def test_the_real_engine_makes_the_same_pictures(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text(
        "a fire -S 1 -n 3 -g\na boat -S 5 --strip\na house -S 7 |> at night -f .5 -S 8\n", encoding="utf-8"
    )
    words = ["-q", "-s", "2", "-W", "64", "-H", "64", "--threads", "1", "--from-file", lines]
    for more in ([], ["--workers", "2"]):
        assert invoke(*words, *more, "-o", tmp_path / f"out{len(more)}").status == ExitStatus.OK
    assert files(tmp_path / "out0") == files(tmp_path / "out2")


@pytest.mark.parametrize(
    ("words", "threads"),
    [
        ("--workers 2", 3),
        ("--workers 12", 1),
        ("--workers 2 --threads 5", 5),
        ("--ray local", 1),
        ("--ray head:6379 --workers 2", 0),
    ],
)
def test_the_workers_share_the_cores(words: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the program's own engine, which makes their pictures again."""
    monkeypatch.setattr(worker_choice, "cores", lambda: 6)
    launch = read_arguments([*words.split(), "--device", "cpu"])
    options = engine_options(launch)
    count = worker_choice.count_workers(launch, options, SETUP.models, "pocket")
    assert worker_choice.threads_of_each(launch, options, count) == threads


def test_the_cards_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cards(EngineOptions(), lambda: ["GPU-a", "GPU-b"]) == ["GPU-a", "GPU-b"]
    assert cards(EngineOptions(device="cpu"), lambda: ["GPU-a"]) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert cards(EngineOptions()) == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards(EngineOptions()) == []
