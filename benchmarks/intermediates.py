"""The cost of saving every step: the same pictures with and without, alternating in one session."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.results import Row


def intermediates(bench: Bench) -> Iterator[Row]:
    """`--save_intermediates 1`; the peer is our own program without saved steps."""
    models = [bench.pocket] if bench.quick else [bench.pocket, bench.random("sd15", guidance_scale=1.0)]
    for model in models:
        ours = bench.ours(model)

        def kept(turn: int, every: int, model=model, ours=ours) -> None:  # type: ignore[no-untyped-def]
            ours.make(replace(model.job, seed=turn).line(f"--save_intermediates {every}"))

        sides = {
            "kept": Side(lambda turn, kept=kept: kept(turn, 1), ours.processor),  # type: ignore[misc]
            "not kept": Side(lambda turn, kept=kept: kept(turn, 0), ours.processor),  # type: ignore[misc]
        }
        costs = in_turns(sides, turns=3 * bench.turns if model.name == "pocket" else bench.turns)
        least = {name: min(cost.processor for cost in kept) for name, kept in costs.items()}
        yield Row(
            what=f"{model.name}: every step kept, {model.job.width}×{model.job.height}, {model.job.steps} steps",
            peer="invoke, none kept",
            ours_costs=costs["kept"],
            peer_costs=costs["not kept"],
            facts={"% of the processor more, at best": 100 * (least["kept"] / least["not kept"] - 1)},
        )
