"""Trees and other plants."""

from __future__ import annotations

import math

from training.canvas import Colour, mix
from training.subjects.colours import COLOURS, WOOD
from training.subjects.spot import Spot, box, pill, ring

SUNLIGHT: Colour = (255, 250, 210)
SHADE: Colour = (20, 30, 40)


def tree(spot: Spot) -> None:
    _leafy(spot, (70, spot.rng.uniform(118, 138), 58))


def autumn_tree(spot: Spot) -> None:
    _leafy(spot, (spot.rng.uniform(204, 226), spot.rng.uniform(92, 132), 34))


def cherry_tree(spot: Spot) -> None:
    _leafy(spot, (244, spot.rng.uniform(158, 180), 194))


def _leafy(spot: Spot, leaves: Colour) -> None:
    """A trunk and four clouds of leaves, the top one lit by the sun."""
    lean = spot.rng.uniform(-0.03, 0.03)
    spot.shape([(-0.08, 0), (lean - 0.033, 0.5), (lean + 0.033, 0.5), (0.08, 0)], WOOD, level=150)
    for dx, dy, radius, light in (
        (-0.2, 0.57, 0.2, -0.14),
        (0.2, 0.57, 0.2, -0.2),
        (0, 0.64, 0.29, 0),
        (-0.08, 0.76, 0.2, 0.16),
    ):
        colour = mix(leaves, SUNLIGHT if light > 0 else SHADE, abs(light))
        reach = radius * spot.rng.uniform(0.94, 1.06)
        spot.blob((lean + dx, dy), (reach * 1.06, reach * 0.96), colour, level=170 + int(100 * light))


def pine(spot: Spot) -> None:
    spot.shape(box(-0.04, 0, 0.08, 0.2), WOOD)
    green: Colour = (34, spot.rng.uniform(84, 98), 64)
    for i, (low, high, half) in enumerate(((0.12, 0.5, 0.27), (0.34, 0.74, 0.21), (0.58, 1.0, 0.15))):
        layer = [(-half, low), (0, high), (half, low), (0, low - 0.04)]
        spot.shape(layer, mix(green, (150, 190, 120), 0.12 * i), level=150 + 20 * i)


def palm(spot: Spot) -> None:
    bend = spot.rng.choice((-1, 1)) * 0.14
    spine = [(bend * (i / 6) ** 2, 0.72 * i / 6, 0.05 - 0.004 * i) for i in range(7)]
    trunk = [(x - half, y) for x, y, half in spine] + [(x + half, y) for x, y, half in spine[::-1]]
    spot.shape(trunk, (150, 112, 74), level=150)
    for turn, reach in (
        (-2.95, 0.36),
        (-0.2, 0.36),
        (-2.5, 0.38),
        (-0.65, 0.38),
        (-1.95, 0.32),
        (-1.15, 0.32),
    ):
        tip = (bend + reach * math.cos(turn), 0.72 - reach * (math.sin(turn) * 0.7 + 0.34))
        knee = (bend + reach * 0.55 * math.cos(turn), 0.72 - reach * (0.62 * math.sin(turn) - 0.06))
        leaf = [(bend, 0.74), knee, tip, (knee[0], knee[1] - 0.1), (bend, 0.68)]
        spot.shape(leaf, (62, 128, 66), level=190)


def cactus(spot: Spot) -> None:
    green: Colour = (66, spot.rng.uniform(128, 144), 80)
    for side, low, high in ((-1, 0.34, 0.68), (1, 0.46, 0.84)):
        spot.shape(pill(min(0, side * 0.29), low - 0.07, 0.29, 0.14), green, level=170)
        spot.shape(pill(side * 0.29 - 0.074, low - 0.07, 0.148, high - low + 0.07), green, level=180)
    spot.shape(pill(-0.1, 0, 0.2, 1), mix(green, (200, 220, 150), 0.14), level=210)


def flower(spot: Spot) -> None:
    spot.shape(box(-0.025, 0, 0.05, 0.68), (70, 124, 62))
    for side in (-1, 1):
        spot.shape([(0, 0.1), (side * 0.14, 0.3), (side * 0.3, 0.34), (side * 0.2, 0.17)], (84, 146, 74), level=140)
    for i, petal in enumerate(ring((0, 0.68), 0.187, 6, spot.rng.uniform(0, 1))):
        spot.oval(petal, (0.136, 0.136), mix(spot.colour, (255, 255, 255), 0.12 * (i % 2)), level=190)
    heart: Colour = (150, 94, 44) if spot.colour == COLOURS["yellow"] else (244, 196, 60)
    spot.oval((0, 0.68), (0.126, 0.126), heart, level=230)


def mushroom(spot: Spot) -> None:
    spot.shape([(-0.15, 0), (-0.11, 0.48), (0.11, 0.48), (0.15, 0)], (236, 224, 200), level=150)
    turns = [math.pi * i / 20 for i in range(21)]
    spot.shape([(0.44 * math.cos(turn), 0.44 + 0.46 * math.sin(turn)) for turn in turns], (200, 46, 40), level=210)
    for dx, dy, reach in ((-0.22, 0.61, 0.065), (0.02, 0.72, 0.08), (0.24, 0.59, 0.065), (-0.05, 0.54, 0.05)):
        spot.oval((dx, dy), (reach, reach * 0.85), (248, 244, 236), level=220)
