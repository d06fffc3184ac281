"""Colours with names that people type, and a few without."""

from __future__ import annotations

from training.canvas import Colour

COLOURS: dict[str, Colour] = {
    "red": (190, 48, 40),
    "blue": (60, 100, 180),
    "yellow": (232, 192, 70),
    "white": (238, 236, 230),
    "green": (76, 130, 80),
    "pink": (232, 150, 170),
    "orange": (224, 124, 50),
    "grey": (134, 136, 140),
    "black": (46, 44, 50),
    "purple": (132, 84, 164),
}

DARK: Colour = (48, 44, 48)
WOOD: Colour = (104, 72, 50)
LAMP: Colour = (255, 226, 130)
WHITE: Colour = (255, 255, 255)
