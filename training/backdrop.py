"""What the subject stands on: the ground, a river, or a hearth indoors."""

from __future__ import annotations

import math
from random import Random

from training.canvas import Canvas, Colour, Point, mix

WATER: Colour = (58, 118, 166)
GRASS: Colour = (104, 152, 74)
SAND: Colour = (226, 200, 146)
SNOW: Colour = (236, 241, 248)

FLOORS: dict[str, Colour] = {
    "hill": GRASS,
    "field": (206, 182, 84),
    "mountains": (90, 132, 72),
    "sea": (116, 110, 100),
    "desert": (236, 186, 112),
    "snow": SNOW,
    "beach": SAND,
    "fireplace": (60, 44, 38),
}
"""About the colour under the subject's feet."""

GROUNDS = tuple(FLOORS)
RIVER_GROUNDS = ("hill", "field", "mountains", "snow", "desert")


def draw_ground(canvas: Canvas, rng: Random, ground: str, horizon: float, *, afloat: bool) -> None:
    """The land or water below the horizon; `afloat` where the subject swims."""
    height, unit = canvas.height, canvas.unit
    match ground:
        case "hill":
            _hill(canvas, rng, horizon)
        case "field":
            _field(canvas, horizon)
        case "mountains":
            _mountains(canvas, rng, horizon)
        case "sea" | "beach":
            canvas.polygon(_below(canvas, horizon), WATER, level=60)
            _waves(canvas, rng, horizon)
            if ground == "beach":
                _ridge(canvas, rng, horizon + unit * 0.13, unit * 0.015, SAND, level=100)
            elif not afloat:
                _ridge(canvas, rng, height - unit * 0.16, unit * 0.02, FLOORS["sea"], level=110)
        case "desert":
            _ridge(canvas, rng, horizon, unit * 0.04, (224, 164, 96), level=80)
            _ridge(canvas, rng, horizon + unit * 0.1, unit * 0.05, FLOORS["desert"], level=100)
        case "snow":
            _ridge(canvas, rng, horizon, unit * 0.04, mix(SNOW, (150, 176, 212), 0.4), level=80)
            _ridge(canvas, rng, horizon + unit * 0.08, unit * 0.03, SNOW, level=100)


def draw_fireplace(canvas: Canvas, rng: Random) -> None:
    """A room's wall with a hearth: the ground of a fire that burns indoors."""
    width, height, unit = canvas.width, canvas.height, canvas.unit
    wall = rng.choice(((178, 150, 122), (150, 160, 164), (196, 180, 150)))
    canvas.polygon(_below(canvas, 0), wall, level=60, outline=False)
    canvas.polygon(_below(canvas, height - unit * 0.14), (112, 78, 54), level=100)
    middle, base = width / 2, height - unit * 0.1
    parts: tuple[tuple[float, float, float, Colour, int], ...] = (
        (0.42, 0.0, 0.74, (166, 92, 72), 150),
        (0.3, 0.0, 0.6, (44, 32, 30), 150),
        (0.47, 0.72, 0.8, (96, 66, 48), 210),
    )
    for half, low, high, colour, level in parts:
        left, right, bottom, top = (
            middle - unit * half,
            middle + unit * half,
            base - unit * low,
            base - unit * high,
        )
        canvas.polygon([(left, bottom), (left, top), (right, top), (right, bottom)], colour, level=level)


def draw_river(canvas: Canvas, rng: Random, horizon: float, side: int) -> None:
    """A winding river from the horizon to the lower edge, beside the subject."""
    width, height, unit = canvas.width, canvas.height, canvas.unit
    left: list[Point] = []
    right: list[Point] = []
    top = horizon + unit * 0.08
    for i in range(13):
        t = i / 12
        middle = width / 2 + side * unit * (0.3 - 0.1 * math.cos(t * 4.4)) * (1 - 0.25 * t)
        half = unit * (0.012 + 0.15 * t**1.2)
        left.append((middle - half, top + (height - top) * t))
        right.append((middle + half, top + (height - top) * t))
    canvas.polygon(left + right[::-1], mix(WATER, (150, 200, 230), 0.25), level=60)


