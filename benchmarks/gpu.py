"""On a GPU: lines of our own program against eager diffusers pipelines in the same process, dtype and turn.

python -m benchmarks gpu --seconds 540 --results FOLDER [--folder FOLDER] [--only NAME …] [--worker] [--tiny]

Checkpoints have the shapes of Stable Diffusion 1.5 and XL and random weights. Both sides start from a prompt and end
with a PNG on disk. What was measured is written after each part, so that a run that is cut short loses only the rest.
With `--tiny` everything is small enough for a CPU: it shows that this file works, and nothing else.
"""

import argparse
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks import machine
from benchmarks.alternating import TURNS, Cost, Side, in_turns, spread
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.profile import profiled
from benchmarks.random_checkpoints import SHAPES, checkpoint, decoder_flops, unet_flops
from benchmarks.results import FOLDER, Fact, Results, Row, machine_line
from benchmarks.stock import Stock, quieten

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "eager": {"graphs": False},
    "default": {},
    "--compile": {"compile": True},
}
"""Variants of ours by engine options: kernel by kernel, CUDA graphs, compiled."""
MATRIX = 8192
"""Side of the square matrices whose product gives the GPU's rate."""
LINES = 64
BATCH = 8


@dataclass(frozen=True, slots=True)
class Run:
    """The context of all parts."""

    folder: Path
    """The folder of the checkpoints."""
    device: str
    is_tiny: bool
    turns: int
    peak: float
    """Floating-point operations a second of a large product of matrices in the same dtype."""
    outdir: Path
    dtype: str
    has_worker: bool = False
    """Whether our engine runs in its own process, as in the program."""

    def model(self, shape: str) -> tuple[str, Path]:
        """The shape to use for `shape`, and its checkpoint."""
        name = {"sd15": "tiny", "sdxl": "tiny-xl"}[shape] if self.is_tiny else shape
        return name, checkpoint(name, self.folder)

    def session(self, model: Path, **options: Any) -> InProcess:
        return InProcess(
            model, self.outdir, worker=self.has_worker, device=self.device, precision=self.dtype, **options
        )

    def stock(self, model: Path) -> Stock:
        return Stock(str(model), self.dtype, self.device)

    def job(self, shape: str, **changes: Any) -> Job:
        size = SHAPES[shape].size
        return replace(
            Job(width=size, height=size, steps=4 if self.is_tiny else 50, sampler=SHAPES[shape].sampler), **changes
        )


def one_picture(run: Run, until: float) -> Iterator[Row]:
    """SD 1.5's shape, one picture at its own size, 50 steps with guidance."""
    yield from _one("sd15", run, until, compiled=False)


def one_picture_xl(run: Run, until: float) -> Iterator[Row]:
    """The same of SDXL's shape."""
    yield from _one("sdxl", run, until, compiled=False)


def exact(run: Run, until: float) -> Iterator[Row]:
    """In float32: whether our pixels equal those of the stock pipeline."""
    yield from _one(
        "sd15", replace(run, dtype="float32", turns=1), until, compiled=False, steps=4 if run.is_tiny else 20
    )


def compiled(run: Run, until: float) -> Iterator[Row]:
    """SD 1.5's shape with `--compile`."""
    yield from _one("sd15", run, until, compiled=True)


def compiled_xl(run: Run, until: float) -> Iterator[Row]:
    """SDXL's shape with `--compile`."""
    yield from _one("sdxl", run, until, compiled=True)


def batch(run: Run, until: float) -> Iterator[Row]:
    """Eight pictures of one prompt at once, compared with eight calls and with one call for eight."""
    yield from _batch("sd15", run, until)


def batch_xl(run: Run, until: float) -> Iterator[Row]:
    """The same of SDXL's shape."""
    yield from _batch("sdxl", run, until)


def file(run: Run, until: float) -> Iterator[Row]:
    """A file of mixed lines against a loop of stock calls."""
    shape, model = run.model("sd15")
    jobs = _mixed(run, shape)
    stock = run.stock(model)

    def loop(turn: int) -> None:
        for number, job in enumerate(jobs):
            stock.make(replace(job, seed=job.seed + 1000 * turn), run.outdir / f"stock-{turn}-{number}.png")

    together = ["", f"--batch_size {BATCH}"]
    with closing(run.session(model)) as session:

        def ours(switches: str, turn: int) -> None:
            session.make_all([replace(job, seed=job.seed + 1000 * turn).line(switches) for job in jobs])

        sides = {switches: Side(partial(ours, switches)) for switches in together} | {"stock": Side(loop)}
        costs = in_turns(sides, turns=run.turns, until=until)
    flops = sum(_flops(shape, job) for job in jobs)
    for switches in together:
        yield Row(
            what=f"{shape}: a file of {len(jobs)} lines: sizes, steps, guidance and init pictures mixed",
            ours=f"invoke {switches}".strip(),
            peer=f"diffusers, {run.dtype}, eager, in a loop",
            ours_costs=costs[switches],
            peer_costs=costs["stock"],
            pictures=len(jobs),
            goal=3,
            facts={"ours": switches or "default"} | _shares(run, flops, costs[switches], costs["stock"]),
        )


