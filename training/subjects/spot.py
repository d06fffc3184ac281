"""The place of a subject, and its shapes in its own units."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from training.canvas import Canvas, Colour, Point, blob, oval


@dataclass(frozen=True)
class Spot:
    """A place on a canvas. Shapes are given in subject heights: (0, 0) is the foot, (0, 1) about the top."""

    canvas: Canvas
    rng: Random
    x: float
    y: float
    size: float
    colour: Colour

    def at(self, dx: float, dy: float) -> Point:
        return (self.x + dx * self.size, self.y - dy * self.size)

    def shape(self, points: Iterable[Point], colour: Colour, *, level: int = 120, shines: bool = False) -> None:
        """A filled outline; `level`: how far it stands out, `shines`: it keeps its colour at night."""
        self.canvas.polygon([self.at(*point) for point in points], colour, level=level, lit=not shines)

    def oval(
        self,
        middle: Point,
        radii: Point,
        colour: Colour,
        *,
        level: int = 120,
        outline: bool = True,
        shines: bool = False,
    ) -> None:
        points = [self.at(*point) for point in oval(*middle, *radii)]
        self.canvas.polygon(points, colour, level=level, lit=not shines, outline=outline)

    def blob(self, middle: Point, radii: Point, colour: Colour, *, level: int = 120) -> None:
        self.shape(blob(self.rng, *middle, *radii), colour, level=level)

    def glow(self, dy: float, reach: float) -> None:
        """Warm light around a point above the foot, in photographs."""
        self.canvas.glows.append((self.at(0, dy), reach * self.size))


def box(left: float, bottom: float, width: float, height: float) -> list[Point]:
    right, top = left + width, bottom + height
    return [(left, bottom), (left, top), (right, top), (right, bottom)]


def bar(middle: Point, length: float, width: float, turn: float) -> list[Point]:
    """A box turned about its middle, anticlockwise, in radians."""
    along = (math.cos(turn) * length / 2, math.sin(turn) * length / 2)
    across = (-math.sin(turn) * width / 2, math.cos(turn) * width / 2)
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [(middle[0] + s * along[0] + t * across[0], middle[1] + s * along[1] + t * across[1]) for s, t in corners]


def pill(left: float, bottom: float, width: float, height: float) -> list[Point]:
    """A box with round ends."""
    radius = min(width, height) / 2
    right, top = left + width - radius, bottom + height - radius
    corners = (
        (right, top, 0.0),
        (left + radius, top, 0.5),
        (left + radius, bottom + radius, 1.0),
        (right, bottom + radius, 1.5),
    )
    turns = [(x, y, math.pi * (start + i / 12)) for x, y, start in corners for i in range(7)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for x, y, turn in turns]


def ring(middle: Point, radius: float, count: int, start: float = 0.0) -> list[Point]:
    """Points evenly around a middle."""
    turns = [start + 2 * math.pi * i / count for i in range(count)]
    return [(middle[0] + radius * math.cos(turn), middle[1] + radius * math.sin(turn)) for turn in turns]
