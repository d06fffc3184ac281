"""The campaigns: each yields a message for every fault that breaks a promise, and counts what it tried.

Between two faults they yield "", so that the caller can end them there.
"""

import ctypes
import errno
import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from math import ceil
from pathlib import Path
from random import Random

import psutil

from invoke.engine.process.remote import RemoteEngine
from invoke.models import read_registry
from invoke.options import EngineOptions
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.patience import PATIENCE
from tests.torture import forks, mutants, power, warm, workers
from tests.torture.scenarios import ALLOCATING, LINES, SCENARIOS, batch, complaint, incomplete, program

ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EACCES, errno.EMFILE)
LEAST = 30_000
"""Smallest allocation that counts, in bytes."""
SLACK = PATIENCE
"""Limit of a run in seconds, where only the result matters."""

Count = dict[str, int]
Campaign = Callable[[Count, Random, bool], Iterator[str]]
"""Counts in its first argument, draws from the second; the third requests a slice only."""


def _library() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "torture_arm") else None


def _failing(
    count: Count,
    random: Random,
    is_slice: bool,
    scenarios: Iterable[str],
    errors: Sequence[int],
    *,
    seldom: bool = False,
) -> Iterator[str]:
    """(a), (d): the Nth call of each scenario fails, for every N and each of `errors`.

    `seldom`: calls for locks, modes, names in folders, positions and mappings, instead of the usual ones.
    """
    library = _library()
    if library is None:
        yield "skipped: no compiler for the library that makes calls fail"
        return
    library.torture_failed.restype = ctypes.c_char_p
    library.torture_seldom(seldom)
    for name in scenarios:
        if is_slice:
            for turn in random.sample(range(1, 150), 3):
                _, findings = _fault(count, library, name, turn, random.choice(errors))
                yield from findings
            continue
        for number in errors:
            for turn in itertools.count(1):
                was_met, findings = _fault(count, library, name, turn, number)
                yield from findings
                yield ""
                if not was_met:
                    break


def _fault(count: Count, library: ctypes.CDLL, name: str, turn: int, number: int) -> tuple[bool, list[str]]:
    """Make a call of a scenario fail; return whether there was such a call, and what went wrong."""
    allocations = number == errno.ENOMEM
    with forks.folder() as place:
        work = partial(_armed, library, name, place, turn, number, allocations)
        ended = forks.run(work, place / "said", SLACK)
        mark = place / "failed"
        failed = mark.read_text() if mark.exists() else "?"
        count["calls that failed"] += bool(failed)
        count["seconds of the longest"] = max(count["seconds of the longest"], ceil(ended.seconds))
        where = f"{name}: call {turn} ({failed}) with {errno.errorcode[number]}"
        if ended.hung:
            return bool(failed), [f"{where}: hangs"]
        if allocations and ended.status == -signal.SIGSEGV and "in _getencoder\n" in (place / "crash").read_text():
            return True, ["skipped, a null pointer of Pillow's GIF encoder"]
        if why := complaint(ended.status, ended.said):
            return bool(failed), [f"{where}: {why}"]
        if name in {"batch", "resume"} and not allocations and (why := _resumed(place)):
            return bool(failed), [f"{where}, resumed: {why}"]
        return bool(failed), []


def _armed(  # noqa: PLR0917 - a row of a table
    library: ctypes.CDLL, name: str, place: Path, turn: int, number: int, allocations: bool
) -> tuple[int, str]:
    """In a fork: a scenario, one call of which fails."""
    prepare, scenario = (ALLOCATING if allocations else SCENARIOS)[name]
    forks.homed(place)
    prepare(place)
    with (place / "crash").open("w") as crash:
        faulthandler.enable(crash)
        library.torture_arm(turn, number, b"" if allocations else os.fsencode(place), LEAST if allocations else 0)
        status, said = scenario(place)
        failed = library.torture_failed().decode()
        library.torture_arm(0, 0, b"", 0)
        faulthandler.disable()
    (place / "failed").write_text(failed)
    return status, said


def _resumed(place: Path) -> str:
    """What is wrong with the files after a `--resume` without faults."""

    def work() -> tuple[int, str]:
        forks.homed(place, syncing=False)
        outcome = Batches(place / "out").run(LINES, resume=True)
        return int(outcome.status), outcome.stderr

    ended = forks.run(work, place / "said", SLACK)
    return f"status {ended.status}: {ended.said}" if ended.status else incomplete(place / "out")


