"""The mask: blending its rim, and filling the picture under it before encoding.

A mask is a weight per pixel, height × width, 0 = keep … 1 = repaint. (In files black is repainted: `images/opening.py`,
`Picture.as_mask`; `prepared.py` turns it round.) What is done to each picture is done by numpy: torch would wake all
threads for each of many small operations, which costs more than the work itself.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.request import Infill

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
"""Height × width."""


def feather(repaint_mask: torch.Tensor, blur: int) -> torch.Tensor:
    """The weight of the new picture at each pixel: a ramp `blur` pixels wide, inside the mask only.

    The ramp is the mean of the mask eroded 0, 1, … blur − 1 times. Where the mask is too thin for the whole ramp, it
    is steeper, so that the middle is still fully repainted. It never exceeds the mask's own weight.
    """
    if blur < 2:
        return repaint_mask
    mask = repaint_mask.numpy()
    eroded, ramp = mask, np.zeros_like(mask)
    for _ in range(blur):
        if not eroded.any():
            break
        ramp += eroded / blur
        eroded = _over_squares(np.minimum, eroded, 1)
    peak = _over_squares(np.maximum, ramp, blur)
    return torch.from_numpy(np.minimum(ramp / np.maximum(peak, 1e-6), mask))


def cells(repaint_mask: torch.Tensor, factor: int) -> torch.Tensor:
    """Reduce the mask to latent space (1 × 1 × latent height × width): a cell takes the maximum of its pixels."""
    return F.max_pool2d(repaint_mask[None, None], factor)


def paste(painted: torch.Tensor, original: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Blend `painted` over `original` (bytes, height × width × 3). Where the weight is 0, bytes are left unchanged."""
    old, new = (pixels.numpy().astype(np.float32) for pixels in (original, painted))
    return torch.from_numpy((old + (new - old) * weight.numpy()[..., None]).round().astype(np.uint8))


def fill(picture: torch.Tensor, mask: torch.Tensor, infill: Infill, seed: int) -> torch.Tensor:
    """Fill the masked part (1) of `picture` (0..1, height × width × 3); the rest is unchanged.

    `keep` fills like `blur`, so that hidden colours never show. A picture that is all masked becomes grey.
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
    """Push and pull (Gortler et al. 1996): unknown pixels come from the nearest coarser level where they are known."""
    colour, weight = (picture * kept).permute(2, 0, 1)[None], kept.permute(2, 0, 1)[None]
    return _pull(colour, weight)[0].permute(1, 2, 0)


def _pull(colour: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Close every gap. `colour` is premultiplied by `weight`; returns plain colours."""
    size = colour.shape[-2:]
    if max(size) == 1:
        return colour / weight.clamp_min(1e-6)
    coarse = _pull(F.avg_pool2d(colour, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True))
    smooth = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return colour + smooth * (1 - weight)


def _over_squares(choose: np.ufunc, field: Array, radius: int) -> Array:
    """`choose` (minimum or maximum) over squares of 2 × radius + 1 pixels a side; those beyond the edge are ignored."""
    return _over_rows(choose, _over_rows(choose, field, radius).T, radius).T


def _over_rows(choose: np.ufunc, field: Array, radius: int) -> Array:
    """The same along each row, by windows that double in width; the edge is repeated, which changes no extreme."""
    chosen, width, wanted = np.pad(field, ((0, 0), (radius, radius)), mode="edge"), 1, 2 * radius + 1
    while width < wanted:
        more = min(width, wanted - width)
        chosen = choose(chosen[:, :-more], chosen[:, more:])
        width += more
    return chosen


OPEN = 1 / 16
"""Threshold of the binary mask for a 9-channel UNet: weights from here on count as 1."""
