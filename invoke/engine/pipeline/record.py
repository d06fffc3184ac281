"""Finishes a picture: matches colours, pastes the original back, and records how it was made."""

from collections.abc import Mapping
from time import perf_counter

import numpy as np
import torch

from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.img2img.outpainting import cut
from invoke.engine.img2img.prepared import Prepared, mode_of
from invoke.engine.model_protocol import AnyModel
from invoke.engine.pipeline import colour_match
from invoke.events import RunInfo
from invoke.images import open_picture
from invoke.request import Request
from invoke.versions import versions


def result(  # noqa: PLR0913 - all but the first three by keyword
    model: AnyModel,
    request: Request,
    pixels: torch.Tensor,
    *,
    prepared: Prepared | None,
    steps_taken: int,
    hashes: Mapping[str, str],
    began: float,
    latents: torch.Tensor | None = None,
) -> DrawnPicture:
    """Turn `pixels` (bytes, height × width × 3), decoded from `latents`, into the picture of `request`.

    `hashes` are those of adapters and controls; `began` is the `perf_counter` at the start. Raises PictureError.
    """
    used = (dict(prepared.hashes) if prepared else {}) | dict(hashes)
    pixels = with_colours_of(request, pixels, used)
    if prepared is not None:
        pixels = prepared.pasted(pixels, request.mask_blur)
    info = run_info(model, prepared, steps_taken=steps_taken, hashes=used, seconds=perf_counter() - began)
    is_changed = request.init_color is not None or (prepared is not None and prepared.repaint_mask is not None)
    return DrawnPicture(cut(pixels, request), None if is_changed else latents, info)


def with_colours_of(request: Request, pixels: torch.Tensor, hashes: dict[str, str]) -> torch.Tensor:
    """Match `pixels` to the colours of `--init_color`, and add its hash to `hashes`. Raises PictureError."""
    if request.init_color is None:
        return pixels
    reference = open_picture(request.init_color)
    hashes["init_color"] = reference.sha256
    return torch.from_numpy(colour_match.match(pixels.numpy(), np.asarray(reference.image)))


def run_info(
    model: AnyModel, prepared: Prepared | None, *, steps_taken: int, hashes: dict[str, str], seconds: float
) -> RunInfo:
    """The record of a picture drawn by `model`."""
    return RunInfo(
        mode=mode_of(prepared),
        steps_taken=steps_taken,
        painted=prepared.painted if prepared else 1.0,
        device=model.place.device_name,
        dtype=model.place.dtype_name,
        versions=versions(),
        hashes=hashes | _hashes(model),
        seconds=seconds,
        threads=torch.get_num_threads() if model.place.device.type == "cpu" else 0,
    )


def _hashes(model: AnyModel) -> dict[str, str]:
    vae = getattr(model, "vae_hash", None)
    return {"model": model.weights_hash.result()} | ({"vae": vae.result()} if vae else {})


def run_info_untouched(prepared: Prepared) -> RunInfo:
    """The record of a picture that is its unchanged original."""
    return RunInfo(
        mode=mode_of(prepared),
        steps_taken=0,
        painted=0.0,
        device="none",
        dtype="none",
        versions=versions(),
        hashes=prepared.hashes,
    )
