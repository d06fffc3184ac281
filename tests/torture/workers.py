"""Batches on several engines, in which workers, engines, nodes, shards and the program itself are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread

import psutil
from PIL import Image

from invoke import signals
from invoke.workers.messages import Message
from invoke.workers.processes import Processes
from invoke.workers.shard import Shard, ShardFolder
from invoke.workers.task import Task
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.patience import PATIENCE
from tests.program import COMMAND, ROOT
from tests.torture import forks
from tests.workers.lanes import SETUP

FAKE = "tests.workers.fake_host"
ENGINE = "invoke.engine.process.worker"
ENDS = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signal → the exit status of the program."""
SLOWEST_END = 6.0
"""Seconds in which a signal ends the program on an idle machine."""
KILLED_AT = (12, 30, 50)
"""Pictures after which a worker, an engine, and a worker again are killed."""


class Killing(Processes):
    """Kills workers at random, but never three with the same line, which would then rightly fail."""

    def __init__(self, workers: int, random: Random, share: float, kills: Path) -> None:
        super().__init__([SETUP] * workers, module=FAKE)
        self.random, self.share, self.kills = random, share, kills
        self.given: dict[int, frozenset[str]] = {}
        self.killed = Counter[str]()

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        """See `Lanes.wait`."""
        found = super().wait(timeout)
        lane = self.random.randrange(len(self))
        prompts = self.given.get(lane, frozenset())
        is_spared = not prompts or any(self.killed[prompt] == 2 for prompt in prompts)
        if found is not None and self.random.random() < self.share and not is_spared:
            self.killed.update(prompts)
            self.kill(lane)
            with self.kills.open("a") as file:
                file.write("x")
        return found

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        """See `Lanes.give`."""
        self.given[lane] = frozenset(task.request.prompt for task in tasks)
        super().give(lane, call, tasks)


def workers(count: Counter[str], random: Random, is_slice: bool) -> Iterator[str]:
    """Kill workers and end the program at random: every picture exists once, and no process or file is left."""
    lines = [f"picture {k} -S {k}" for k in range(24 if is_slice else 200)]
    wanted = 1 if is_slice else 20
    with forks.folder() as place:
        batches, kills, temporary, begun = Batches(place / "out"), place / "kills", place / "tmp", place / "begun"
        temporary.mkdir()
        ends = 0
        while True:
            seed, number = random.random(), random.randrange(2, 4)

            def work(seed: float = seed, number: int = number) -> tuple[int, str]:
                forks.homed(place, syncing=False)
                os.environ["TMPDIR"] = str(temporary)
                for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(ending, signal.SIG_DFL)
                with signals.as_flags():
                    begun.touch()
                    lanes = Killing(number, Random(seed), 0.1, kills)
                    outcome = batches.run(lines, lanes=lanes, resume=True)
                return int(outcome.status), outcome.stderr

            pid = forks.begin(work, place / "said")
            program, before = psutil.Process(pid), len(batches.pictures)
            ending = random.choice([*ENDS]) if ends < wanted else None
            enough = before + random.randrange(5)
            while ending and _is_running(program) and not (begun.exists() and len(batches.pictures) >= enough):
                time.sleep(0.002)
            processes = _children(program)
            began = time.monotonic()
            if ending:
                program.send_signal(ending)
            ended = forks.wait(pid, place / "said")
            count["program ended"] += bool(ending)
            ends += 1
            begun.unlink(missing_ok=True)
            yield _left(ended, ending, processes, temporary)
            if ending and not is_slice and time.monotonic() - began > SLOWEST_END:
                yield f"{ending.name}: {time.monotonic() - began:.1f} s"
            if ending is None or ended.status == 0:
                break
        count["workers killed"] = len(kills.read_text()) if kills.exists() else 0
        count["pictures"] = len(batches.pictures)
        names = [path.name.partition(".")[2] for path in batches.pictures]  # a kill may leave a gap in the numbers
        if ended.status or names != [f"{k}.png" for k in range(len(lines))]:
            yield f"status {ended.status}: {len(names)} pictures, the last {names[-3:]}: {ended.said[-300:]}"
        elif batches.prompts() != {f"picture {k}": 1 for k in range(len(lines))}:
            yield f"twice or not at all: {[prompt for prompt, made in batches.prompts().items() if made != 1][:5]}"


