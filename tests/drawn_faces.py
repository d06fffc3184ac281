"""Faces drawn by this script, plain but shaded, which the detector recognises."""

from cmath import exp
from math import radians

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FINE = 4
"""How many times larger it is drawn than shown."""
_EYE = 0.2 - 0.08j
"""The middle of the right one, seen from the middle of the face, in its widths."""


def eyes_of(x: float, y: float, size: float, tilt: float = 0.0) -> tuple[complex, complex]:
    """Where `draw_face` puts the middle of the eyes as x + i·y, the viewer's left one first."""
    middle, turn = complex(x, y), size * exp(1j * radians(tilt))
    return middle - turn * _EYE.conjugate(), middle + turn * _EYE


def draw_face(picture: Image.Image, x: float, y: float, size: float, tilt: float = 0.0) -> None:
    """A face around (`x`, `y`), `size` pixels wide from ear to ear, turned by `tilt` degrees clockwise."""
    side = round(2 * size * FINE)
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    _features(layer, side / 2)
    half = side // FINE
    layer = layer.rotate(-tilt, Image.Resampling.BICUBIC).resize((half, half), Image.Resampling.LANCZOS)
    picture.paste(layer, (round(x - half / 2), round(y - half / 2)), layer)


def portrait(width: int = 256, height: int = 256, *faces: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """Height × width × 3: a wall with `faces` (x, y, size, tilt) before it."""
    rows = np.linspace(150, 190, height)[:, None, None]
    columns = np.linspace(0, 20, width)[None, :, None]
    wall = (rows + columns) * np.array([0.85, 0.95, 1.0])
    picture = Image.fromarray(wall.round().astype(np.uint8))
    for face in faces:
        draw_face(picture, *face)
    return np.asarray(picture)


def _features(layer: Image.Image, unit: float) -> None:
    """Drawn around the middle; `unit` is the width of the face in pixels of the layer."""
    draw = ImageDraw.Draw(layer)
    across, up = _EYE.real, _EYE.imag

    def oval(x: float, y: float, width: float, height: float, colour: tuple[int, ...]) -> None:
        middle = x * unit + unit, y * unit + unit
        box = [
            (middle[0] - width * unit / 2, middle[1] - height * unit / 2),
            (middle[0] + width * unit / 2, middle[1] + height * unit / 2),
        ]
        draw.ellipse(box, fill=colour)

    def soft(radius: float) -> None:
        """What is drawn so far, blurred, so that it reads as shade."""
        blurred = layer.filter(ImageFilter.GaussianBlur(radius * unit))
        layer.paste(blurred)

    oval(0, -0.12, 1.08, 1.3, (60, 40, 30))  # hair
    oval(0, 0.5, 0.5, 0.6, (190, 145, 120))  # neck
    soft(0.02)
    oval(0, 0.02, 0.94, 1.26, (205, 160, 135))  # head
    oval(0, 0.0, 0.8, 1.1, (224, 180, 155))
    oval(0, -0.35, 0.6, 0.3, (236, 196, 172))  # forehead
    for side in (-1, 1):
        oval(side * 0.22, 0.2, 0.24, 0.26, (238, 198, 176))  # cheeks
        oval(side * across, up, 0.3, 0.2, (150, 108, 92))  # sockets
    oval(0, 0.08, 0.1, 0.4, (240, 202, 180))  # nose
    oval(0, 0.22, 0.18, 0.06, (176, 128, 110))
    soft(0.03)
    for side in (-1, 1):
        oval(side * across, up - 0.12, 0.28, 0.06, (62, 42, 34))  # brows
        oval(side * across, up, 0.2, 0.09, (232, 226, 220))
        oval(side * across, up, 0.1, 0.1, (46, 34, 28))  # irises
        oval(side * across, up - 0.04, 0.22, 0.03, (70, 48, 40))  # lids
        oval(side * 0.05, 0.22, 0.05, 0.03, (110, 72, 60))  # nostrils
    oval(0, 0.38, 0.34, 0.09, (168, 84, 80))  # mouth
    oval(0, 0.375, 0.32, 0.02, (90, 40, 40))
    soft(0.008)
