"""Turns heatmaps of text masks into pictures: the mask, and the heat as grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.events import Heatmap

if TYPE_CHECKING:
    from PIL import Image


def kept(heat: Heatmap, size: tuple[int, int], threshold: float) -> Image.Image:
    """The mask of a picture of `size`, mode L: 0 where the heat reaches `threshold`, else 255.

    Raising the threshold never selects more.
    """
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.where(np.asarray(_over(heat, size)) >= threshold, 0, 255).astype(np.uint8))


def grey(heat: Heatmap, size: tuple[int, int]) -> Image.Image:
    """The heat of a picture of `size`, mode L: 0 = certainly not, 255 = certainly."""
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.rint(np.asarray(_over(heat, size)) * 255).astype(np.uint8))


def _over(heat: Heatmap, size: tuple[int, int]) -> Image.Image:
    """Scale the heat to `size`: mode F, 0..1. Bilinear, since overshoots of other filters would be selected wrongly."""
    from PIL import Image

    whole = Image.frombytes("F", (heat.width, heat.height), heat.data)
    return whole.resize(size, Image.Resampling.BILINEAR)