def _left(ended: forks.Ended, ending: signal.Signals | None, processes: Sequence[psutil.Process], tmp: Path) -> str:
    """What is wrong with the end of the program; "" if nothing."""
    _, alive = psutil.wait_procs(processes, PATIENCE)
    if alive:
        return f"{ending}: {[process.pid for process in alive]} are left"
    if ending is None or ended.status == 0:
        return ""
    if ended.status != ENDS[ending]:
        return f"{ending.name}: status {ended.status}: {ended.said[-300:]}"
    return f"{ending.name}: {os.listdir(tmp)} is left" if any(tmp.iterdir()) else ""  # noqa: PTH208


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def shards(count: Counter[str], random: Random, is_slice: bool) -> Iterator[str]:
    """Run the shards of a file in any order, kill and resume some: their union equals a plain run."""
    parts, lines = (6, 30) if is_slice else (64, 640)
    text = [f"picture {k} -S {k} -s 1" for k in range(lines)]
    with forks.folder() as place:
        forks.homed(place, syncing=False)
        plain, merged = Batches(place / "plain"), Batches(place / "merged")
        plain.run(text, source="file")
        for index in random.sample(range(1, parts + 1), parts):
            killed = Killed(random.randrange(3)) if random.random() < 0.4 else None
            for engine in [killed, None] if killed else [None]:
                shard = ShardFolder(Shard(index, parts), "file", lines, resume=engine is None and killed is not None)
                with suppress(KeyboardInterrupt):
                    merged.run(text, engine, source="file", shard=shard, resume=shard._resume)
            count["shards"] += 1
            count["killed"] += killed is not None
            yield ""
        ours, theirs = ({path.name: _pixels(path) for path in batches.pictures} for batches in (merged, plain))
        count["pictures"] = len(ours)
        if ours != theirs or merged.made() != plain.made():
            yield f"others: {[name for name in ours | theirs if ours.get(name) != theirs.get(name)][:5]}"


def _pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


class Killed(FakeEngine):
    """Ends after the given number of steps."""

    def __init__(self, after: int) -> None:
        super().__init__(at_step=self.count)
        self.left = after

    def count(self, index: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@dataclass
class Feed:
    """The real program on workers, fed with lines while it makes pictures."""

    words: Sequence[str]
    outdir: Path
    given: int = 0
    made: Counter[int] = field(default_factory=Counter)
    """Line → pictures."""
    strange: list[str] = field(default_factory=list)
    """Lines of standard output that are not JSON objects."""

    def __post_init__(self) -> None:
        words = ("-m", "pocket", "-W", "64", "-H", "64", "-s", "4", "--json", "-o", str(self.outdir))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*COMMAND, *words, *self.words], stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)
        self._errors = Thread(target=self._read_errors, daemon=True)
        self._errors.start()

    def events(self) -> Iterator[dict[str, object]]:
        """Events, with eight lines ahead of the pictures, until the program ends."""
        assert self.process.stdout is not None
        self._give(8)
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                self.strange.append(line.decode())
                continue
            if event["type"] == "image":
                self.made[event["line"]] += 1
                self._give(1)
            yield event

    def end(self) -> int:
        """End the input; return the exit status."""
        self.process.wait(PATIENCE)
        self._errors.join()
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        """End the input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _give(self, lines: int) -> None:
        assert self.process.stdin is not None
        if self.process.stdin.closed:
            return
        for _ in range(lines):
            self.process.stdin.write(f"a fire -S {self.given}\n".encode())
            self.given += 1
        self.process.stdin.flush()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.complaints = self.process.stderr.read().decode()


def engines_of_workers(count: Counter[str], random: Random, is_slice: bool) -> Iterator[str]:
    """The real engine: kill workers and engines; afterwards both workers make pictures again, and none is lost."""
    if is_slice:
        yield "skipped: real engines take too long"
        return
    for words in ("--workers 2", "--ray local --workers 2"):
        with forks.folder() as place, closing(Feed(words.split(), place / "out")) as feed:
            killed_at, at_work = [*KILLED_AT], set[object]()
            for event in feed.events():
                made = feed.made.total()
                if killed_at and made >= killed_at[0]:
                    killed_at.pop(0)
                    engines = [child for child in _children(psutil.Process(feed.process.pid)) if _runs(child, ENGINE)]
                    victim = random.choice(engines)
                    (victim if len(killed_at) == 1 else victim.parent() or victim).kill()
                    count["killed"] += 1
                    at_work.clear()
                    yield ""
                elif not killed_at and event["type"] == "image":
                    at_work.add(event["worker"])
                    if len(at_work) == 2:
                        feed.stop()
            status = feed.end()
            count["pictures"] += feed.made.total()
            names = [path.name for path in Batches(place / "out").pictures]
            if status or feed.strange or names != [f"{k + 1:06}.{k}.png" for k in range(feed.given)]:
                yield f"{words}: {status}, {feed.strange[:3]}, {len(names)} of {feed.given}: {feed.complaints[-200:]}"


def _runs(process: psutil.Process, module: str) -> bool:
    with suppress(psutil.Error):
        return module in " ".join(process.cmdline())
    return False


def cluster(count: Counter[str], random: Random, is_slice: bool) -> Iterator[str]:
    """Ray: kill a worker; lose a node and let another join; freeze a node."""
    if is_slice:
        yield "skipped: a cluster takes too long"
        return
    for scenario in ("worker", "node", "frozen"):
        with forks.folder() as place:
            command = [sys.executable, "-m", "tests.workers.ray_program", scenario, str(place / "out"), "60"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
            try:
                (line,) = done.stdout.splitlines()
                found = json.loads(line)
            except ValueError:
                yield f"{scenario}: {done.stdout}"
                continue
            count["pictures"] += found["made"]
            count[f"{scenario}: longest pause, ms"] = round(1000 * found["gap"])
            if found["status"] or not found["whole"]:
                yield f"{scenario}: {found}"
