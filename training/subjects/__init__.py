"""The subjects of scenes, by their names in captions and judge."""

from __future__ import annotations

from collections.abc import Callable

from training.subjects.buildings import brick_wall, castle, house, lighthouse, tent, windmill
from training.subjects.colours import COLOURS
from training.subjects.plants import autumn_tree, cactus, cherry_tree, flower, mushroom, palm, pine, tree
from training.subjects.spot import Spot
from training.subjects.things import balloon, boat, car, cat, fire, nothing, ship, snowman

__all__ = ["COLOURS", "EXTRA_SUBJECTS", "PAINTED", "SUBJECTS", "Spot"]

SUBJECTS: dict[str, Callable[[Spot], None]] = {
    "tree": tree,
    "autumn tree": autumn_tree,
    "cherry tree": cherry_tree,
    "pine": pine,
    "palm": palm,
    "house": house,
    "fire": fire,
    "boat": boat,
    "ship": ship,
    "cactus": cactus,
    "castle": castle,
    "cat": cat,
    "flower": flower,
    "lighthouse": lighthouse,
    "windmill": windmill,
    "mushroom": mushroom,
    "snowman": snowman,
    "tent": tent,
    "car": car,
    "brick wall": brick_wall,
    "none": nothing,
}
EXTRA_SUBJECTS: dict[str, Callable[[Spot], None]] = {"balloon": balloon}
"""Subjects that are never in the base model's pictures."""

PAINTED: dict[str, tuple[str, ...]] = {
    "house": ("red", "blue", "yellow", "white", "green"),
    "flower": ("red", "blue", "yellow", "white", "purple", "pink"),
    "cat": ("black", "orange", "grey", "white"),
    "boat": ("red", "blue", "yellow", "white"),
    "tent": ("red", "blue", "yellow", "orange", "green"),
    "car": ("red", "blue", "yellow", "white", "green"),
}
"""Subjects that come in colours, and which."""
