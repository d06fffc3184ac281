"""The optional safety checker of Stable Diffusion 1: flagged pictures are blurred, with a note."""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import torch

from invoke.engine.components.devices import Placement
from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import one_sentence, settled
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.sampling.model_call import Generation
from invoke.errors import ModelError
from invoke.events import Note
from invoke.models import Kind, ModelSpec
from invoke.models.folder import read_json
from invoke.models.hub.locate import on_disk
from invoke.models.safetensors_header import read_header

NAME = "safety-checker"
"""The name of the checker in the list of models."""
KIND: Kind = "safety"
BLURRED = 1 / 16
"""Blur radius, as a fraction of the longer side."""


@dataclass(frozen=True, slots=True, eq=False)
class Checker:
    """A loaded safety checker."""

    network: Any
    processor: Any
    weights_hash: BackgroundHash


def safety_check(drawn: DrawnPicture, pool: ModelPool) -> Generation[DrawnPicture]:
    """Blur `drawn` if the checker flags it, and record the checker's hash.

    Raises ModelError if there is no checker.
    """
    checker = pool.get(NAME, KIND, read)
    info = replace(drawn.info, hashes=drawn.info.hashes | {"safety_checker": checker.weights_hash.result()})
    if not _objects(checker, drawn.pixels):
        return replace(drawn, info=info)
    yield Note("the safety checker flagged this picture, so it is blurred (omit --safety_checker to keep it)")
    return DrawnPicture(_blurred(drawn.pixels), None, info)


def read(spec: ModelSpec, place: Placement) -> Checker:
    """Load the checker of `spec`, in float32: its verdict must not depend on rounding. Raises ModelError."""
    folder = on_disk(spec.name, spec.weights)
    folder = folder / "safety_checker" if (folder / "safety_checker").is_dir() else folder
    read_json(spec.name, folder / "config.json")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{spec.name}: this model is incomplete: {weights.name} is missing")
    read_header(weights)
    kind: Any = import_module("diffusers.pipelines.stable_diffusion.safety_checker").StableDiffusionSafetyChecker
    processors: Any = import_module("transformers")
    with one_sentence(spec.name):
        network = kind.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
    side = network.config.vision_config.image_size
    processor = processors.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return Checker(settled(network, place), processor, BackgroundHash(folder, [weights]))


@torch.no_grad()
def _objects(checker: Checker, pixels: torch.Tensor) -> bool:
    picture = pixels.numpy()
    inputs = checker.processor(images=[picture], return_tensors="pt")["pixel_values"]
    _, found = checker.network(images=[picture], clip_input=inputs.to(checker.network.device))
    return bool(found[0])


def _blurred(pixels: torch.Tensor) -> torch.Tensor:
    from PIL import Image, ImageFilter

    blurred = Image.fromarray(pixels.numpy()).filter(ImageFilter.GaussianBlur(max(pixels.shape[:2]) * BLURRED))
    return torch.from_numpy(np.array(blurred))
