"""A canvas for flat shapes, drawn at twice the size and then averaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
Colour = tuple[float, float, float]
Array = NDArray[np.float32]

SUPERSAMPLING = 2


class Canvas:
    """Three layers of a picture: colours, relief (height) and outlines."""

    def __init__(self, width: int, height: int, *, light: Callable[[Colour], Colour]) -> None:
        self.width, self.height = width, height
        self.unit = float(min(width, height))
        self._light = light
        self.glows: list[tuple[Point, float]] = []
        size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
        self._colour = Image.new("RGB", size, (255, 255, 255))
        self._relief = Image.new("L", size, 0)
        self._lines = Image.new("L", size, 255)
        self._line_width = max(2, round(self.unit * SUPERSAMPLING / 100))
        self._prepare()

    def _prepare(self) -> None:
        self._draw_colour = ImageDraw.Draw(self._colour)
        self._draw_relief = ImageDraw.Draw(self._relief)
        self._draw_lines = ImageDraw.Draw(self._lines)

    def polygon(
        self,
        points: Iterable[Point],
        colour: Colour,
        *,
        level: int = 120,
        lit: bool = True,
        outline: bool = True,
    ) -> None:
        """Lay a filled shape on top, points in pixels; `lit=False` keeps its colour at any time of day."""
        scaled = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
        fill = _rgb(self._light(colour) if lit else colour)
        self._draw_colour.polygon(scaled, fill=fill)
        self._draw_relief.polygon(scaled, fill=level)
        self._draw_lines.polygon(scaled, fill=255)
        if outline:
            self._draw_lines.line([*scaled, scaled[0]], fill=0, width=self._line_width, joint="curve")

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        level: int = 120,
        lit: bool = True,
        outline: bool = True,
    ) -> None:
        self.polygon(oval(x, y, rx, ry), colour, level=level, lit=lit, outline=outline)

    def stroke(
        self, points: Sequence[Point], width: float, colour: Colour, *, level: int = 120, lit: bool = True
    ) -> None:
        """A line of constant width, without an outline."""
        scaled = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
        thickness = max(1, round(width * SUPERSAMPLING))
        self._draw_colour.line(
            scaled, fill=_rgb(self._light(colour) if lit else colour), width=thickness, joint="curve"
        )
        self._draw_relief.line(scaled, fill=level, width=thickness, joint="curve")
        self._draw_lines.line(scaled, fill=110, width=max(1, thickness // 2), joint="curve")

    def gradient(self, stops: Sequence[tuple[float, Colour]], *, bands: int = 0) -> None:
        """Fill everything from top to bottom; with `bands`, in that many flat stripes."""
        rows = np.linspace(0.0, 1.0, self._colour.height)
        if bands:
            rows = (np.floor(rows * bands) + 0.5) / bands
        positions = [position for position, _ in stops]
        column = np.stack([np.interp(rows, positions, [colour[i] for _, colour in stops]) for i in range(3)], axis=-1)
        pixels = np.repeat(column[:, None, :], self._colour.width, axis=1)
        self._colour.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))

    def soften(self, radius: float) -> None:
        """Blur the colours so far, like a background out of focus."""
        self._colour = self._colour.filter(ImageFilter.GaussianBlur(radius * SUPERSAMPLING))
        self._prepare()

    def layers(self) -> tuple[Array, Array, Array]:
        """Colour (height, width, 3), relief and lines (height, width), all 0..1 at the final size."""
        return _reduced(self._colour), _reduced(self._relief), _reduced(self._lines)


def oval(x: float, y: float, rx: float, ry: float, count: int = 40) -> list[Point]:
    turns = [2 * math.pi * i / count for i in range(count)]
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]


def blob(rng: Random, x: float, y: float, rx: float, ry: float, *, lobes: int = 9, depth: float = 0.1) -> list[Point]:
    """A round shape with a bumpy rim: foliage, clouds, bushes."""
    phase = rng.uniform(0, 2 * math.pi)
    points = []
    for i in range(64):
        turn = 2 * math.pi * i / 64
        radius = 1 - depth + depth * abs(math.sin(turn * lobes / 2 + phase)) * 2
        points.append((x + rx * radius * math.cos(turn), y + ry * radius * math.sin(turn)))
    return points


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` is that of the second."""
    a, b, c = (one * (1 - share) + two * share for one, two in zip(first, second, strict=True))
    return (a, b, c)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (int(min(255, max(0, round(value)))) for value in colour)
    return (red, green, blue)


def _reduced(image: Image.Image) -> Array:
    return np.asarray(np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32) / 255, dtype=np.float32)
