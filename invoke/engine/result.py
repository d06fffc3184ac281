"""The end of every picture, whoever has drawn it: colours, the opaque part put back, and what is recorded."""

from collections.abc import Mapping
from time import perf_counter

import numpy as np
import torch

from invoke.engine import colours, holes, images
from invoke.engine.canvas import cut
from invoke.engine.facts import facts_of
from invoke.engine.images import Prepared
from invoke.engine.model import AnyModel
from invoke.events import Finished
from invoke.pictures import open_picture
from invoke.request import Request


def result(  # noqa: PLR0913 - all but the first three by keyword
    model: AnyModel,
    request: Request,
    pixels: torch.Tensor,
    *,
    prepared: Prepared | None,
    steps_taken: int,
    hashes: Mapping[str, str],
    began: float,
) -> Finished:
    """`pixels` (bytes, height × width × 3) as the picture of `request`.

    `hashes` are of what was added to `model`; `began` is what `perf_counter` said. Raises PictureError.
    """
    used = (dict(prepared.hashes) if prepared else {}) | dict(hashes)
    pixels = with_colours_of(request, pixels, used)
    if prepared is not None and prepared.hole is not None:
        assert prepared.base is not None
        pixels = holes.paste(pixels, prepared.base, holes.feather(prepared.hole, request.mask_blur))
    facts = facts_of(model, prepared, steps_taken=steps_taken, hashes=used, seconds=perf_counter() - began)
    return Finished(request, images.to_pixels(cut(pixels, request)), facts)


def with_colours_of(request: Request, pixels: torch.Tensor, hashes: dict[str, str]) -> torch.Tensor:
    """`pixels` with the colours of `--init_color`, whose hash is added to `hashes`. Raises PictureError."""
    if request.init_color is None:
        return pixels
    reference = open_picture(request.init_color)
    hashes["init_color"] = reference.sha256
    return torch.from_numpy(colours.match(pixels.numpy(), np.asarray(reference.image)))
