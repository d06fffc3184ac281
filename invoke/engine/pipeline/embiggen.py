"""`-embiggen`: redraws an enlarged picture tile by tile, at the model's native size."""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch

from invoke.engine.components.drawn_picture import DrawnPicture
from invoke.engine.components.tiles import Blend, padded
from invoke.engine.img2img.prepared import Prepared
from invoke.engine.pipeline.record import with_colours_of
from invoke.engine.pipeline.step_numbers import offset_steps
from invoke.engine.sampling.model_call import Generation
from invoke.images.geometry import overlap_of, tiles
from invoke.request import LARGEST_SEED, Request


def enlarged(prepared: Prepared, request: Request) -> Prepared:
    """Scale `prepared` to the size of the result (Lanczos), without masks."""
    from PIL import Image

    picture = Image.fromarray(prepared.original.numpy()).resize(request.size, Image.Resampling.LANCZOS)
    original = torch.from_numpy(np.array(picture))
    return Prepared(original, original.float() / 255, hashes=prepared.hashes)


def embiggened(
    request: Request,
    prepared: Prepared,
    *,
    side: int,
    multiple: int,
    draw: Callable[[Request, Prepared], Generation[DrawnPicture]],
) -> Generation[DrawnPicture]:
    """`draw` each tile of at most `side` pixels, padded to a `multiple`; steps are counted across all of them.

    Tile k uses the seed S + k.
    """
    assert request.embiggen is not None
    began = perf_counter()
    width, height = request.size
    overlap = overlap_of(request.embiggen[2], side)
    places = tiles(height, width, side=side, overlap=overlap)
    chosen = {number - 1 for number in request.embiggen_tiles} or set(range(len(places)))
    blend, drawn, taken = Blend(height, width, overlap=max(overlap, 1)), None, 0
    for index, place in enumerate(places):
        rows, columns = place
        tile = prepared.original[rows, columns]
        if index in chosen:
            alone, start = _tile(request, tile, index, multiple)
            drawn = yield from offset_steps(draw(alone, start), request, before=taken, times=len(chosen))
            taken += drawn.info.steps_taken
            tile = drawn.pixels[: tile.shape[0], : tile.shape[1]]
        blend.add(place, tile.permute(2, 0, 1)[None].float())
    assert drawn is not None
    pixels = blend.result()[0].permute(1, 2, 0).round().to(torch.uint8).contiguous()
    hashes = prepared.hashes | drawn.info.hashes
    pixels = with_colours_of(request, pixels, hashes)
    info = replace(drawn.info, steps_taken=taken, hashes=hashes, seconds=perf_counter() - began)
    return DrawnPicture(pixels, None, info)


def _tile(request: Request, tile: torch.Tensor, index: int, multiple: int) -> tuple[Request, Prepared]:
    """The request and prepared picture for one tile, padded until its sides are multiples of `multiple`."""
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
