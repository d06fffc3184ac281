"""Half-done latents as a small picture, cheaply."""

from invoke.engine.denoise import Visit
from invoke.engine.images import to_bytes, to_pixels
from invoke.engine.linear import linear_decoder
from invoke.engine.model import Model
from invoke.events import Pixels, Previews


def preview(model: Model, visit: Visit, previews: Previews) -> Pixels:
    """What `previews` wants to see of `visit`.

    Latents are shown at the size that clean ones have, whichever variables the sampler has.
    """
    latents = visit.clean if previews.of == "clean" else visit.latents / visit.level.scale
    decode = model.decode if previews.decoder == "vae" else linear_decoder(model)
    return to_pixels(to_bytes(decode(latents)))
