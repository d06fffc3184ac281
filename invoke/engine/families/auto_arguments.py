"""Turns a request into arguments for a diffusers pipeline, according to the signature of its `__call__`."""

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from PIL import Image

from invoke.engine.conditioning.literal import cut_note, cut_words, literal_texts
from invoke.engine.img2img.mask import OPEN, cells
from invoke.engine.img2img.prepared import Prepared
from invoke.errors import RequestError
from invoke.images import open_picture
from invoke.models.editors import EVERYTHING
from invoke.request import GUIDANCE_SCALE, Request

FROM_ZERO = ("ZImage", "Krea2")
"""How the pipelines begin whose guidance scale counts from 0: theirs is ours less 1."""
NEAR = 1e-6
"""Rounding tolerance, in steps, when a strength is converted to a number of steps."""


def arguments(pipeline: Any, request: Request, size: tuple[int, int], name: str) -> dict[str, Any]:
    """The arguments other than pictures and strength. `size` is (width, height) in pixels, `name` the model's.

    Raises RequestError if `request` needs an argument that the pipeline lacks.
    """
    prompt, negative = literal_texts(request)
    offered = {
        "prompt": prompt,
        "width": size[0],
        "height": size[1],
        "num_inference_steps": request.steps,
        "generator": torch.Generator("cpu").manual_seed(request.seed),
        "output_type": "np",
    }
    takes = signature(pipeline.__call__).parameters
    inputs = {key: value for key, value in offered.items() if key in takes}
    return inputs | _guidance(pipeline, request.guidance_scale, negative, name)


def _guidance(pipeline: Any, scale: float, negative: str, name: str) -> dict[str, Any]:
    """The guidance arguments, for each kind of pipeline.

    Guidance works with or without a negative prompt, only with one (`true_cfg_scale`), or as an input of a distilled
    network.
    """
    takes = signature(pipeline.__call__).parameters
    needs_negative = "true_cfg_scale" in takes
    is_distilled = needs_negative and bool(getattr(_config(pipeline), "guidance_embeds", False))
    if negative and scale > 1 and ("negative_prompt" not in takes or is_distilled):
        raise RequestError(
            f"--negative_prompt: {name} does not support it", code="not_taken", hint="describe what to show instead"
        )
    away = {"negative_prompt": negative} if negative and scale > 1 else {}
    if needs_negative and not is_distilled:
        return away | {"true_cfg_scale": scale} if away else {}
    if type(pipeline).__name__.startswith(FROM_ZERO):
        scale = max(scale - 1, 0)
    return away | {"guidance_scale": scale} if "guidance_scale" in takes else away


def strength_for(pipeline: Any, request: Request, name: str) -> float:
    """The strength for which the pipeline takes floor(steps × strength) steps, but at least one.

    Most pipelines round up and some down, all in binary floating point; the initial noise level depends only on the
    number of steps. Raises RequestError if the pipeline has no strength.
    """
    if "strength" not in signature(pipeline.__call__).parameters or not hasattr(pipeline, "get_timesteps"):
        raise RequestError(f"-I: {name} cannot start from a picture", code="not_taken")
    steps, near = request.points, NEAR / request.steps
    share = steps / request.steps
    candidates = (request.strength, share - near, share + near)
    return next((strength for strength in candidates if _count(pipeline, request, strength) == steps), request.strength)


def pictures(prepared: Prepared, factor: int) -> dict[str, Any]:
    """The init image and the mask, white where it is repainted, rounded to whole cells of `factor` pixels."""
    image = Image.fromarray((prepared.encode_source * 255).round().to(torch.uint8).numpy())
    if prepared.repaint_mask is None:
        return {"image": image}
    in_cells = cells((prepared.repaint_mask >= OPEN).float(), factor)
    mask = F.interpolate(in_cells, scale_factor=factor, mode="nearest")[0, 0]
    return {"image": image, "mask_image": Image.fromarray((mask * 255).to(torch.uint8).numpy())}


def edited(pipeline: Any, request: Request, prepared: Prepared, factor: int) -> dict[str, Any]:
    """The arguments for editing by instruction: the pictures, and the mask if only a part may change.

    Raises PictureError.
    """
    inputs, takes = pictures(prepared, factor), signature(pipeline.__call__).parameters
    more = [open_picture(path).on_white for path in request.more_images]
    if "mask_image" in inputs:
        inputs |= {"strength": EVERYTHING} | ({"image_reference": more} if more else {})
    elif more:
        inputs["image"] = [inputs["image"], *more]
    width, height = prepared.size
    # without these, the pipeline would resize the picture
    exact = {"max_area": width * height, "_auto_resize": False, "width": width, "height": height}
    return inputs | {name: value for name, value in exact.items() if name in takes}


def more_hashes(request: Request) -> dict[str, str]:
    """Each further picture of an edit → SHA-256 of its file."""
    return {f"picture {n}": open_picture(path).sha256 for n, path in enumerate(request.more_images, start=2)}


def notes(pipeline: Any, request: Request, inputs: Mapping[str, Any], name: str) -> Iterator[str]:
    """Notes about switches that have no effect on a pipeline with these `inputs`, and about words that are cut off."""
    is_typed = request.guidance_scale != GUIDANCE_SCALE
    if is_typed and request.guidance_scale > 1 and not {"guidance_scale", "true_cfg_scale"} & inputs.keys():
        takes = "true_cfg_scale" in signature(pipeline.__call__).parameters
        yield f"-C has no effect with {name}{' without a negative prompt' if takes else ''}"
    cut = _cut(pipeline, inputs["prompt"])
    if cut:
        yield cut_note(cut)


def _count(pipeline: Any, request: Request, strength: float) -> int:
    """How many steps the pipeline takes with this strength."""
    asked = (request.steps, strength, pipeline.device)
    steps: int = pipeline.get_timesteps(*asked[: len(signature(pipeline.get_timesteps).parameters)])[1]
    return steps


def _cut(pipeline: Any, prompt: str) -> str:
    """The words that no text encoder reads. CLIP reads 77 tokens, others the pipeline's `max_sequence_length`."""
    longest = signature(pipeline.__call__).parameters.get("max_sequence_length")
    cut = prompt
    for end in ("", "_2", "_3", "_4"):
        tokenizer = getattr(pipeline, f"tokenizer{end}", None)
        if tokenizer is not None and getattr(pipeline, f"text_encoder{end}", None) is not None:
            is_clip = type(tokenizer).__name__.startswith("CLIP")
            limit = tokenizer.model_max_length if is_clip or longest is None else longest.default
            cut = min(cut, cut_words(prompt, tokenizer, limit), key=len)
    return cut if cut != prompt else ""


def _config(pipeline: Any) -> Any:
    return getattr(getattr(pipeline, "transformer", None), "config", None)
