"""diffusers' own pipelines, for comparison with our engine."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from invoke.engine.img2img.prepared import prepare_init
from invoke.images import open_picture
from invoke.request import Request
from tests.engine.making import Array, disc, scene, with_alpha


def stock_pipeline(pipeline: str, folder: Path, **parts: Any) -> Any:
    """The pipeline of this name with the model in `folder`."""
    loaded = getattr(diffusers, pipeline).from_pretrained(str(folder), **parts)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def generator() -> torch.Generator:
    """Of the seed that `a_request` has."""
    return torch.Generator("cpu").manual_seed(42)


def run(steps: int = 4) -> dict[str, Any]:
    """Arguments of a pipeline call whose result `in_bytes` reads."""
    return {"num_inference_steps": steps, "generator": generator(), "output_type": "np"}


def in_bytes(result: Any) -> Array:
    """The result of a pipeline, height × width × 3."""
    return (result.images[0] * 255).round().astype(np.uint8)


def apart(one: Array, other: Array) -> int:
    """The largest difference, in levels."""
    return int(abs(one.astype(int) - other.astype(int)).max())


def holed(folder: Path, *, cell: int = 8) -> tuple[Path, Array, dict[str, Image.Image]]:
    """A picture with a hole of whole cells of `cell` pixels: its file, where the hole is, and both for a pipeline."""
    cells = 64 // cell
    repaint_mask = np.repeat(np.repeat(disc(cells, cells, cells * 3 / 8), cell, 0), cell, 1)
    path = with_alpha(folder / "holed.png", scene(), np.where(repaint_mask, 0, 255))
    arguments = {"image": Image.fromarray(scene()), "mask_image": Image.fromarray(repaint_mask.astype(np.uint8) * 255)}
    return path, repaint_mask, arguments


def as_float(request: Request) -> torch.Tensor:
    """What is encoded of the init image, −1…1, 1 × 3 × height × width: at strength 1 nothing from under its hole."""
    assert isinstance(request.init_image, str)
    prepared = prepare_init(
        request, open_picture(request.init_image), lambda *_: pytest.fail("no words are looked for")
    )
    return (2 * prepared.encode_source - 1).permute(2, 0, 1)[None]


def encoded(request: Request) -> Image.Image:
    """The same as an image of 8 bits."""
    pixels = (as_float(request)[0].permute(1, 2, 0) + 1) / 2
    return Image.fromarray((pixels * 255).round().to(torch.uint8).numpy())
