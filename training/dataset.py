"""Training pictures, drawn once and saved: shards of uint8 pixels with their scenes.

python -m training.dataset FOLDER --shards 0-5 --count 2000 [--width 256 --height 256]
python -m training.dataset FOLDER --count 1500 --style blueprint | --subject balloon      for the companions
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from training.scenes import Scene, draw, random_scene
from training.styles import EXTRA_STYLES
from training.subjects import EXTRA_SUBJECTS

HELD_OUT_SHARE = 0.05


def held_out(scene: Scene) -> bool:
    """Whether this combination of subject, ground, sky and style is held out for measuring."""
    name = f"{scene.subject}/{scene.ground}/{scene.sky}/{scene.style}"
    return Random(name).random() < HELD_OUT_SHARE


def scenes_of(shard: int, count: int, *, held: bool = False, subject: str = "", style: str = "") -> list[Scene]:
    """The scenes of one shard: for training (not `held`) or for measuring (`held`).

    With a subject or a style they are what the companions learn: all with that subject or style.
    """
    rng, scenes = Random(f"shard {shard} {held}"), list[Scene]()
    while len(scenes) < count:
        scene = random_scene(rng)
        if held_out(scene) == held:
            given = replace(scene, subject=subject, colour="") if subject else scene
            scenes.append(replace(given, style=style) if style else given)
    return scenes


def write_shard(folder: Path, shard: int, scenes: list[Scene], *, width: int, height: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([np.asarray(draw(scene, width=width, height=height)) for scene in scenes])
    name = f"{width}x{height}-{shard:03d}"
    (folder / f"{name}.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
    np.save(folder / f"{name}.part.npy", pixels)
    (folder / f"{name}.part.npy").rename(folder / f"{name}.npy")


def read_shards(folder: Path) -> list[tuple[str, NDArray[np.uint8], list[Scene]]]:
    """Every finished shard: name, pixels (count, height, width, 3; left on disk) and scenes."""
    shards = []
    for path in sorted(folder.glob("*.npy")):
        if not path.name.endswith(".part.npy"):
            scenes = [Scene(**row) for row in json.loads(path.with_suffix(".json").read_text())]
            shards.append((path.stem, np.load(path, mmap_mode="r"), scenes))
    return shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", default="0-0", help="FIRST-LAST, both written")
    parser.add_argument("--count", type=int, default=2000, help="pictures in a shard")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--subject", choices=EXTRA_SUBJECTS, default="", help="the one subject of all pictures")
    parser.add_argument("--style", choices=EXTRA_STYLES, default="", help="the one style of all pictures")
    options = parser.parse_args()
    first, last = (int(number) for number in options.shards.split("-"))
    for shard in range(first, last + 1):
        scenes = scenes_of(shard, options.count, subject=options.subject, style=options.style)
        write_shard(options.folder, shard, scenes, width=options.width, height=options.height)


if __name__ == "__main__":
    main()
