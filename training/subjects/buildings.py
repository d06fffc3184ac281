"""Buildings."""

from __future__ import annotations

import math

from training.canvas import Colour, Point, mix
from training.subjects.colours import DARK, LAMP, WOOD
from training.subjects.spot import Spot, bar, box


def house(spot: Spot) -> None:
    roof = mix(spot.rng.choice(((128, 62, 50), (92, 80, 82))), spot.colour, 0.08)
    spot.shape(box(0.176, 0.62, 0.12, 0.3), (120, 84, 74))
    spot.shape(box(-0.42, 0, 0.84, 0.52), spot.colour, level=170)
    spot.shape([(-0.504, 0.52), (-0.252, 0.94), (0.252, 0.94), (0.504, 0.52)], roof, level=210)
    spot.shape(box(-0.08, 0, 0.16, 0.32), (86, 56, 42), level=140)
    for side in (-1, 1):
        spot.shape(box(side * 0.252 - 0.075, 0.24, 0.15, 0.16), LAMP, level=140, shines=True)
    spot.glow(0.3, 0.5)


def castle(spot: Spot) -> None:
    stone = mix((158, 154, 150), (176, 140, 110), spot.rng.random() * 0.5)
    spot.shape(_battlement(-0.34, 0.68, 0.5, teeth=6), stone, level=160)
    for side in (-1, 1):
        left = side * 0.4 - 0.13
        spot.shape(_battlement(left, 0.26, 0.72, teeth=3), mix(stone, DARK, 0.12), level=210)
        spot.shape([(left, 0.74), (left + 0.13, 1.02), (left + 0.26, 0.74)], (150, 56, 52), level=210)
        spot.shape(box(left + 0.095, 0.43, 0.07, 0.13), DARK)
    gate = [(-0.12, 0), (-0.12, 0.2), (-0.08, 0.28), (0.08, 0.28), (0.12, 0.2), (0.12, 0)]
    spot.shape(gate, (66, 48, 42), level=90)


def lighthouse(spot: Spot) -> None:
    for i in range(5):
        low, high, top, bottom = 0.17 - 0.012 * i, 0.158 - 0.012 * i, 0.148 * (i + 1), 0.148 * i
        stripe: Colour = (240, 238, 232) if i % 2 else (198, 52, 46)
        spot.shape([(-low, bottom), (low, bottom), (high, top), (-high, top)], stripe, level=190)
    spot.shape(box(-0.0825, 0.74, 0.165, 0.12), LAMP, shines=True)
    spot.shape(box(-0.1375, 0.73, 0.275, 0.035), DARK)
    spot.shape([(-0.1155, 0.86), (0, 0.98), (0.1155, 0.86)], (150, 44, 42), level=210)
    spot.glow(0.8, 0.5)


def windmill(spot: Spot) -> None:
    spot.shape([(-0.2, 0), (-0.12, 0.62), (0.12, 0.62), (0.2, 0)], (222, 208, 184), level=160)
    spot.shape([(-0.15, 0.62), (0, 0.77), (0.15, 0.62)], (126, 66, 50), level=170)
    spot.shape(box(-0.05, 0, 0.1, 0.18), (86, 56, 42))
    start = spot.rng.uniform(0.5, 1.0)
    for i in range(4):
        turn = start + math.pi / 2 * i
        direction = (math.cos(turn), math.sin(turn))
        sail = bar((0.25 * direction[0], 0.62 + 0.25 * direction[1]), 0.36, 0.11, turn)
        spot.shape(sail, (250, 246, 236), level=230)
        end = spot.at(0.43 * direction[0], 0.62 + 0.43 * direction[1])
        spot.canvas.stroke([spot.at(0, 0.62), end], spot.size * 0.025, WOOD, level=230)
    spot.oval((0, 0.62), (0.04, 0.04), WOOD, level=240)


def tent(spot: Spot) -> None:
    spot.shape([(-0.62, 0), (0, 0.74), (0.62, 0)], spot.colour, level=180)
    spot.shape([(0, 0.74), (0.62, 0), (0.3, 0)], mix(spot.colour, DARK, 0.3), level=140)
    spot.shape([(-0.2, 0), (0, 0.6), (0.16, 0)], (60, 48, 44), level=90)


def brick_wall(spot: Spot) -> None:
    rows, width, height, gap = 6, 1.5, 0.8 / 6, 0.012
    spot.shape(box(-0.75, 0, width, 0.8), (212, 200, 186), level=130)
    for row in range(rows):
        shift = 0.0 if row % 2 else -0.5
        for i in range(6):
            start, end = max(0.0, (i + shift) / 5), min(1.0, (i + 1 + shift) / 5)
            if end - start > 0.02:
                brick = mix((170, 78, 58), (128, 56, 46), spot.rng.random())
                left, bottom = start * width - 0.75 + gap, row * height + gap
                spot.shape(box(left, bottom, (end - start) * width - 2 * gap, height - 2 * gap), brick, level=170)


def _battlement(left: float, width: float, height: float, *, teeth: int) -> list[Point]:
    step = width / (2 * teeth - 1)
    points: list[Point] = [(left, 0)]
    for i in range(2 * teeth - 1):
        level = height + (step * 0.8 if i % 2 == 0 else 0.0)
        points += [(left + step * i, level), (left + step * (i + 1), level)]
    return [*points, (left + width, 0)]
