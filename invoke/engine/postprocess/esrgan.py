"""The ESRGAN family: networks that enlarge a picture in one pass, without a prompt or noise."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from invoke.engine.components.devices import Placement
from invoke.engine.components.finite import check_finite
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.tiles import Blend
from invoke.engine.postprocess.spandrel_files import does_not_enlarge, read_network
from invoke.errors import EngineError
from invoke.images.geometry import Tile, tiles
from invoke.models import ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.request import Request

SIDE, OVERLAP, MARGIN = 320, 64, 24
"""Tile side, overlap of neighbouring tiles, and unused border of each tile, in pixels. A network whose receptive field
fits into the border gives the same result for tiles as for the whole."""
ALIGNED = 32
"""Tiles begin at multiples of this, in pixels, so that networks with windowed attention use the same windows."""


@dataclass(frozen=True, eq=False)
class SinglePass:
    """A loaded network of the family. A step is one tile."""

    name: str
    place: Placement
    network: Any
    """The torch module; the model pool counts its size."""
    descriptor: Any
    """The spandrel descriptor: calls the network and knows its factor."""
    weights_hash: BackgroundHash
    fixed_factor: ClassVar[bool] = False

    @property
    def factor(self) -> int:
        return self.descriptor.scale  # type: ignore[no-any-return]

    def steps(self, request: Request, width: int, height: int) -> int:
        return len(_tiles(height, width))

    @torch.no_grad()
    def enlarge(
        self, picture: torch.Tensor, latents: torch.Tensor | None, request: Request
    ) -> Generator[float, None, torch.Tensor]:
        height, width = picture.shape[:2]
        plane = picture.permute(2, 0, 1)[None].float() / 255
        blend = Blend(height, width, overlap=OVERLAP, margin=MARGIN, scale=self.factor)
        for rows, columns in _tiles(height, width):
            part = plane[..., rows, columns].to(self.place.device, self.descriptor.dtype)
            blend.add((rows, columns), self.descriptor(part).float().cpu())
            yield 0.0
        enlarged = blend.result()[0]
        if not enlarged.sum().isfinite():
            raise EngineError(
                f"{self.name}: overflow in the upscaler; the picture was not enlarged",
                code="overflow",
                hint="use --precision float32",
            )
        return (enlarged.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


def _tiles(height: int, width: int) -> list[Tile]:
    """The tiles of a picture, aligned to ALIGNED."""
    return [(_aligned(r), _aligned(c)) for r, c in tiles(height, width, side=SIDE, overlap=OVERLAP)]


def _aligned(span: slice) -> slice:
    return slice(span.start - span.start % ALIGNED, span.stop)


def load_single_pass(spec: ModelSpec, place: Placement) -> SinglePass:
    """Load the network of `spec`. Raises ModelError."""
    descriptor = read_network(spec, extra="upscale")
    if descriptor.purpose != "SR" or descriptor.scale < 2:
        raise does_not_enlarge(spec.name, descriptor)
    check_finite(spec.name, "upscaler", descriptor.model.named_parameters())
    half = {torch.float16: descriptor.supports_half, torch.bfloat16: descriptor.supports_bfloat16}
    descriptor.to(place.device, place.dtype if half.get(place.dtype, True) else torch.float32)
    path = on_disk(spec.name, spec.weights)
    return SinglePass(spec.name, place, descriptor.model, descriptor, BackgroundHash(path.parent, (path,)))