def profile(run: Run, until: float) -> Iterator[Row]:
    """Where the time of a picture goes."""
    shape, model = run.model("sd15")
    with closing(InProcess(model, run.outdir, device=run.device, precision=run.dtype)) as ours:
        yield from profiled(shape, run.job(shape), ours, run.stock(model), run.outdir, run.turns)


PARTS: Mapping[str, Callable[[Run, float], Iterator[Row]]] = {
    part.__name__: part
    for part in (one_picture, exact, profile, batch, file, one_picture_xl, batch_xl, compiled, compiled_xl)
}
"""In order; time that one does not need is left for the others."""


def main(words: list[str]) -> None:
    """Measure, print and save."""
    asked = _arguments(words)
    quieten()
    began = perf_counter()
    device = "cuda" if _has_cuda() else "cpu"
    dtype = "float32" if asked.tiny else "float16"
    with TemporaryDirectory() as outdir:
        peak = product_rate(device, dtype, 512 if asked.tiny else MATRIX)
        run = Run(asked.folder, device, asked.tiny, asked.turns, peak, Path(outdir), dtype, asked.worker)
        kind = "gpu-tiny" if asked.tiny else "gpu-worker" if asked.worker else "gpu"
        results = Results(kind, machine.describe(_device_name(), asked.commit))
        results.rows.append(Row(what=f"product of matrices, {dtype}", facts={"TFLOP/s": peak / 1e12}))
        names = asked.only or list(PARTS)
        print(machine_line(results.machine), flush=True)
        for number, name in enumerate(names):
            left = asked.seconds - (perf_counter() - began)
            share = left if number == len(names) - 1 else 1.5 * left / (len(names) - number)
            if left < 0.03 * asked.seconds:
                results.skipped[name] = f"the {asked.seconds:.0f} seconds were over"
                continue
            _measure(name, run, perf_counter() + share, results)
            results.write(asked.results)
            _let_go()
        print(f"\n{results.page()}\n{results.write(asked.results)}  ({perf_counter() - began:.0f} s)")


def product_rate(device: str, dtype: str, side: int) -> float:
    """Floating-point operations a second of the product of two square matrices: the fastest of several."""
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    best = 0.0
    for _ in range(10):
        _wait()
        began = perf_counter()
        for _ in range(10):
            a @ b
        _wait()
        best = max(best, 10 * 2 * side**3 / (perf_counter() - began))
    return best


def _measure(name: str, run: Run, until: float, results: Results) -> None:
    """Run one part; a failure is reported and does not end the run."""
    began = perf_counter()
    try:
        for row in PARTS[name](run, until):
            results.rows.append(row)
            print(" | ".join(row.cells()), flush=True)
    except Exception as error:
        results.skipped[name] = f"failed: {type(error).__name__}: {error}"
        print(f"{name} failed: {error!r}", flush=True)
    print(f"  {name}: {perf_counter() - began:.0f} s", flush=True)


def _one(wanted: str, run: Run, until: float, *, compiled: bool, steps: int = 0) -> Iterator[Row]:
    """Each of our variants in turns with the stock pipeline, one picture a turn."""
    shape, model = run.model(wanted)
    stock = run.stock(model)
    job = run.job(shape, **({"steps": steps} if steps else {}))
    sessions = {
        name: run.session(model, **options) for name, options in VARIANTS.items() if ("compile" in options) == compiled
    }
    try:
        pixels: dict[str, bytes] = {}

        def keep(side: str, seed: int, made: bytes) -> None:
            if seed == 1:
                pixels[side] = made

        def ours(name: str) -> Callable[[int], None]:
            return lambda turn: keep(name, turn, sessions[name].make(replace(job, seed=turn).line())[0])

        def theirs(turn: int) -> None:
            keep("stock", turn, stock.make(replace(job, seed=turn), run.outdir / f"stock-{turn}.png")[0].tobytes())

        sides = {name: Side(ours(name)) for name in sessions} | {"stock": Side(theirs)}
        warm = _seconds_of(lambda: [side.work(0) for side in sides.values()])
        stock.saving = 0
        costs = in_turns(sides, turns=run.turns, until=until)
        flops = _flops(shape, job)
        for name in sessions:
            facts = _shares(run, flops, costs[name], costs["stock"]) | _compared("stock", pixels[name], pixels["stock"])
            if name != "eager" and "eager" in pixels:
                facts |= _compared("our own eager", pixels[name], pixels["eager"])
            facts |= {"s for stock's PNG": stock.saving / (len(costs["stock"]) + 1), "s to load and warm up": warm}
            yield Row(
                what=f"{shape}: one picture, {job.width}×{job.height}, {job.steps} steps, guidance, {run.dtype}",
                ours=f"invoke, {name}",
                peer=f"diffusers, {run.dtype}, eager",
                ours_costs=costs[name],
                peer_costs=costs["stock"],
                goal=None if run.dtype == "float32" else {"eager": 1.0, "default": 1.7}.get(name, 2.3),
                facts={"ours": name} | facts,
            )
    finally:
        for session in sessions.values():
            session.close()


