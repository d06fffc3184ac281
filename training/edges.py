"""The edges of a picture, white on black, one pixel wide: what the ControlNet is shown.

python -m training.edges --data FOLDER --latents FILE --out FILE [--most 1200]

Canny (1986) in numpy: blur, gradient, ridges of the gradient, and weak ridges only where a strong one is near.
Dark tones are lifted before, or a night would have no edges.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.dataset import read_shards
from training.devices import load_checkpoint, save_checkpoint

BLUR = 1.6
"""Radius in pixels: brush strokes and grain vanish, shapes stay."""
WEAK, STRONG = 4.0, 9.0
"""Grey levels (of 255) per pixel, after the blur."""


def edges(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The edges of a picture (height, width, 3), in the channel with the strongest gradient."""
    lifted = (np.sqrt(pixels / 255) * 255).astype(np.uint8)
    blurred = Image.fromarray(lifted).filter(ImageFilter.GaussianBlur(BLUR))
    down, right = np.gradient(np.asarray(blurred, dtype=np.float32), axis=(0, 1))
    best = np.hypot(down, right).argmax(axis=2)[..., None]
    down, right = (np.take_along_axis(slope, best, axis=2)[..., 0] for slope in (down, right))
    steep = np.hypot(down, right)
    ridge = _ridges(steep, down, right)
    return _joined(ridge & (steep > WEAK), ridge & (steep > STRONG))


def edge_picture(picture: Image.Image) -> Image.Image:
    """A control image."""
    return Image.fromarray(edges(np.asarray(picture.convert("RGB"))).astype(np.uint8) * 255).convert("RGB")


def unpacked(packed: torch.Tensor, width: int) -> torch.Tensor:
    """Bits (count, height, width / 8) to control images (count, 3, height, width), 0 or 1."""
    bits = torch.from_numpy(np.unpackbits(packed.numpy(), axis=2, count=width))
    return bits[:, None].float().expand(-1, 3, -1, -1)


def _ridges(steep: NDArray[np.float32], down: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels without a steeper neighbour across the edge."""
    turn = np.round(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    around = np.pad(steep, 1)
    ridge = np.zeros(steep.shape, dtype=bool)
    height, width = steep.shape
    for direction, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        ridge |= (turn == direction) & (steep > ahead) & (steep >= behind)
    return ridge


def _joined(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Strong edges, and weak ones connected to them."""
    found = strong
    while True:
        around = np.pad(found, 1)
        near = np.zeros_like(found)
        for dy in range(3):
            for dx in range(3):
                near |= around[dy : dy + found.shape[0], dx : dx + found.shape[1]]
        grown = near & weak
        if (grown == found).all():
            return found
        found = grown


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(edges(pixels), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--latents", type=Path, required=True, help="of the same pictures, by training.latents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, default=2000, help="pictures of a shard that are used")
    options = parser.parse_args()
    known = {shard["name"]: shard["latents"] for shard in load_checkpoint(options.latents)["shards"]}
    shards = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, pixels, scenes in read_shards(options.data):
            if name in known:
                count = min(options.most, len(pixels))
                packed = np.stack(list(pool.map(_packed, (np.array(one) for one in pixels[:count]), chunksize=50)))
                rows = [vars(scene) for scene in scenes[:count]]
                latents = known[name][:count]
                shards.append({"name": name, "latents": latents, "scenes": rows, "edges": torch.from_numpy(packed)})
    save_checkpoint(options.out, {"shards": shards})


if __name__ == "__main__":
    main()