def calls(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(a) The Nth system call on a file of ours fails, for every N, with five errors."""
    return _failing(count, random, is_slice, SCENARIOS, ERRORS, seldom=is_slice and random.random() < 0.25)


def seldom_calls(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(a) The same for locks, modes, names in folders, positions and mappings."""
    return _failing(count, random, is_slice, SCENARIOS, ERRORS, seldom=True)


def allocations(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(d) The Nth large allocation fails, for every N."""
    return _failing(count, random, is_slice, ALLOCATING, (errno.ENOMEM,))


def kills(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(b) `kill -9` of the program at random moments, with `--resume` after each."""
    wanted = 8 if is_slice else 500
    usual = _seconds_of_a_batch()
    while count["kills"] < wanted:
        with forks.folder() as place:
            while True:

                def work(place: Path = place) -> tuple[int, str]:
                    forks.homed(place, syncing=False)
                    outcome = Batches(place / "out").run(LINES, FakeEngine(pause=0.001), resume=True)
                    return int(outcome.status), outcome.stderr

                pid = forks.begin(work, place / "said")
                time.sleep(random.uniform(0, usual))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                ended = forks.wait(pid, place / "said", SLACK)
                if ended.status >= 0:
                    break
                count["kills"] += 1
                yield ""
            count["batches"] += 1
            if ended.status or (why := incomplete(place / "out")):
                yield f"status {ended.status}: {ended.said}" if ended.status else why


def engines(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(b), (g) `kill -9` or SIGSTOP of the engine at random moments: every line is drawn once, and none is lost."""
    wanted = 3 if is_slice else 100
    while count["engines ended"] < wanted:
        with forks.folder() as place:
            os.environ["INVOKE_FAULTS"] = str(place)
            lines = [f"slow {index} -S {index} -s 6" for index in range(8)]
            stopper = _Stopper(random, 0.9)
            with closing(
                RemoteEngine(read_registry(), EngineOptions(), module="tests.fake_worker", patience=8.0)
            ) as engine:
                stopper.begin(place / "out")
                outcome = Batches(place / "out").run(lines, engine)
                stopper.end()
            yield ""
            count["engines ended"] += stopper.ended
            count["lines"] += len(lines)
            names = [path.name for path in Batches(place / "out").pictures]
            if names != [f"{index + 1:06}.{index}.png" for index in range(8)]:
                yield f"status {outcome.status}: {names}: {outcome.stderr[-300:]}"


def _seconds_of_a_batch() -> float:
    """How long LINES take on this machine: random moments lie within that time."""
    with forks.folder() as place:

        def work() -> tuple[int, str]:
            forks.homed(place, syncing=False)
            return int(Batches(place / "out").run(LINES, FakeEngine(pause=0.001)).status), ""

        return forks.run(work, place / "said", SLACK).seconds


class _Stopper:
    """Kills or stops the engine's process, at most once between two pictures."""

    def __init__(self, random: Random, pause: float) -> None:
        self._random, self._pause = random, pause
        self._goes_on = True
        self.ended = 0

    def begin(self, folder: Path) -> None:
        import threading

        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._goes_on = False
        self._thread.join()

    def _run(self, folder: Path) -> None:
        seen: set[int] = set()
        made = 0
        while self._goes_on:
            time.sleep(self._random.uniform(self._pause / 2, self._pause * 1.5))
            if seen and len(list(folder.glob("0*.png"))) == made:
                continue  # a picture that kills three engines is skipped
            made = len(list(folder.glob("0*.png")))
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if self._goes_on and child.pid not in seen and "fake_worker" in " ".join(child.cmdline()):
                        seen.add(child.pid)
                        self.ended += 1
                        child.send_signal(self._random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP]))


def terminations(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(e) SIGTERM, SIGHUP and SIGINT at random moments: the program ends with 143, 129 or 130, and can be resumed."""
    usual = _seconds_of_a_batch()
    expected = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
    for index in range(8 if is_slice else 1000):
        with forks.folder() as place:
            (place / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
            words = ["-q", "-s", "2", "-W", "64", "-H", "64", "-o", str(place / "out")]

            def work(place: Path = place, words: list[str] = words) -> tuple[int, str]:
                forks.homed(place, syncing=False)
                for number in expected:
                    signal.signal(number, signal.SIG_DFL)
                (place / "begun").touch()
                return program(*words, "--from-file", str(place / "lines.txt"))

            number = random.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
            pid = forks.begin(work, place / "said")
            while not (place / "begun").exists():
                time.sleep(0.001)
            time.sleep(random.uniform(0, usual))
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            ended = forks.wait(pid, place / "said", SLACK)
            count["signals"] += 1
            yield ""
            is_over = ended.status == 0 and not incomplete(place / "out")
            is_early = ended.status == -number and not (place / "out").exists()  # before the handlers are installed
            count["came too late"] += is_over
            if ended.hung or "Traceback" in ended.said or not (is_over or is_early or ended.status == expected[number]):
                yield f"signal {index} ({number.name}): status {ended.status}: {ended.said[-300:]}"
            elif ended.status and index % 5 == 0 and (why := _resumed_program(place, words)):
                yield f"signal {index} ({number.name}), resumed: {why}"


def _resumed_program(place: Path, words: list[str]) -> str:
    def work() -> tuple[int, str]:
        forks.homed(place)
        return program(*words, "--from-file", str(place / "lines.txt"), "--resume")

    ended = forks.run(work, place / "said", SLACK)
    return f"status {ended.status}: {ended.said}" if ended.status else incomplete(place / "out")


def power_cuts(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """(c) Recorded writes are replayed with the unsynced ones dropped, at random moments, and the batch is resumed."""
    with forks.folder() as place:
        forks.homed(place)
        recorded = power.record(place / "out", lambda: batch(place))
    for _ in range(12 if is_slice else 1000):
        with forks.folder() as place:
            moment = power.cut(recorded, place / "out", random)
            count["power cuts"] += 1
            yield ""
            if why := _resumed(place):
                yield f"after call {moment} of {len(recorded)}: {why}"


def memory(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """Memory over many pictures."""
    with forks.folder() as place:

        def work() -> tuple[int, str]:
            forks.homed(place, syncing=False)
            peaks, engine = [], FakeEngine()
            engine.at_step = lambda index: engine.requests.clear()
            for size in (100, 200) if is_slice else (1000, 5000):
                Batches(place / str(size)).run(
                    (f"a cat {turn}" for turn in range(size)), engine, quiet=True, width=64, height=64
                )
                peaks.append(psutil.Process().memory_info().rss // 2**20)
            return 0, " ".join(map(str, peaks))

        ended = forks.run(work, place / "said", 1800)
        first, last = map(int, ended.said.split())
        count["MB after the first thousand" if not is_slice else "MB after 100"], count["MB at the end"] = first, last
        if last > 1.1 * first + 5:
            yield f"{first} MB, then {last} MB"


def pairs(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """All pairs of switches, each at one of its ends, ten times: a plan or a sentence, and saved lines that hold."""
    from tests import test_pairs

    for _ in range(1 if is_slice else 10):
        for line in test_pairs.lines(random):
            count["lines"] += 1
            try:
                yield test_pairs.complaint(line)
            except Exception as error:
                yield f"{line}: {type(error).__name__}: {error}"


LAWS = (
    "tests/test_laws.py",
    "tests/language",
    "tests/prompts",
    "tests/images",
    "tests/outputs",
    "tests/shell/test_app.py",
)


def laws(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """The property tests of lines, prompts and files with new examples."""
    if is_slice:
        yield "skipped: the suite does them with examples of its own"
        return
    for _ in range(10):
        seed = random.randrange(10**6)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--hypothesis-seed={seed}", *LAWS]
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=environment | {"LAWS": "random"}, check=False
        )
        count["rounds"] += 1
        for row in done.stdout.splitlines():
            if row.startswith(("FAILED", "ERROR")):
                yield f"LAWS=random --hypothesis-seed={seed}: {row}"
        yield ""


def code(count: Count, random: Random, is_slice: bool) -> Iterator[str]:
    """Single faults in copies of the code: a test must fail for each (`make mutants`)."""
    if is_slice:
        yield "skipped: the tests would run in themselves"
        return
    command = [sys.executable, "-m", "tests.mutants", "--count", "30", "--seed", str(random.randrange(10**6))]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    for row in done.stdout.splitlines():
        verdict = row.partition(" ")[0]
        if verdict in {"noticed", "equivalent", "SURVIVED"}:
            count[verdict.lower()] += 1
        if verdict == "SURVIVED":
            yield row


CAMPAIGNS: dict[str, Campaign] = {
    "calls": calls,
    "seldom": seldom_calls,
    "kills": kills,
    "engines": engines,
    "power": power_cuts,
    "allocations": allocations,
    "signals": terminations,
    "mutants": mutants.campaign,
    "memory": memory,
    "warm": warm.campaign,
    "workers": workers.workers,
    "shards": workers.shards,
    "engines-of-workers": workers.engines_of_workers,
    "cluster": workers.cluster,
    "pairs": pairs,
    "laws": laws,
    "code": code,
}
PARTS: dict[str, Campaign] = {
    f"{campaign}/{scenario}/{errno.errorcode[number]}": partial(
        _failing, scenarios=[scenario], errors=[number], seldom=campaign == "seldom"
    )
    for campaign in ("calls", "seldom")
    for scenario in SCENARIOS
    for number in ERRORS
} | {f"mutants/{kind}": partial(mutants.campaign, kinds=[kind]) for kind in mutants.KINDS}
"""`calls` for one scenario and one error, `mutants` of one kind: run where they are named."""
