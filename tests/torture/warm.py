"""Warm engines: many programs at once, and programs and engines that are killed, interrupted and stopped.

The campaign runs the real program; its slice a small client on the engine of the tests, which needs no torch.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.fakes import a_picture
from tests.patience import PATIENCE
from tests.program import COMMAND, ROOT
from tests.torture import forks

LIMIT = PATIENCE
"""Limit for a program in seconds, however busy the machine is."""
SETTLED = 15.0
"""Seconds after which at most one engine of each kind is left."""
LINE = ("a castle", "-W", "64", "-H", "64", "-s", "2")


class Programs:
    """Programs that make one picture each with a warm engine."""

    def __init__(self, place: Path, *, real: bool) -> None:
        self._real = real
        self._out = place / "out"
        self.expected: Mapping[str, bytes] = {}
        (place / "run").mkdir(mode=0o700)
        self.run_folder = place / "run" / "invoke-warm"
        self.environment = os.environ | {
            "HOME": str(place),
            "XDG_RUNTIME_DIR": str(place / "run"),
            "INVOKE_FAULTS": str(place),
            "OMP_NUM_THREADS": "1",
        }

    def words(self, seed: str, out: Path | None = None) -> list[str]:
        out = out or self._out / seed
        if not self._real:
            return [sys.executable, "-m", "tests.torture.warm", str(out), seed]
        return [*COMMAND, "--warm", "2m", "-q", "-o", str(out), "--save_intermediates", "0", *LINE, "-S", seed]

    def expect(self, seeds: Sequence[str], place: Path) -> None:
        """Make the pictures of `seeds` in one cold batch."""
        if not self._real:
            self.expected = {seed: a_picture(int(seed)).data for seed in seeds}
            return
        lines = "\n".join(f"{' '.join(LINE)} -S {seed}" for seed in seeds)
        words = [*COMMAND, "--no-warm", "-q", "-o", str(place / "cold")]
        subprocess.run(words, input=lines.encode(), env=self.environment, cwd=ROOT, check=True, stdout=-1)
        self.expected = {path.name.split(".")[1]: path.read_bytes() for path in (place / "cold").glob("0*.png")}

    def begin(self, seed: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.words(seed), env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def make(self, seed: str) -> str:
        """Make a picture and return what is wrong with it."""
        with self.begin(seed) as program:
            try:
                status = program.wait(LIMIT)
            except subprocess.TimeoutExpired:
                program.kill()
                return f"{seed}: hung"
        return f"{seed}: status {status}" if status else self.wrong(seed)

    def wrong(self, seed: str) -> str:
        """What is wrong with the newest picture of `seed`."""
        made = sorted((self._out / seed).glob("0*"))
        return "" if made and made[-1].read_bytes() == self.expected[seed] else f"{seed}: {len(made)} made, another one"

    def engines(self) -> list[int]:
        """The waiting engines."""
        with suppress(FileNotFoundError):
            return [int(path.name.split(".")[1]) for path in self.run_folder.iterdir()]
        return []

    def cool(self) -> str:
        """The engines left after `--cool`."""
        subprocess.run([*COMMAND, "--cool"], env=self.environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        while self.engines() and time.monotonic() < end:
            time.sleep(0.05)
        return f"left: {self.engines()}" if self.engines() else ""


def campaign(count: dict[str, int], random: Random, is_slice: bool) -> Iterator[str]:
    """200 pictures, four programs at a time; 50 kills, 20 Ctrl-C, 20 SIGSTOP: the next picture is right."""
    with forks.folder() as place:
        programs = Programs(place, real=not is_slice)
        seeds = [str(seed) for seed in range(1, 9 if is_slice else 201)]
        programs.expect(seeds, place)
        try:
            yield from _side_by_side(programs, seeds, count)
            if not is_slice:
                time.sleep(SETTLED)
                if len(programs.engines()) > 1:
                    yield f"after {SETTLED} s: {programs.engines()}"
            began = time.monotonic()
            yield programs.make("1")
            usual = time.monotonic() - began
            for number, wanted in ((signal.SIGKILL, 50), (signal.SIGINT, 20)):
                for _ in range(3 if is_slice else wanted):
                    yield _ended(programs, random.uniform(0, usual), number)
                    count[number.name] += 1
                    yield programs.make(random.choice(seeds))
            for _ in range(1 if is_slice else 20):
                yield _stopped(programs, random.choice(seeds))
                count["SIGSTOP"] += 1
        finally:
            left = programs.cool()
        yield left


def _side_by_side(programs: Programs, seeds: Sequence[str], count: dict[str, int]) -> Iterator[str]:
    words = [word.replace("SEED", "{}") for word in programs.words("SEED")]
    done = subprocess.run(
        ["xargs", "-P4", "-I{}", *words],
        input="\n".join(seeds).encode(),
        env=programs.environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        yield f"xargs: status {done.returncode}: {done.stderr.decode()[-300:]}"
    for seed in seeds:
        count["pictures"] += 1
        yield programs.wrong(seed)


def _ended(programs: Programs, moment: float, number: signal.Signals) -> str:
    """A program ended by a signal after `moment` seconds."""
    with programs.begin("1") as program:
        time.sleep(moment)
        program.send_signal(number)
        try:
            status = program.wait(LIMIT)
        except subprocess.TimeoutExpired:
            program.kill()
            return f"hung after {number.name}"
    return "" if status in {0, -number, 128 + number} else f"{number.name}: status {status}"


def _stopped(programs: Programs, seed: str) -> str:
    """Make a picture while all waiting engines are stopped, and another after they continue."""
    stopped = programs.engines()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        wrong = programs.make(seed)
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return wrong or programs.make(seed)


def main(out: Path, seed: int) -> None:
    """The client of a slice: one picture on a warm engine of the tests, its bytes written to a file."""
    from contextlib import closing

    from invoke import signals
    from invoke.engine.process.remote import RemoteEngine
    from invoke.events import Finished
    from invoke.models import read_registry
    from tests.making import a_request

    with (
        signals.as_flags(),
        closing(RemoteEngine(read_registry(), module="tests.fake_worker", warmth=120.0)) as engine,
    ):
        for event in engine.generate(a_request(prompt="slow", seed=seed, steps=4)):
            if isinstance(event, Finished):
                out.mkdir(parents=True, exist_ok=True)
                (out / f"0{time.monotonic_ns()}").write_bytes(event.image.data)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
