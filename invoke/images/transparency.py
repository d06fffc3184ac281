"""Transparency: how much of a picture is a hole, and whether its colours are premultiplied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

OPAQUE = 250
"""Alpha from here on counts as opaque: upscalers and lossy formats produce values such as 254."""
LEAST_HOLE = 0.001
"""Less transparency than this fraction is accidental, not a hole."""
FLAT = 8
"""Tolerance of erased colours, in levels: lossy formats do not keep one colour exactly."""

SMEARED = 0.99
"""Fraction of hidden pixels that a lossless WebP predicts exactly, from which its encoder has made them up."""
_SURE = 32
"""Below this alpha, premultiplied colours are too coarse to be compared."""
_NEAR = 6
"""Distance, in pixels, of opaque colours that are compared with a soft rim."""
_LEAST_EVIDENCE = 8
_LEAST_ERROR = 4.0


@dataclass(frozen=True, slots=True)
class Transparency:
    """A summary of a picture's alpha channel; `OPAQUE` and above counts as opaque."""

    share: float = 0.0
    """Mean transparency, 0..1."""
    varies: bool = False
    """Whether at least `LEAST_HOLE` of it differs from its most common level; otherwise it is useless as a mask."""
    is_blank: bool = False
    """Whether it is fully transparent with a single hidden colour: nothing of the picture is left."""
    is_premultiplied: bool = False
    """Whether its stored colours are multiplied by its alpha."""
    is_made_up: bool = False
    """Whether an encoder has replaced the colours under fully transparent pixels by what is short to write."""

    @property
    def has_hole(self) -> bool:
        """Whether it marks a part to repaint."""
        return self.share >= LEAST_HOLE


def summarise(
    bands: Iterable[tuple[Image.Image, Image.Image | None]], *, webp: Literal["", "lossy", "lossless"] = ""
) -> Transparency:
    """Summarise a picture given in bands of rows: RGB and stored alpha.

    `webp` is the kind of a WebP, whose encoders make up hidden colours unless told otherwise ("exact"); that shows in a
    lossless one alone.
    """
    levels, hidden, evidence, predicted = [0] * 256, _Extremes(), _Evidence(), _Predicted()
    for image, alpha in bands:
        if alpha is None:
            return Transparency()
        levels = [sum(pair) for pair in zip(levels, alpha.histogram(), strict=True)]
        if not any(alpha.histogram()[:OPAQUE]):
            continue
        hidden.add(image, alpha)
        evidence.add(image, alpha)
        if webp == "lossless":
            predicted.add(image, alpha)
    if not any(levels[:OPAQUE]):
        return Transparency()
    levels = [*levels[:OPAQUE], *[0] * (255 - OPAQUE), sum(levels[OPAQUE:])]
    most_common = levels.index(max(levels))
    total = 255 * sum(levels)
    share = sum(count * (255 - level) for level, count in enumerate(levels)) / total
    varies = sum(count * abs(level - most_common) for level, count in enumerate(levels)) / total >= LEAST_HOLE
    is_made_up = webp == "lossy" or predicted.is_most
    is_blank = share >= 1 - LEAST_HOLE and (is_made_up or hidden.spread <= 2 * FLAT)
    return Transparency(share, varies, is_blank, evidence.is_premultiplied, is_made_up)


def opaque_from(alpha: Image.Image) -> Image.Image:
    """Make nearly opaque pixels of `alpha` (mode L) fully opaque."""
    return alpha.point([255 if level >= OPAQUE else level for level in range(256)])


def unmultiplied(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Divide `image` (RGB), premultiplied by `alpha` (mode L), by it. Pixels with alpha 0 cannot be restored."""
    import numpy as np
    from PIL import Image

    opacity = np.asarray(alpha)
    partial = (opacity > 0) & (opacity < 255)
    colours = np.array(image)
    colours[partial] = _divided(colours[partial], opacity[partial])
    return Image.fromarray(colours)


class _Extremes:
    """The lowest and highest level of each channel."""

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


class _Predicted:
    """Counts fully transparent pixels that equal what lossless WebP predicts from their neighbours (RFC 9649, 4.1)."""

    def __init__(self) -> None:
        self._count, self._equal = 0, 0

    @property
    def is_most(self) -> bool:
        return self._count >= _LEAST_EVIDENCE and self._equal >= SMEARED * self._count

    def add(self, image: Image.Image, alpha: Image.Image) -> None:
        import numpy as np

        pixels, hidden = np.asarray(image).astype(np.int16), np.asarray(alpha) == 0
        places = (np.s_[1:, 1:-1], np.s_[1:, :-2], np.s_[:-1, 1:-1], np.s_[:-1, :-2], np.s_[:-1, 2:])
        inside = np.logical_and.reduce([hidden[place] for place in places])
        pixel, left, top, corner, right = (pixels[place][inside] for place in places)
        predictions = (
            *(left, top, corner, right, ((left + right) // 2 + top) // 2, (left + corner) // 2, (left + top) // 2),
            *((corner + top) // 2, (top + right) // 2, ((left + corner) // 2 + (top + right) // 2) // 2),
            *(np.clip(left + top - corner, 0, 255), np.zeros_like(left)),
        )
        equal = np.logical_or.reduce([(pixel == prediction).all(-1) for prediction in predictions])
        self._count += len(pixel)
        self._equal += int(equal.sum())


class _Evidence:
    """Detects premultiplied colours: never above alpha and, divided by it, similar to opaque colours nearby."""

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
    """The mean colour of opaque pixels near each pixel; NaN if there are none."""
    import numpy as np
    from PIL import Image, ImageFilter

    near, opaque = ImageFilter.BoxBlur(_NEAR), opacity >= OPAQUE

    def mean(field: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.asarray(Image.fromarray(field).filter(near), np.float32)

    weight = mean(opaque.astype(np.uint8) * 255)
    weight[weight < 16] = np.nan  # too few to be exact in 8 bits
    return np.dstack([mean(np.where(opaque, colours[..., band], 0)) * 255 / weight for band in range(3)])
