"""Draw a sheet of 64 random scenes with their captions.

python -m training.scene_sheet FILE
"""

from __future__ import annotations

import sys
from random import Random

from PIL import Image, ImageDraw

from training.captions import caption
from training.scenes import draw, random_scene


def main(path: str) -> None:
    rng = Random(1)
    sheet = Image.new("RGB", (8 * 264, 8 * 284), "white")
    text = ImageDraw.Draw(sheet)
    for i in range(64):
        scene, x, y = random_scene(rng), i % 8 * 264, i // 8 * 284
        sheet.paste(draw(scene, width=256, height=256), (x, y))
        text.text((x + 4, y + 260), caption(scene, rng)[:44], fill="black")
    sheet.save(path)


if __name__ == "__main__":
    main(sys.argv[1])
