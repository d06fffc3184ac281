"""The peer: diffusers' own pipelines, as a script uses them. Also a process that loads once and then answers.

python -m benchmarks.stock MODEL float32 reads jobs as JSON, one a line, and answers each with what it took.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.jobs import Job
from invoke.processes import ENVIRONMENT


class Stock:
    """The untuned pipelines of some models, kept in memory."""

    def __init__(self, model: str, dtype: str, device: str) -> None:
        self.model, self.dtype, self.device = model, dtype, device
        self.saving = 0.0
        """Seconds spent on writing PNGs."""
        self._pipelines: dict[tuple[str, str], Any] = {}
        quieten()
        self._pipeline(model, "")

    def make(self, job: Job, path: Path | None = None, count: int = 1) -> list[Any]:
        """`count` pictures at once, seeds counting up; saved as Pillow does it, if a `path` is given."""
        import torch

        kind = "" if not job.init_image else "Inpaint" if job.is_holed else "Img2Img"
        pipeline = self._pipeline(job.model or self.model, kind)
        more: dict[str, Any] = {} if kind == "Img2Img" else {"width": job.width, "height": job.height}
        generators = [torch.Generator("cpu").manual_seed(job.seed + k) for k in range(count)]
        if kind:
            more |= {"strength": job.strength} | _pictures(job)
        else:
            # passed in, because a generator draws other noise in float16 than in float32, which ours uses
            factor = pipeline.vae_scale_factor
            shape = (1, pipeline.vae.config.latent_channels, job.height // factor, job.width // factor)
            noise = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
            more["latents"] = noise.to(pipeline.unet.dtype)
        images: list[Any] = pipeline(
            job.prompt,
            num_inference_steps=job.steps,
            guidance_scale=job.guidance_scale,
            num_images_per_prompt=count,
            generator=generators if count > 1 else generators[0],
            **more,
        ).images
        began = perf_counter()
        for number, image in enumerate(images if path else []):
            assert path is not None
            image.save(path.with_name(f"{path.stem}.{number}.png"))
        self.saving += perf_counter() - began
        return images

    def load(self, model: str) -> None:
        """Load `model` again from its files, as a script with a single pipeline does."""
        self._pipelines.clear()
        self._pipeline(model, "")

    def _pipeline(self, model: str, kind: str) -> Any:
        import diffusers
        import torch

        if (model, kind) in self._pipelines:
            return self._pipelines[model, kind]
        if kind:
            base = self._pipeline(model, "")
            made = getattr(diffusers, type(base).__name__.replace("Pipeline", f"{kind}Pipeline"))(**base.components)
        else:
            dtype = getattr(torch, self.dtype)
            read: Any = diffusers.DiffusionPipeline.from_pretrained
            made = read(model, dtype=dtype, local_files_only=True).to(self.device)
        made.set_progress_bar_config(disable=True)
        self._pipelines[model, kind] = made
        return made


def quieten() -> None:
    """No progress bars or advice from the libraries among the results."""
    os.environ.update(ENVIRONMENT)
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()


def _pictures(job: Job) -> dict[str, Any]:
    """The init picture at the size of the result, and where it is transparent."""
    from PIL import Image

    with Image.open(job.init_image) as opened:
        picture = opened.convert("RGBA").resize((job.width, job.height))
    if not job.is_holed:
        return {"image": picture.convert("RGB")}
    return {"image": picture.convert("RGB"), "mask_image": picture.getchannel("A").point(lambda level: 255 - level)}


def main(model: str, dtype: str) -> None:
    """Process jobs until the input ends; the first output reports that the model is loaded."""
    answers, sys.stdout = sys.stdout, sys.stderr
    stock = Stock(model, dtype, "cpu")
    print(json.dumps({"type": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["reload"]:
            stock.load(asked["reload"])
        for number, job in enumerate(asked["jobs"]):
            path = Path(asked["folder"]) / f"{number}.png"
            stock.make(Job(**job), path, asked["count"])
        print(json.dumps({"type": "made"}), file=answers, flush=True)


def question(jobs: list[Job], folder: Path, *, count: int = 1, reload: str = "") -> str:
    """The line that asks for `jobs`."""
    return json.dumps({"jobs": [asdict(job) for job in jobs], "folder": str(folder), "count": count, "reload": reload})


if __name__ == "__main__":
    main(*sys.argv[1:3])
