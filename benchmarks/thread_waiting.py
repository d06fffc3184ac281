"""Waiting policies of the engine's threads, compared with the library's default, on an idle and a busy machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.processes import Ours
from benchmarks.results import Row

POLICIES = {
    "the library's default": {"GOMP_SPINCOUNT": "300000"},
    "asleep (PASSIVE)": {"OMP_WAIT_POLICY": "PASSIVE"},
}
"""libgomp's default number of spins, set explicitly so that ours does not override it; and none."""
ALONE = 0.95
"""Goal alone: the default may be at most 1.05 times as fast."""
BESIDE = 1.5
STEPS = 4


def waiting(bench: Bench) -> Iterator[Row]:
    """Our program with its own policy and with others, with one to all threads."""
    model = bench.pocket
    for threads in ("",) if bench.quick else ("", "1"):
        given = {"OMP_NUM_THREADS": threads} if threads else {}
        with ExitStack() as stack:
            programs = {
                name: stack.enter_context(closing(Ours(model.path, bench.work / "waiting", given | policy)))
                for name, policy in ({"ours": {}} | POLICIES).items()
            }

            def made(program: Ours, turn: int) -> None:
                program.make(replace(model.job, steps=STEPS, seed=turn).line("--save_intermediates 0"))

            sides = {name: Side(partial(made, program), program.processor) for name, program in programs.items()}
            for busy in (0, 1, 2) if not threads else (0,):
                with busy_processes(busy):
                    costs = in_turns(sides, turns=2 * bench.turns)
                beside = f"beside {busy} busy process{'es' if busy > 1 else ''}" if busy else "alone"
                for name in POLICIES:
                    is_default = name == next(iter(POLICIES))
                    yield Row(
                        what=f"pocket, 256×256, {STEPS} steps, {threads or 'all'} threads waiting, {beside}",
                        peer=f"invoke, {name}",
                        ours_costs=costs["ours"],
                        peer_costs=costs[name],
                        goal=(BESIDE if busy else ALONE) if is_default and not threads else None,
                    )


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run this many busy programs beside this one, on one core each."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield
