"""Outpainting: puts the prepared picture on a larger canvas and masks the new part."""

from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.img2img.mask import fill
from invoke.engine.img2img.prepared import Prepared
from invoke.request import Request


def grow(prepared: Prepared, request: Request, multiple: int) -> Prepared:
    """Add `request.margins` around `prepared`, and pad right and bottom to multiples of `multiple`.

    The new part has no content, so it is masked and filled in according to `request.infill`.
    """
    left, top, right, bottom = request.margins
    width, height = request.size
    space = (left, right + -width % multiple, top, bottom + -height % multiple)
    nothing = torch.zeros(prepared.original.shape[:2])
    repaint_mask = F.pad(nothing if prepared.repaint_mask is None else prepared.repaint_mask, space, value=1.0)
    covered = F.pad(nothing.bool() if prepared.covered is None else prepared.covered, space, value=True)
    new = F.pad(nothing, space, value=1.0)
    filled = fill(_padded(prepared.encode_source, space), new, request.infill, request.seed)
    original = torch.where(
        new[..., None] == 1, (filled * 255).round().to(torch.uint8), _padded(prepared.original, space)
    )
    painted = float(repaint_mask[:height, :width].mean())
    return replace(
        prepared,
        original=original,
        encode_source=filled,
        repaint_mask=repaint_mask,
        covered=covered,
        painted=painted,
    )


def cut(picture: torch.Tensor, request: Request) -> torch.Tensor:
    """Crop `picture` (height × width × 3) to the request's size, without the padding that `grow` added."""
    width, height = request.size
    return picture[:height, :width]


def _padded(picture: torch.Tensor, space: tuple[int, int, int, int]) -> torch.Tensor:
    return F.pad(picture, (0, 0, *space))