def _hill(canvas: Canvas, rng: Random, horizon: float) -> None:
    width, height, unit = canvas.width, canvas.height, canvas.unit
    _ridge(canvas, rng, horizon - unit * 0.02, unit * 0.05, mix(GRASS, (120, 160, 180), 0.5), level=70)
    middle = width * rng.uniform(0.42, 0.58)
    xs = [width * i / 40 for i in range(41)]
    rim = [(x, horizon + unit * 0.12 - unit * 0.2 * math.exp(-(((x - middle) / (unit * 0.38)) ** 2))) for x in xs]
    canvas.polygon([*rim, (width, height), (0, height)], GRASS, level=100)


def _field(canvas: Canvas, horizon: float) -> None:
    """Corn with furrows that run to one point."""
    height, unit, middle = canvas.height, canvas.unit, canvas.width / 2
    canvas.polygon(_below(canvas, horizon), FLOORS["field"], level=90)
    for i in range(-4, 5):
        far, near = middle + i * unit * 0.09, middle + i * unit * 0.42
        furrow = [
            (far, horizon),
            (far + unit * 0.012, horizon),
            (near + unit * 0.05, height),
            (near - unit * 0.05, height),
        ]
        canvas.polygon(furrow, (176, 148, 62), level=80, outline=False)


def _mountains(canvas: Canvas, rng: Random, horizon: float) -> None:
    width, unit = canvas.width, canvas.unit
    count = max(3, round(3 * width / unit))
    for i in range(count):
        x, half = width * (i + rng.uniform(0.3, 0.7)) / count, unit * rng.uniform(0.24, 0.32)
        _mountain(canvas, x, horizon + unit * 0.02, half, unit * rng.uniform(0.3, 0.42))
    canvas.polygon(_below(canvas, horizon), FLOORS["mountains"], level=100)


def _mountain(canvas: Canvas, x: float, base: float, half: float, height: float) -> None:
    """Grey, its right side in the shade, snow on top."""
    peak: Point = (x, base - height)
    canvas.polygon([(x - half, base), peak, (x + half, base)], (112, 120, 140), level=90)
    shade = [peak, (x + half, base), (x + half * 0.16, base)]
    canvas.polygon(shade, (86, 94, 116), level=60, outline=False)
    rim = ((-0.36, 0.64), (0.0, 1.0), (0.36, 0.64), (0.14, 0.74), (-0.04, 0.62))
    canvas.polygon([(x + half * dx, base - height * dy) for dx, dy in rim], (240, 244, 250), level=100)


def _waves(canvas: Canvas, rng: Random, horizon: float) -> None:
    unit = canvas.unit
    for i in range(4):
        y = horizon + (canvas.height - horizon) * (0.14 + 0.23 * i)
        for j in range(round(2 * canvas.width / unit)):
            x, reach = (j + rng.uniform(0.1, 0.9)) * unit / 2, unit * (0.07 + 0.035 * i)
            foam = mix(WATER, (230, 242, 250), 0.4)
            canvas.ellipse(x, y, reach, unit * (0.008 + 0.003 * i), foam, level=80, outline=False)


def _below(canvas: Canvas, y: float) -> list[Point]:
    """Everything under a line; a little wider than the canvas, so that its outline stays outside."""
    right, bottom = canvas.width + 4, canvas.height + 4
    return [(-4, y), (right, y), (right, bottom), (-4, bottom)]


def _ridge(canvas: Canvas, rng: Random, y: float, swing: float, colour: Colour, *, level: int) -> None:
    """Land whose upper rim rises and falls gently."""
    phase, wide = rng.uniform(0, 2 * math.pi), 5.0 * canvas.width / canvas.unit
    rim = [(canvas.width * i / 40, y + swing * math.sin(phase + i / 40 * wide)) for i in range(41)]
    right, bottom = canvas.width + 4, canvas.height + 4
    edges = [(-4, rim[0][1]), *rim, (right, rim[-1][1]), (right, bottom), (-4, bottom)]
    canvas.polygon(edges, colour, level=level)
