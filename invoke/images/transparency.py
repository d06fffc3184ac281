"""Transparency: the share of a picture that is a hole, and whether its colours are premultiplied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

OPAQUE = 250
"""An alpha from here on is opaque: upscalers and lossy formats leave 254 behind."""
LEAST_HOLE = 0.001
"""A smaller share of transparency is an accident, no hole."""
FLAT = 8
"""Levels by which erased colours may differ: lossy formats do not keep one colour exactly."""

_SURE = 32
"""Of pixels with less alpha, a multiplied colour is too coarse to be compared."""
_NEAR = 6
"""Pixels around a soft rim whose opaque colours are compared with it."""
_LEAST_EVIDENCE = 8
_LEAST_ERROR = 4.0


@dataclass(frozen=True, slots=True)
class Transparency:
    """A summary of a picture's alpha, in which `OPAQUE` and above is opaque."""

    share: float = 0.0
    """Mean transparency, 0..1."""
    varies: bool = False
    """Whether at least `LEAST_HOLE` of it differs from its most common level: otherwise it says nothing as a mask."""
    is_blank: bool = False
    """Wholly transparent, and of one colour below: nothing of a picture is left."""
    is_premultiplied: bool = False
    """Whether its colours, as stored, are multiplied by its alpha."""

    @property
    def has_hole(self) -> bool:
        """Whether it says what is to be repainted."""
        return self.share >= LEAST_HOLE


def summarise(bands: Iterable[tuple[Image.Image, Image.Image | None]]) -> Transparency:
    """The summary of a picture that comes in bands of rows: RGB, and alpha as stored."""
    levels, hidden, evidence = [0] * 256, _Extremes(), _Evidence()
    for image, alpha in bands:
        if alpha is None:
            return Transparency()
        levels = [sum(pair) for pair in zip(levels, alpha.histogram(), strict=True)]
        if not any(alpha.histogram()[:OPAQUE]):
            continue
        hidden.add(image, alpha)
        evidence.add(image, alpha)
    if not any(levels[:OPAQUE]):
        return Transparency()
    levels = [*levels[:OPAQUE], *[0] * (255 - OPAQUE), sum(levels[OPAQUE:])]
    most_common = levels.index(max(levels))
    total = 255 * sum(levels)
    share = sum(count * (255 - level) for level, count in enumerate(levels)) / total
    varies = sum(count * abs(level - most_common) for level, count in enumerate(levels)) / total >= LEAST_HOLE
    is_blank = share >= 1 - LEAST_HOLE and hidden.spread <= 2 * FLAT
    return Transparency(share, varies, is_blank, evidence.is_premultiplied)


def opaque_from(alpha: Image.Image) -> Image.Image:
    """`alpha` (mode L), whose nearly opaque pixels are opaque."""
    return alpha.point([255 if level >= OPAQUE else level for level in range(256)])


def unmultiplied(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """`image` (RGB), which was multiplied by `alpha` (mode L), as it was before. Where alpha is 0, nothing is."""
    import numpy as np
    from PIL import Image

    opacity = np.asarray(alpha)
    partial = (opacity > 0) & (opacity < 255)
    colours = np.array(image)
    colours[partial] = _divided(colours[partial], opacity[partial])
    return Image.fromarray(colours)


class _Extremes:
    """The least and the most level of each channel."""

    def __init__(self) -> None:
        self._least, self._most = [255] * 3, [0] * 3

    def add(self, image: Image.Image, alpha: Image.Image) -> None:
        under = image.histogram(alpha.point([255, *[0] * 255]))
        for band in range(3):
            levels = [level for level in range(256) if under[256 * band + level]]
            if levels:
                self._least[band] = min(self._least[band], levels[0])
                self._most[band] = max(self._most[band], levels[-1])

    @property
    def spread(self) -> int:
        return max(most - least for least, most in zip(self._least, self._most, strict=True))


class _Evidence:
    """Whether colours are premultiplied: never above alpha, and, divided by it, like the opaque ones beside them."""

    def __init__(self) -> None:
        self._is_possible = True
        self._count, self._stored, self._divided = 0, 0.0, 0.0

    @property
    def is_premultiplied(self) -> bool:
        enough = self._count >= _LEAST_EVIDENCE and self._stored >= _LEAST_ERROR * self._count
        return self._is_possible and enough and self._divided < 0.5 * self._stored

    def add(self, image: Image.Image, alpha: Image.Image) -> None:
        if not self._is_possible:
            return
        from PIL import ImageChops

        if any(any(ImageChops.subtract(band, alpha).histogram()[3:]) for band in image.split()):
            self._is_possible = False
            return
        if not any(alpha.histogram()[_SURE:OPAQUE]):
            return
        import numpy as np

        colours, opacity = np.asarray(image), np.asarray(alpha)
        rim = (opacity >= _SURE) & (opacity < OPAQUE)
        nearby = _opaque_nearby(colours, opacity)
        rim &= ~np.isnan(nearby[..., 0])
        stored, opacities, reference = colours[rim], opacity[rim], nearby[rim]
        self._count += len(stored)
        self._stored += float(np.abs(stored - reference).mean(-1).sum())
        self._divided += float(np.abs(_divided(stored, opacities) - reference).mean(-1).sum())


def _divided(colours: npt.NDArray[np.uint8], opacity: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    import numpy as np

    return np.clip(np.rint(colours * (255 / opacity[..., None].astype(np.float32))), 0, 255).astype(np.uint8)


def _opaque_nearby(colours: npt.NDArray[np.uint8], opacity: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The mean colour of the opaque pixels near each pixel; NaN where there are none."""
    import numpy as np
    from PIL import Image, ImageFilter

    near, opaque = ImageFilter.BoxBlur(_NEAR), opacity >= OPAQUE

    def mean(field: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.asarray(Image.fromarray(field).filter(near), np.float32)

    weight = mean(opaque.astype(np.uint8) * 255)
    weight[weight < 16] = np.nan  # too few to be exact in 8 bits
    return np.dstack([mean(np.where(opaque, colours[..., band], 0)) * 255 / weight for band in range(3)])
