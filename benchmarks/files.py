"""Files of lines, whole processes: ours with `--from_file`, theirs a loop over pipelines that stay loaded."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from time import perf_counter

from benchmarks.alternating import Cost, Side, in_turns
from benchmarks.bench import Bench, Model
from benchmarks.jobs import Job
from benchmarks.processes import MAKING, children, run_to_end
from benchmarks.prompt_session import DRAWING, PROMPTS
from benchmarks.results import Row
from benchmarks.stock import question

LINES = 50
SOME = 24
"""Number of lines of one kind in a quick run."""
TOGETHER = "--batch_size 4"
FEW = 20
"""Number of mixed lines in a quick run."""
LIMIT, SHORT_LIMIT = 900, 180
"""Seconds after which no turn of a file is begun any more, and where there is little time; one is always made."""


def fifty_lines(bench: Bench) -> Iterator[Row]:
    """Fifty lines of one size for the built-in model."""
    model, count = bench.pocket, SOME if bench.quick else LINES
    jobs = [replace(model.job, prompt=PROMPTS[number % 6], seed=number) for number in range(count)]
    yield from _file(bench, model, f"a file of {count} lines, 256×256, 20 steps", jobs, {"": 1.1, TOGETHER: 1.5})


def mixed_lines(bench: Bench) -> Iterator[Row]:
    """Lines whose sizes, steps, init pictures and models change all the time."""
    model = bench.pocket
    other = bench.random("tiny", width=256, height=256) if bench.quick else bench.random("sd15", steps=2)
    jobs = []
    for number in range(FEW if bench.quick else LINES):
        job = replace(model.job, prompt=PROMPTS[number % 6], seed=number, steps=(10, 20)[number % 2])
        job = replace(job, width=(256, 192, 256)[number % 3], height=(256, 256, 192)[number % 3])
        if number % 5 == 4:
            job = replace(job, init_image=str(DRAWING), strength=(0.3, 0.7)[number % 2])
        if number % (4 if bench.quick else 10) == 1:
            job = replace(other.job, prompt=PROMPTS[number % 6], seed=number, model=str(other.path))
        jobs.append(job)
    yield from _file(bench, model, f"a file of {len(jobs)} lines, sizes, steps and two models mixed", jobs)


def _file(
    bench: Bench, model: Model, what: str, jobs: list[Job], goals: Mapping[str, float] | None = None
) -> Iterator[Row]:
    """Ours as it is and ours that draws together: whole processes, and what is left once the model is loaded.

    `goals` are against the peer; drawing together is never to cost anything.
    """
    together = ["", TOGETHER]
    loaded: dict[str, list[Cost]] = {side: [] for side in (*together, "theirs")}
    outdir = bench.work / "file"
    outdir.mkdir(exist_ok=True)
    lines = bench.work / "lines.txt"

    def run(side: str, command: list[str], said: list[str], ready: str) -> None:
        loaded[side].append(run_to_end(command, said, ready)[1])

    def ours(switches: str, turn: int) -> None:
        lines.write_text("\n".join(job.line(switches) for job in _reseeded(jobs, turn)), encoding="utf-8")
        command = [*MAKING, "--from_file", str(lines), "-m", str(model.path), "-o", str(outdir)]
        run(switches, command, [], "session")

    def theirs(turn: int) -> None:
        command = [sys.executable, "-m", "benchmarks.stock", str(model.path), "float32"]
        run("theirs", command, [question(_reseeded(jobs, turn), outdir)], "ready")

    sides = {switches: Side(partial(ours, switches), children) for switches in together}
    sides["theirs"] = Side(theirs, children)
    turns = min(bench.turns, 2) if bench.quick else bench.turns
    until = perf_counter() + (SHORT_LIMIT if bench.quick else LIMIT)
    costs = in_turns(sides, turns=turns, warm_up=False, until=until)  # every process starts from scratch
    for switches in together:
        goal = (goals or {}).get(switches)
        for part, taken, aim in (("once the model is loaded", loaded, goal), ("the whole process", costs, None)):
            yield Row(
                what=f"{model.name}: {what}; {part}",
                ours=f"invoke {switches}".strip(),
                peer="diffusers, float32, in a loop",
                ours_costs=taken[switches],
                peer_costs=taken["theirs"],
                pictures=len(jobs),
                goal=aim,
                facts={"ours": switches} if switches else {},
            )

    yield Row(
        what=f"{model.name}: {what}; once the model is loaded",
        ours=f"invoke {TOGETHER}",
        peer="invoke without it",
        ours_costs=loaded[TOGETHER],
        peer_costs=loaded[""],
        pictures=len(jobs),
        goal=1.0,
        facts={"ours": TOGETHER},
    )


def _reseeded(jobs: list[Job], turn: int) -> list[Job]:
    return [replace(job, seed=job.seed + 1000 * turn) for job in jobs]
