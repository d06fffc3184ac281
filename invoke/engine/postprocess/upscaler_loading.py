"""Loads the Upscaler of a ModelSpec: a pipeline in diffusers layout, or a single file that spandrel supports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from invoke.engine.components.devices import Placement
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.reading import one_sentence, parts_of_folder
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.engine.loading.load import find_folder
from invoke.engine.model_protocol import Model
from invoke.engine.postprocess.esrgan import SinglePass, load_single_pass
from invoke.engine.postprocess.latent_upscaler import LatentUpscaler
from invoke.engine.postprocess.super_resolution import SuperResolution
from invoke.engine.postprocess.upscaler import Upscaler
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.folder import ModelFolder, read_json
from invoke.models.upscalers import LATENT_UPSCALER, SUPER_RESOLUTION, UPSCALERS


@dataclass(frozen=True, eq=False)
class Parts:
    """The loaded parts of a folder in diffusers layout."""

    name: str
    place: Placement
    folder: ModelFolder
    pool: Mapping[str, Any]
    weights_hash: BackgroundHash


def read_upscaler(spec: ModelSpec, place: Placement) -> SinglePass | Parts:
    """Read the files of `spec`; `upscaler` builds the tool from the result. Raises ModelError."""
    if spec.weights.endswith(".safetensors"):
        return load_single_pass(spec, place)
    folder = find_folder(spec)
    if folder.pipeline not in UPSCALERS:
        raise ModelError(f"{spec.name}: this folder is not an upscaler: {folder.pipeline}")
    with one_sentence(spec.name):
        pool = parts_of_folder(folder, place)
    return Parts(spec.name, place, folder, pool, BackgroundHash(folder.path, folder.files))


def upscaler(read: SinglePass | Parts, model: Callable[[], Model]) -> Upscaler:
    """Build the upscaler. A latent upscaler can borrow its VAE and text encoder from `model`, which drew the picture.

    Raises ModelError.
    """
    if isinstance(read, SinglePass):
        return read
    parts = {**read.pool}
    if read.folder.pipeline == SUPER_RESOLUTION:
        return _super_resolution(read, parts)
    if read.folder.pipeline != LATENT_UPSCALER:
        raise ModelError(f"{read.name}: nothing here loads {read.folder.pipeline}")
    if "vae" not in parts or "text_encoder" not in parts:
        towers: tuple[TextEncoder, ...] = getattr(model(), "towers", ())
        if len(towers) != 1:
            raise ModelError(f"{read.name}: this upscaler is made for latents of Stable Diffusion 1 and 2")
        parts |= {"vae": model().vae, "text_encoder": towers[0].text_encoder, "tokenizer": towers[0].tokenizer}
    return LatentUpscaler(
        read.name,
        read.place,
        parts["unet"],
        parts["vae"],
        TextEncoder(parts["tokenizer"], parts["text_encoder"]),
        _scheduler_config(read, "scheduler"),
        read.weights_hash,
    )


def _super_resolution(read: Parts, parts: Mapping[str, Any]) -> SuperResolution:
    from diffusers import DDPMScheduler

    return SuperResolution(
        read.name,
        read.place,
        parts["unet"],
        parts["vae"].float(),
        TextEncoder(parts["tokenizer"], parts["text_encoder"]),
        _scheduler_config(read, "scheduler"),
        DDPMScheduler.from_config(_scheduler_config(read, "low_res_scheduler")),  # type: ignore[no-untyped-call]
        read.weights_hash,
    )


def _scheduler_config(read: Parts, part: str) -> Mapping[str, Any]:
    return read_json(read.name, read.folder.path / part / "scheduler_config.json")
