"""`-embiggen`: an enlarged picture is redrawn tile by tile, in the size that the model knows best."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch

from invoke.engine.components.tiles import Blend, padded
from invoke.engine.components.vae import to_pixels
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.loading.model_pool import ModelPool
from invoke.engine.pipeline.latents import LatentCache
from invoke.engine.pipeline.picture import draw
from invoke.engine.pipeline.record import with_colours_of
from invoke.engine.sampling.model_call import Generation, ModelCall, PipelineEvent
from invoke.events import Finished, Previews, Started, Step
from invoke.images import as_array
from invoke.images.geometry import overlap_of, tiles
from invoke.request import LARGEST_SEED, Request


def enlarged(prepared: Prepared, request: Request) -> Prepared:
    """`prepared` at the size of the result: scaled plainly (Lanczos). Nothing of it is kept as it is."""
    from PIL import Image

    picture = Image.fromarray(prepared.original.numpy()).resize(request.size, Image.Resampling.LANCZOS)
    original = torch.from_numpy(np.array(picture))
    return Prepared(original, original.float() / 255, hashes=prepared.hashes)


def embiggened(
    pool: ModelPool, request: Request, prepared: Prepared | None, latent_cache: LatentCache, previews: Previews
) -> Generation:
    """Yield what `drawing.draw` yields, the steps of all tiles counted together. Tile k has the seed S + k."""
    assert prepared is not None
    assert request.embiggen is not None
    began, model = perf_counter(), pool.model(request.model)
    width, height = request.size
    side = min(model.spec.width, model.spec.height)
    overlap = overlap_of(request.embiggen[2], side)
    places = tiles(height, width, side=side, overlap=overlap)
    adapters_of = {number - 1 for number in request.embiggen_tiles} or set(range(len(places)))
    blend, finished, taken = Blend(height, width, overlap=max(overlap, 1)), None, 0
    for index, place in enumerate(places):
        rows, columns = place
        tile = prepared.original[rows, columns]
        if index in adapters_of:
            alone, start = _tile(request, tile, index, model.multiple)
            drawing = draw(pool, alone, start, latent_cache, previews)
            finished = yield from _counted(drawing, request, taken, len(adapters_of))
            taken += finished.facts.steps_taken
            tile = torch.from_numpy(as_array(finished.image))[: tile.shape[0], : tile.shape[1]]
        blend.add(place, tile.permute(2, 0, 1)[None].float())
    assert finished is not None
    pixels = blend.whole()[0].permute(1, 2, 0).round().to(torch.uint8).contiguous()
    hashes = prepared.hashes | finished.facts.hashes
    pixels = with_colours_of(request, pixels, hashes)
    facts = replace(finished.facts, steps_taken=taken, hashes=hashes, seconds=perf_counter() - began)
    yield Finished(request, to_pixels(pixels), facts)
    return None


def _tile(request: Request, tile: torch.Tensor, index: int, multiple: int) -> tuple[Request, Prepared]:
    """What one tile is made from: its last rows repeated until its sides are multiples of the model's."""
    planes = padded(tile.permute(2, 0, 1)[None].float(), multiple)
    original = planes[0].permute(1, 2, 0).round().to(torch.uint8).contiguous()
    height, width = original.shape[:2]
    alone = replace(
        request,
        embiggen=None,
        embiggen_tiles=(),
        init_color=None,
        width=width,
        height=height,
        seed=(request.seed + index) % (LARGEST_SEED + 1),
    )
    return alone.unfinished, Prepared(original, original.float() / 255)


def _counted(
    drawing: Generation, request: Request, before: int, count: int
) -> Generator[PipelineEvent, None, Finished]:
    """The events of one tile as those of `count`, of which `before` steps are taken; return what it finished as."""
    finished, total = None, 0
    with closing(drawing):
        for event in drawing:
            match event:
                case ModelCall():
                    yield event
                case Started():
                    total = event.total * count
                    if before == 0:
                        yield replace(event, request=request, total=total)
                case Step():
                    if before == 0 or event.index > 0:
                        yield replace(event, index=before + event.index, total=total)
                case Finished():
                    finished = event
                case _:
                    if before == 0:
                        yield event
    assert finished is not None
    return finished
