"""Fire, a cat, a snowman, vehicles and balloons."""

from __future__ import annotations

import math

from training.canvas import Colour, Point, mix
from training.subjects.colours import DARK, LAMP, WHITE, WOOD
from training.subjects.spot import Spot, bar, box


def fire(spot: Spot) -> None:
    spot.glow(0.35, 1.1)
    for turn in (-0.2, 0.2):
        spot.shape(bar((0, 0.05), 0.68, 0.12, turn), (98, 62, 40), level=150)
    sway = spot.rng.uniform(-0.05, 0.05)
    for share, hue in ((1.0, (226, 70, 26)), (0.7, (250, 140, 32)), (0.42, (255, 216, 92))):
        spot.shape(_flame(spot, 0.3 * share, 0.92 * share, sway), hue, level=230, shines=True)


def _flame(spot: Spot, half: float, height: float, sway: float) -> list[Point]:
    """A drop with five tongues, the middle one the highest, standing just above the foot."""
    low = [(half * math.cos(turn), -half * 0.22 * math.sin(turn)) for turn in (math.pi * i / 10 for i in range(11))]
    left, right = spot.rng.uniform(0.5, 0.62), spot.rng.uniform(0.5, 0.66)
    tips = (
        (-1.12, 0.22),
        (-0.95, left),
        (-0.42, 0.4),
        (sway * 4, 1.0),
        (0.45, 0.42),
        (0.95, right),
        (1.12, 0.22),
    )
    return [(x, 0.05 + y) for x, y in [*low, *((half * x, height * y) for x, y in tips)]]


def cat(spot: Spot) -> None:
    shade = mix(spot.colour, DARK, 0.25)
    side = spot.rng.choice((-1, 1))
    tail = [(side * (0.2 + 0.2 * math.sin(i * 0.4)), 0.05 + 0.085 * i) for i in range(7)]
    spot.shape([(x - 0.045, y) for x, y in tail] + [(x + 0.045, y) for x, y in tail[::-1]], shade, level=140)
    spot.oval((0, 0.25), (0.25, 0.28), spot.colour, level=170)
    for end in (-1, 1):
        spot.oval((end * 0.11, 0.04), (0.09, 0.055), mix(spot.colour, WHITE, 0.2), level=180)
        spot.shape([(end * 0.2185, 0.726), (end * 0.207, 1.0135), (end * 0.0345, 0.8755)], shade, level=190)
    spot.oval((0, 0.68), (0.2484, 0.2185), spot.colour, level=220)
    for end in (-1, 1):
        eye = (end * 0.0966, 0.6984)
        spot.oval(eye, (0.0483, 0.0575), (196, 220, 90), level=230, outline=False, shines=True)
        spot.oval(eye, (0.0207, 0.0529), (20, 20, 20), level=230, outline=False)
    spot.shape([(-0.0322, 0.6202), (0.0322, 0.6202), (0, 0.5788)], (226, 130, 130), level=240)


def snowman(spot: Spot) -> None:
    snow: Colour = (240, 243, 248)
    for height, radius, share in ((0.24, 0.26, 0.12), (0.58, 0.19, 0.06), (0.83, 0.135, 0.0)):
        spot.oval((0, height), (radius, radius * 0.95), mix(snow, (120, 140, 180), share), level=190)
    spot.shape(box(-0.17, 0.9, 0.34, 0.04), DARK, level=230)
    spot.shape(box(-0.1, 0.93, 0.2, 0.17), DARK, level=230)
    spot.shape([(0, 0.85), (0.19, 0.81), (0, 0.79)], (232, 126, 44), level=240)
    for dx, height, radius in (
        (-0.05, 0.88, 0.024),
        (0.05, 0.88, 0.024),
        (0.0, 0.62, 0.026),
        (0.0, 0.52, 0.026),
    ):
        spot.oval((dx, height), (radius, radius), DARK, outline=False)
    spot.shape(box(-0.14, 0.68, 0.28, 0.07), (196, 50, 46), level=220)


def boat(spot: Spot) -> None:
    spot.shape(box(-0.015, 0.14, 0.03, 0.86), WOOD)
    spot.shape([(0.04, 0.97), (0.42, 0.23), (0.04, 0.23)], (246, 242, 230), level=190)
    spot.shape([(-0.04, 0.86), (-0.34, 0.23), (-0.04, 0.23)], mix(spot.colour, WHITE, 0.1), level=180)
    spot.shape([(-0.46, 0.16), (0.5, 0.16), (0.32, -0.03), (-0.32, -0.03)], (128, 78, 50), level=200)


def ship(spot: Spot) -> None:
    for left in (-0.24, 0.06):
        spot.shape(box(left, 0.52, 0.16, 0.34), (196, 60, 46), level=170)
        spot.shape(box(left, 0.77, 0.16, 0.09), DARK, level=170)
    spot.shape(box(-0.46, 0.24, 0.86, 0.32), (240, 240, 236), level=180)
    for i in range(5):
        spot.shape(box(-0.39 + 0.16 * i, 0.38, 0.08, 0.09), LAMP, shines=True)
    spot.shape([(-0.72, 0.31), (0.72, 0.31), (0.59, 0), (-0.62, 0)], (44, 54, 82), level=210)
    spot.shape([(-0.648, 0.07), (0.6264, 0.07), (0.59, -0.02), (-0.62, -0.02)], (160, 50, 44), level=210)


def car(spot: Spot) -> None:
    cabin = [(-0.42, 0.42), (-0.26, 0.7), (0.2, 0.7), (0.42, 0.42)]
    spot.shape(cabin, mix(spot.colour, WHITE, 0.1), level=180)
    for a, b, c, d in ((-0.33, -0.21, -0.05, -0.05), (0.01, 0.01, 0.16, 0.31)):
        spot.shape([(a, 0.42), (b, 0.63), (c, 0.63), (d, 0.42)], (170, 206, 224), level=140)
    body = [(-0.72, 0.12), (-0.7, 0.38), (-0.42, 0.42), (0.42, 0.42), (0.7, 0.34), (0.74, 0.12)]
    spot.shape(body, spot.colour, level=210)
    for side in (-1, 1):
        spot.oval((side * 0.42, 0.12), (0.16, 0.16), DARK, level=190)
        spot.oval((side * 0.42, 0.12), (0.07, 0.07), (190, 190, 194), level=220)


def balloon(spot: Spot) -> None:
    """A hot-air balloon, which is in no training picture: the subject of the textual inversion."""
    for side in (-1, 1):
        spot.shape([(side * 0.2, 0.5), (side * 0.08, 0.16), (side * 0.06, 0.16), (side * 0.16, 0.5)], WOOD)
    for half, hue in ((0.34, (206, 60, 50)), (0.22, (244, 200, 80)), (0.09, (206, 60, 50))):
        spot.oval((0, 0.68), (half, 0.34), hue, level=210)
    spot.shape(box(-0.1, 0, 0.2, 0.17), (150, 104, 62), level=160)


def nothing(spot: Spot) -> None:
    """A landscape without a subject."""
