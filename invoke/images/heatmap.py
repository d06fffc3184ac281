"""The results of `!mask` as pictures: a heat map, the selected pixels, and the picture without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.events import Heatmap

if TYPE_CHECKING:
    from PIL import Image


def kept(heat: Heatmap, size: tuple[int, int], threshold: float) -> Image.Image:
    """The mask of a picture of `size`, mode L: 0 where it shows what the text names as surely as `threshold`, else 255.

    A higher threshold never selects more.
    """
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.where(np.asarray(_over(heat, size)) >= threshold, 0, 255).astype(np.uint8))


def grey(heat: Heatmap, size: tuple[int, int]) -> Image.Image:
    """The heat of a picture of `size`, mode L: 0 = surely not, 255 = surely."""
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.rint(np.asarray(_over(heat, size)) * 255).astype(np.uint8))


def _over(heat: Heatmap, size: tuple[int, int]) -> Image.Image:
    """Mode F, 0..1. Bilinear: what another filter overshoots would be selected for nothing."""
    from PIL import Image

    whole = Image.frombytes("F", (heat.width, heat.height), heat.data)
    return whole.resize(size, Image.Resampling.BILINEAR)
