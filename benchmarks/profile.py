"""Profile of a picture: in our program, with cached prompt and init picture, and in diffusers."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from benchmarks.alternating import Cost, Side, in_turns
from benchmarks.bench import Bench
from benchmarks.in_process import InProcess
from benchmarks.jobs import Job
from benchmarks.prompt_session import DRAWING
from benchmarks.results import Row
from benchmarks.stock import Stock
from benchmarks.stub_networks import networks_replaced
from invoke.outputs import png

PARTS = {
    "text encodes": "the words",
    "VAE encodes": "the init picture's latents",
    "UNet calls": "the denoiser",
    "VAE decodes": "the decoder",
    "PNG": "the file",
    "else": "all else (line, sampler, guidance)",
    "all": "the whole picture",
}
"""Part of a step → how it is called."""
Seconds = Mapping[str, float]


def profile(bench: Bench) -> Iterator[Row]:
    """Image-to-image on a processor, each side in the precision that it picks."""
    models = [bench.pocket] if bench.quick else [bench.pocket, bench.random("sd15", steps=8)]
    for model in models:
        with closing(InProcess(model.path, bench.work / "profile", device="cpu")) as ours:
            stock = Stock(str(model.path), "float32", "cpu")
            yield from profiled(model.name, model.job, ours, stock, bench.work, bench.turns)


def profiled(name: str, job: Job, ours: InProcess, stock: Stock, folder: Path, turns: int) -> Iterator[Row]:  # noqa: PLR0913, PLR0917 - both sides
    """A row for each of PARTS. Both engines are in this process."""
    job = replace(job, init_image=str(DRAWING), strength=0.75)
    spent: dict[str, list[Seconds]] = {"ours": [], "theirs": []}

    def timed(side: str, make: Callable[[Job], object]) -> Callable[[int], None]:
        def work(turn: int) -> None:
            began = perf_counter()
            with _timed() as seconds:
                make(replace(job, seed=turn))
                _wait()
            whole = perf_counter() - began
            if turn:
                spent[side].append({**seconds, "all": whole, "else": whole - sum(seconds.values())})

        return work

    def stocked(asked: Job) -> None:
        stock.make(asked, folder / "stock.png")

    sides = {"ours": timed("ours", lambda asked: ours.make(asked.line())), "theirs": timed("theirs", stocked)}
    in_turns({side: Side(work) for side, work in sides.items()}, turns=turns)
    for part, title in PARTS.items():
        yield Row(
            what=f"{name}, -I, {job.width}×{job.height}, {job.steps} steps at strength {job.strength:g}: {title}",
            peer=f"diffusers, {stock.dtype}",
            ours_costs=_costs(spent["ours"], part),
            peer_costs=_costs(spent["theirs"], part),
        )


def _costs(spent: list[Seconds], part: str) -> list[Cost]:
    return [Cost(seconds.get(part, 0), seconds.get(part, 0)) for seconds in spent]


@contextmanager
def _timed() -> Iterator[Seconds]:
    """Seconds by part, of whoever works within."""
    from PIL import Image

    from invoke.engine.sampling.recorded_calls import RecordedCalls

    spent: dict[str, float] = defaultdict(float)
    going: list[str] = []

    def timing(part: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*words: Any, **named: Any) -> Any:
            if going:  # recording calls the network
                return real(*words, **named)
            _wait()
            began = perf_counter()
            going.append(part)
            try:
                return real(*words, **named)
            finally:
                _wait()
                going.clear()
                spent[part] += perf_counter() - began

        return answer

    with ExitStack() as stack:
        stack.enter_context(networks_replaced(timing))
        for part, holder, name in (
            ("PNG", png, "encode"),
            ("PNG", Image.Image, "save"),
            ("UNet calls", RecordedCalls, "__call__"),
        ):
            stack.enter_context(patch.object(holder, name, timing(part, getattr(holder, name))))
        yield spent


def _wait() -> None:
    """Wait for the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
