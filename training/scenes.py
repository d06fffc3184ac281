"""Simple scenes: their description as values, and the picture.

The same scene is the same picture, at any size. `python -m training.scene_sheet FILE` draws 64 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

from training.backdrop import FLOORS, GROUNDS, RIVER_GROUNDS, draw_fireplace, draw_ground, draw_river
from training.canvas import Canvas, mix
from training.sky import draw_rain, draw_sky, light_of
from training.styles import EXTRA_STYLES, STYLES
from training.subjects import COLOURS, EXTRA_SUBJECTS, PAINTED, SUBJECTS, Spot

SWIMMERS = ("boat", "ship")
BANDED = ("poster", "blueprint")
"""Styles with a sky of a few flat stripes."""


@dataclass(frozen=True)
class Scene:
    """The description of a picture; `seed` decides the rest (places, sizes, shades)."""

    subject: str
    ground: str
    sky: str
    style: str
    seed: int
    river: bool = False
    colour: str = ""


def random_scene(rng: Random) -> Scene:
    """A random scene: likely places are more frequent, and none that makes sense is excluded."""
    subject = rng.choice([*(name for name in SUBJECTS if name != "none"), "none", "tree", "house", "fire"])
    ground = _ground_for(subject, rng)
    sky = rng.choice(("day", "day", "day", "clouds", "sunset", "sunset", "night", "night", "storm", "rain"))
    style = rng.choice(("photograph", "photograph", "painting", "painting", *STYLES))
    river = ground in RIVER_GROUNDS and rng.random() < (0.04 if ground == "desert" else 0.3)
    colour = rng.choice(PAINTED[subject]) if subject in PAINTED else ""
    return Scene(subject, ground, sky, style, rng.randrange(2**32), river, colour)


def _ground_for(subject: str, rng: Random) -> str:
    outdoors = [ground for ground in GROUNDS if ground != "fireplace"]
    likely = {
        "boat": ["sea"] * 8 + ["beach"],
        "ship": ["sea"],
        "fire": ["fireplace"] * 3 + outdoors,
        "cactus": ["desert"] * 6 + outdoors,
        "palm": ["beach", "desert"] * 3 + outdoors,
        "snowman": ["snow"] * 8 + outdoors,
        "lighthouse": ["sea", "beach"] * 4 + outdoors,
    }
    return rng.choice(likely.get(subject, [*outdoors, "hill", "field"]))


def draw(scene: Scene, *, width: int, height: int) -> Image.Image:
    """The picture of a scene, RGB."""
    rng, noise = Random(scene.seed), np.random.default_rng(scene.seed)
    canvas = Canvas(width, height, light=lambda colour: light_of(scene.sky, colour))
    horizon = height - canvas.unit * rng.uniform(0.36, 0.44)
    if scene.ground == "fireplace":
        draw_fireplace(canvas, rng)
    else:
        draw_sky(canvas, rng, scene.sky, horizon, bands=4 if scene.style in BANDED else 0)
        draw_ground(canvas, rng, scene.ground, horizon, afloat=scene.subject in SWIMMERS)
    side = rng.choice((-1, 1))
    if scene.river:
        draw_river(canvas, rng, horizon, side)
    if scene.style == "photograph":
        canvas.soften(1.6 * canvas.unit / 256)
    _draw_subject(scene, canvas, rng, horizon, side)
    if scene.sky == "rain" and scene.ground != "fireplace":
        draw_rain(canvas, rng)
    pixels = (STYLES | EXTRA_STYLES)[scene.style](canvas, noise)
    return Image.fromarray((pixels * 255 + 0.5).clip(0, 255).astype(np.uint8))


def _draw_subject(scene: Scene, canvas: Canvas, rng: Random, horizon: float, side: int) -> None:
    """The subject with its shadow, large, near the middle; beside the river where there is one."""
    width, height, unit = canvas.width, canvas.height, canvas.unit
    scale = {"ship": 0.85, "car": 0.72, "tent": 0.86, "brick wall": 0.94}.get(scene.subject, 1.0)
    size = unit * rng.uniform(0.52, 0.64) * scale
    x = width / 2 + rng.uniform(-0.08, 0.08) * unit
    y = horizon + unit * rng.uniform(0.16, 0.22)
    if scene.river:
        x = width / 2 - side * unit * rng.uniform(0.12, 0.18)
    if scene.ground == "fireplace":
        x, y, size = width / 2, height - unit * 0.13, unit * rng.uniform(0.4, 0.5)
    elif scene.ground == "beach" and scene.subject not in SWIMMERS:
        y = horizon + unit * rng.uniform(0.22, 0.28)
    elif scene.ground == "sea" and scene.subject not in SWIMMERS:
        y = height - unit * rng.uniform(0.08, 0.12)
    if scene.subject not in (*SWIMMERS, "none"):
        shadow = mix(FLOORS[scene.ground], (20, 24, 36), 0.35)
        canvas.ellipse(x + unit * 0.02, y, size * 0.42, size * 0.05, shadow, outline=False, level=100)
    spot = Spot(canvas, rng, x, y, size, COLOURS.get(scene.colour, (200, 200, 200)))
    (SUBJECTS | EXTRA_SUBJECTS)[scene.subject](spot)
