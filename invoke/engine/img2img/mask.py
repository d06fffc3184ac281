"""The mask: how its rim is blended, and what is filled in under it before encoding.

A mask is a weight per pixel, height × width, 0 = keep … 1 = repaint.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.request import Infill


def feather(repaint_mask: torch.Tensor, blur: int) -> torch.Tensor:
    """How much of the new picture each pixel of the result gets: a ramp `blur` pixels wide, inside the hole only.

    The ramp is the mean of the hole eroded 0, 1, … blur − 1 times. Where a hole is too thin for the whole ramp it
    is steeper, so that its middle is repainted all the same. Never above the hole's own weight.
    """
    if blur < 2:
        return repaint_mask
    eroded, ramp = repaint_mask, torch.zeros_like(repaint_mask)
    for _ in range(blur):
        if not eroded.any():
            break
        ramp += eroded / blur
        eroded = -_highest(-eroded, 1)
    peak = _highest(ramp, blur)
    return torch.minimum(ramp / peak.clamp_min(1e-6), repaint_mask)


def cells(repaint_mask: torch.Tensor, factor: int) -> torch.Tensor:
    """The mask in latent space (1 × 1 × latent height × width): a cell takes the maximum of its pixels."""
    return F.max_pool2d(repaint_mask[None, None], factor)


def paste(painted: torch.Tensor, original: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`painted` over `original` (bytes, height × width × 3). Where the weight is 0, the bytes are the original's."""
    old, new = original.float(), painted.float()
    return (old + (new - old) * weight[..., None]).round().to(torch.uint8)


def fill(picture: torch.Tensor, mask: torch.Tensor, infill: Infill, seed: int) -> torch.Tensor:
    """`picture` (0..1, height × width × 3) with what `mask` covers (1) replaced; what it shows is untouched.

    `keep` fills as `blur` does: nothing of what is covered comes back. Where all is covered, it becomes grey.
    """
    if not mask.any():
        return picture
    if bool((mask == 1).all()):
        return torch.full_like(picture, 0.5)
    kept = 1 - mask[..., None]
    mean = (picture * kept).sum((0, 1)) / kept.sum()
    match infill:
        case "blur" | "keep":
            cover = _from_the_rim(picture, kept)
        case "solid":
            cover = mean
        case "noise":
            spread = ((picture - mean) ** 2 * kept).sum((0, 1)).div(kept.sum()).sqrt()
            generator = torch.Generator("cpu").manual_seed(seed)
            cover = (mean + spread * torch.randn(picture.shape, generator=generator)).clamp(0, 1)
    return torch.where(mask[..., None] == 1, cover, picture)


def _from_the_rim(picture: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Push and pull (Gortler et al. 1996): unknown pixels are taken from the nearest coarser level that knows."""
    colour, weight = (picture * kept).permute(2, 0, 1)[None], kept.permute(2, 0, 1)[None]
    return _pull(colour, weight)[0].permute(1, 2, 0)


def _pull(colour: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The colours, given those multiplied by their weight, with every gap closed."""
    size = colour.shape[-2:]
    if max(size) == 1:
        return colour / weight.clamp_min(1e-6)
    coarse = _pull(F.avg_pool2d(colour, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True))
    smooth = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return colour + smooth * (1 - weight)


def _highest(field: torch.Tensor, radius: int) -> torch.Tensor:
    """The maximum over a square of 2 × radius + 1 pixels; beyond the picture's edge there is nothing."""
    side = 2 * radius + 1
    rows = F.max_pool2d(field[None, None], (side, 1), stride=1, padding=(radius, 0))
    return F.max_pool2d(rows, (1, side), stride=1, padding=(0, radius))[0, 0]


OPEN = 1 / 16
"""A 9-channel UNet takes a binary mask: this weight or more is 1."""
