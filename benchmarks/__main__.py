"""Measure, print a table, save it.

python -m benchmarks [NAME …] [--quick] [--turns N] [--folder FOLDER] [--results FOLDER]
python -m benchmarks gpu …      see benchmarks/gpu.py
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks import machine
from benchmarks.alternating import TURNS
from benchmarks.bench import Bench, LeftOutError, Scenario
from benchmarks.processes import fair_surroundings
from benchmarks.results import FOLDER, Results, machine_line


def scenarios() -> Mapping[str, Scenario]:
    """By name, in the order in which they are measured."""
    from benchmarks import (
        approximations,
        cold_start,
        completion,
        denoiser,
        files,
        intermediates,
        other_programs,
        overhead,
        overlap,
        planning,
        profile,
        prompt_session,
        scale,
        terminal,
        thread_waiting,
        warm,
    )

    return {
        scenario.__name__: scenario
        for scenario in (
            terminal.prompt,
            terminal.typing,
            terminal.drawing,
            completion.completion,
            planning.planning,
            overhead.files,
            overhead.glue,
            overhead.saved_calls,
            thread_waiting.waiting,
            denoiser.denoiser,
            profile.profile,
            overlap.overlap,
            cold_start.first_picture,
            warm.warm_start,
            warm.cold_start,
            prompt_session.another_prompt,
            prompt_session.another_seed,
            prompt_session.four,
            prompt_session.four_together,
            prompt_session.sweep,
            prompt_session.variations,
            prompt_session.strengths,
            prompt_session.inpainting,
            prompt_session.switching,
            intermediates.intermediates,
            approximations.approximations,
            approximations.strength_map,
            approximations.few_steps,
            files.fifty_lines,
            files.mixed_lines,
            scale.scale,
            other_programs.others,
        )
    }


def main(words: list[str]) -> None:
    """Run the requested benchmarks."""
    asked = _arguments(words)
    turns = asked.turns or (3 if asked.quick else TURNS)
    with TemporaryDirectory() as work, fair_surroundings():
        results = Results("quick" if asked.quick else "cpu", machine.describe("CPU"))
        print(machine_line(results.machine), flush=True)
        keeps = asked.keep or not asked.names
        bench = Bench(asked.folder or default_folder(), Path(work), turns, asked.quick)
        try:
            for name in asked.names or scenarios():
                measure(name, scenarios()[name], bench, results)
                if keeps:  # finished results are kept when stopped early
                    results.write(asked.results)
        finally:
            bench.let_go()
    print(f"\n{results.page()}")
    if keeps:
        print(results.write(asked.results))
        if not asked.names and not asked.quick and has_cuda():
            from benchmarks import gpu

            gpu.main(["--folder", str(bench.folder), "--results", str(asked.results)])


def measure(name: str, scenario: Scenario, bench: Bench, results: Results) -> None:
    """Add the rows of `scenario` to `results`; one that fails is reported there and stops nothing else."""
    began = perf_counter()
    try:
        for row in scenario(bench):
            results.rows.append(row)
            print("  " + " | ".join(row.cells()), flush=True)
    except LeftOutError as reason:
        results.skipped[name] = str(reason)
    except Exception as error:
        results.skipped[name] = f"failed: {type(error).__name__}: {error}"
        print(f"  {name} failed: {error}", file=sys.stderr, flush=True)
    print(f"{name}: {perf_counter() - began:.0f} s", flush=True)


def has_cuda() -> bool:
    """Whether there is a GPU to measure as well."""
    import torch

    return torch.cuda.is_available()


def default_folder() -> Path:
    """The folder of checkpoints between runs, in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("invoke-shell") / "benchmarks"


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[[], *scenarios()], help="these only; kept with --keep")
    parser.add_argument("--keep", action="store_true", help="what is measured of these, too, as the newest results")
    parser.add_argument("--quick", action="store_true", help="the built-in model only: ten minutes on two cores")
    parser.add_argument("--turns", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="of the checkpoints")
    parser.add_argument("--results", type=Path, default=FOLDER)
    return parser.parse_args(words)


if __name__ == "__main__":
    if sys.argv[1:2] == ["gpu"]:
        from benchmarks import gpu

        gpu.main(sys.argv[2:])
    else:
        main(sys.argv[1:])