def _batch(wanted: str, run: Run, until: float) -> Iterator[Row]:
    shape, model = run.model(wanted)
    stock = run.stock(model)
    count = BATCH if wanted == "sd15" else BATCH // 2
    job = run.job(shape, steps=4 if run.is_tiny else 30 if wanted == "sd15" else 20)
    with closing(run.session(model)) as ours:
        line = f"-n {count} --batch_size {count}"

        def one_by_one(turn: int) -> None:
            for k in range(count):
                stock.make(replace(job, seed=100 * turn + k), run.outdir / f"stock-{turn}-{k}.png")

        sides = {
            "ours": Side(lambda turn: ours.make(replace(job, seed=100 * turn).line(line))),
            "one by one": Side(one_by_one),
            f"num_images_per_prompt={count}": Side(
                lambda turn: stock.make(replace(job, seed=100 * turn), run.outdir / f"together-{turn}.png", count)
            ),
        }
        costs = in_turns(sides, turns=run.turns, until=until)
    for peer in list(sides)[1:]:
        yield Row(
            what=f"{shape}: {count} pictures, {job.width}×{job.height}, {job.steps} steps, guidance, {line}",
            peer=f"diffusers, {run.dtype}, eager, {peer}",
            ours_costs=costs["ours"],
            peer_costs=costs[peer],
            pictures=count,
            goal=3 if peer == "one by one" else None,
            facts=_shares(run, count * _flops(shape, job), costs["ours"], costs[peer]),
        )


def _mixed(run: Run, shape: str) -> list[Job]:
    """Lines as in a real file: sizes and steps in mixed order."""
    from PIL import Image

    own = SHAPES[shape].size
    sizes = ((own, own), (own, own * 3 // 2), (own * 3 // 2, own), (own, own))
    start = run.outdir / "start.png"
    with Image.open(machine.ROOT / "test-pictures" / "fire-drawing.png") as drawing:
        drawing.convert("RGB").resize((own, own)).save(start)
    jobs = []
    for number in range(8 if run.is_tiny else LINES):
        width, height = sizes[number % 4]
        from_picture = number % 4 == 3
        jobs.append(
            Job(
                prompt=("a fire", "a castle at night", "a boat by the sea, painting")[number % 3],
                width=width,
                height=height,
                steps=4 if run.is_tiny else (20, 30)[number // 4 % 2],
                guidance_scale=(7.5, 7.5, 5.0, 7.5, 1.0)[number % 5],
                seed=number,
                init_image=str(start) if from_picture else "",
                strength=(0.5, 0.75)[number // 8 % 2],
            )
        )
    return jobs


def _flops(shape: str, job: Job) -> float:
    """What the networks must compute for `job`: every step, twice with guidance, and the decoder."""
    steps = max(1, int(job.steps * job.strength)) if job.init_image else job.steps
    calls = steps * (2 if job.guidance_scale > 1 else 1)
    size = {"width": job.width, "height": job.height}
    return calls * unet_flops(shape, **size) + decoder_flops(shape, **size)


def _shares(run: Run, flops: float, ours: list[Cost], theirs: list[Cost]) -> dict[str, Fact]:
    """The share of the GPU's rate that each side reaches, in percent."""
    used = (100 * flops / spread([cost.wall for cost in costs]).median / run.peak for costs in (ours, theirs))
    mine, stock = used
    return {"% of the product's rate": mine, "% stock": stock}


def _compared(other: str, a: bytes, b: bytes) -> dict[str, Fact]:
    """Whether the pixels equal those of `other`; if not, the difference, in levels of 255."""
    import numpy as np

    apart = np.abs(np.frombuffer(a, np.uint8).astype(int) - np.frombuffer(b, np.uint8))
    if not apart.any():
        return {f"pixels as {other}": True}
    return {f"pixels as {other}": False, "levels apart": float(apart.mean()), "at most": int(apart.max())}


def _seconds_of(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if _has_cuda() else "CPU"


def _wait() -> None:
    import torch

    if _has_cuda():
        torch.cuda.synchronize()


def _let_go() -> None:
    import torch

    gc.collect()
    if _has_cuda():
        torch.cuda.empty_cache()


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu")
    parser.add_argument("--seconds", type=float, default=540, help="when to stop, at the latest by the next turn")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--results", type=Path, default=FOLDER)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/invoke-benchmarks"), help="of the checkpoints")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these parts")
    parser.add_argument("--commit", default="", help="where there is no git")
    parser.add_argument(
        "--worker", action="store_true", help="our engine in a process of its own, as the program has it"
    )
    parser.add_argument("--tiny", action="store_true", help="small enough for a CPU")
    return parser.parse_args(words)
