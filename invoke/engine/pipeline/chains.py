"""Chains: a picture that starts from the previous one, which is cached or made now."""

from dataclasses import dataclass
from hashlib import sha256

import torch
from PIL import Image

from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.families.auto import Auto
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.model_protocol import Model
from invoke.images import Picture
from invoke.request import Request

NAME = "the previous picture"
HANDED_ON = "uses the latents of the previous picture directly, without decoding and encoding them again"


@dataclass(frozen=True, slots=True, eq=False)
class PreviousPicture:
    """The finished picture of a part of a chain."""

    drawn: DrawnPicture

    @property
    def picture(self) -> Picture:
        """The picture in the form of one that was read from a file."""
        pixels = self.drawn.pixels.numpy()
        return Picture(NAME, Image.fromarray(pixels), sha256(pixels.tobytes()).hexdigest())


def with_latents(prepared: Prepared, previous: PreviousPicture, request: Request, pool: ModelPool) -> Prepared:
    """Reuse the latents of `previous` in `prepared` if encoding its picture again would only lose quality.

    This is the case if the size is the same, nothing is filled in, and both models have the same VAE. It depends only
    on the request, so that the same chain always makes the same pictures.
    """
    assert request.before is not None
    redrawn = 0 < request.strength < 1
    as_it_is = request.before.finished_size == prepared.size and not request.outcrop
    filled = prepared.covered is not None and bool(prepared.covered.any())
    if previous.drawn.latents is None or not redrawn or not as_it_is or filled:
        return prepared
    model = pool.any_model(request.model)
    if isinstance(model, Auto) or not _have_one_vae(pool.model(request.before.model), model):
        return prepared
    return prepared.starting_from(previous.drawn.latents, HANDED_ON)


def _have_one_vae(first: Model, second: Model) -> bool:
    if first.vae is second.vae:
        return True
    weights, others = first.vae.state_dict(), second.vae.state_dict()
    return (
        weights.keys() == others.keys()
        and first.vae.config.get("scaling_factor") == second.vae.config.get("scaling_factor")
        and all(row.shape == others[name].shape and torch.equal(row, others[name]) for name, row in weights.items())
    )
