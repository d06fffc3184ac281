"""Other programs, if already installed: stable-diffusion.cpp and imaginAIry. Nothing is installed here.

Whole processes on both sides, since theirs load their weights for each picture. The weights are those of Stable
Diffusion 1.5's shape, for them in one file in the original layout.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench, LeftOutError
from benchmarks.jobs import Job
from benchmarks.processes import MAKING, children, run_to_end
from benchmarks.results import Row

Words = list[str]


@dataclass(frozen=True, slots=True)
class Other:
    """One of these programs."""

    programs: tuple[str, ...]
    """Its possible names on the PATH."""
    words: Callable[[Job, Path, Path], Words]
    """Its arguments, for a job, a file of weights and an output folder."""


def _sd_cpp(job: Job, weights: Path, outdir: Path) -> Words:
    size = ["-W", str(job.width), "-H", str(job.height)]
    how = ["--steps", str(job.steps), "--cfg-scale", str(job.guidance_scale), "--sampling-method", "euler"]
    where = ["-t", str(os.cpu_count() or 1), "-s", str(job.seed), "-o", str(outdir / f"{job.seed}.png")]
    return ["-m", str(weights), "-p", job.prompt, *size, *how, *where]


def _imaginairy(job: Job, weights: Path, outdir: Path) -> Words:
    how = ["--steps", str(job.steps), "--prompt-strength", str(job.guidance_scale), "--seed", str(job.seed)]
    model = ["--model-weights-path", str(weights), "--model-architecture", "sd15"]
    where = ["--outdir", str(outdir), "--output-file-extension", "png", "--quiet"]
    return ["imagine", *model, "--size", f"{job.width}x{job.height}", *how, *where, job.prompt]


OTHERS: Mapping[str, Other] = {
    "stable-diffusion.cpp": Other(("sd-cli", "sd"), _sd_cpp),
    "imaginAIry": Other(("aimg",), _imaginairy),
}


def others(bench: Bench) -> Iterator[Row]:
    """One picture from process start to process end, compared with each installed program."""
    if bench.quick:
        raise LeftOutError("it takes the networks of Stable Diffusion 1.5")
    found = {name: program for name, other in OTHERS.items() if (program := _program(other))}
    if not found:
        raise LeftOutError("neither stable-diffusion.cpp nor imaginAIry is installed")
    model = bench.random("sd15", sampler="k_euler")
    job, outdir = model.job, bench.work / "others"
    outdir.mkdir()
    weights = _one_file(model.path)

    def ours(turn: int) -> None:
        command = [*MAKING, "-m", str(model.path), "-o", str(outdir)]
        run_to_end(command, [replace(job, seed=turn).line()], "session")

    def runner(name: str) -> Callable[[int], object]:
        words = OTHERS[name].words
        return lambda turn: subprocess.run(
            [found[name], *words(replace(job, seed=turn), weights, outdir)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    sides = {"ours": Side(ours, children)} | {name: Side(runner(name), children) for name in found}
    costs = in_turns(sides, turns=bench.turns)
    for name in found:
        yield Row(
            what=f"{model.name}: process start → picture, {job.width}×{job.height}, {job.steps} steps",
            peer=name,
            ours_costs=costs["ours"],
            peer_costs=costs[name],
        )


def _program(other: Other) -> str | None:
    return next(filter(None, map(shutil.which, other.programs)), None)


def _one_file(folder: Path) -> Path:
    """The checkpoint in `folder` as one file, beside it."""
    file = folder.with_suffix(".safetensors")
    if not file.exists():
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from safetensors.torch import save_file
        from transformers import CLIPTextModel

        from tests.tiny_ldm import ldm_state

        kinds = (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel))
        save_file(ldm_state(*(kind.from_pretrained(folder, subfolder=name) for name, kind in kinds)), file)
    return file
