"""Cheap previews: decodes latents to a small image with a linear map of each cell and its neighbours.

Decoding with the VAE would cost as much as a step or more. Stable Diffusion's maps ship with the program; the map of
any other VAE is fitted once, by ridge regression on two small fields of random latents that it decodes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.components.vae import decode_latents, to_bytes, to_pixels
from invoke.engine.model_protocol import Decoder, Model
from invoke.engine.sampling.loop import LoopState
from invoke.events import Pixels, Previews


def preview(model: Model, visit: LoopState, previews: Previews) -> Pixels:
    """Render the preview that `previews` asks for, from the loop's state `visit`.

    Latents are divided by the level's scale, so that they have the magnitude of clean ones whatever the sampler's
    parametrisation.
    """
    latents = visit.pred_original_sample if previews.of == "clean" else visit.latents / visit.level.scale
    tiny = getattr(model, "preview_vae", None)
    if previews.decoder == "vae":
        decode = model.decode
    else:
        decode = partial(decode_latents, tiny) if tiny is not None else linear_decoder(model)
    return to_pixels(to_bytes(decode(latents)))


FIELDS, CELLS = 2, 16
"""A fit decodes FIELDS fields of CELLS × CELLS latents."""
SHAPES, NOISE = 24, 0.5
RIDGE = 0.1
"""Regularisation: the cost of a squared weight, relative to the squared error of one cell. Limits overfitting."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearDecoder:
    """A convolution: `weight` (3·patch² × channels × side × side) maps `side`² cells to `patch`² pixels."""

    weight: torch.Tensor
    bias: torch.Tensor
    patch: int

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to an image: about −1..1, 1 × 3 × patch·height × patch·width, float32, on the CPU."""
        around = self.weight.shape[-1] // 2
        padded = F.pad(latents.float().cpu(), (around,) * 4, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.weight, self.bias), self.patch)


def _published(factors: list[list[float]], bias: list[float]) -> LinearDecoder:
    return LinearDecoder(torch.tensor(factors).T[..., None, None], torch.tensor(bias), patch=1)


_ARCHITECTURE = (128, 256, 512, 512)
_PUBLISHED = {
    0.18215: _published(
        [[0.3512, 0.2297, 0.3227], [0.3250, 0.4974, 0.2350], [-0.2829, 0.1762, 0.2721], [-0.2120, -0.2616, -0.7177]],
        [0.0, 0.0, 0.0],
    ),
    0.13025: _published(
        [[0.3651, 0.4232, 0.4341], [-0.2533, -0.0042, 0.1068], [0.1076, 0.1111, -0.0362], [-0.3165, -0.2492, -0.2188]],
        [0.1084, -0.0175, -0.0011],
    ),
}
"""Scaling factor → red, green and blue of each channel: Stable Diffusion 1 and 2, and XL, as measured by ComfyUI
(`comfy/latent_formats.py`)."""
_fitted: WeakKeyDictionary[Any, LinearDecoder] = WeakKeyDictionary()


def linear_decoder(model: Decoder) -> LinearDecoder:
    """The decoder for the VAE of `model`: a published one, or one fitted on first use and cached with the VAE."""
    config = model.vae.config
    if tuple(config.get("block_out_channels", ())) == _ARCHITECTURE and config.get("scaling_factor") in _PUBLISHED:
        return _PUBLISHED[config["scaling_factor"]]
    if model.vae not in _fitted:
        _fitted[model.vae] = fit(model)
    return _fitted[model.vae]


def fit(model: Decoder) -> LinearDecoder:
    """Fit a map from 3 × 3 cells to the pixels of the middle one, at a quarter of the picture's size."""
    generator = torch.Generator().manual_seed(0)
    patch, shrink = max(model.factor // 4, 1), min(model.factor, 4)
    sides, colours = [], []
    for _ in range(FIELDS):
        latents = _patchwork(model.latent_channels, generator)
        decoded = model.decode(latents.to(model.place.device)).cpu()
        sides.append(F.unfold(F.pad(latents, (1,) * 4, mode="replicate"), 3))
        colours.append(F.pixel_unshuffle(F.avg_pool2d(decoded, shrink), patch).flatten(2))
    x, y = (torch.cat(parts, dim=2)[0].T.double() for parts in (sides, colours))  # one row per cell
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    solved = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1]), x.T @ y)
    weight = solved.T.reshape(3, patch**2, model.latent_channels, 9)
    bias = (y_mean - x_mean @ solved).reshape(3, patch**2)
    # flat latents must give flat patches: otherwise plain areas show the cells as a grid
    plain = weight.sum(dim=-1, keepdim=True)
    weight = weight + (plain.mean(dim=1, keepdim=True) - plain) / 9
    bias = bias.mean(dim=1, keepdim=True).expand_as(bias)
    return LinearDecoder(weight.reshape(-1, model.latent_channels, 3, 3).float(), bias.flatten().float(), patch)


def _patchwork(channels: int, generator: torch.Generator) -> torch.Tensor:
    """Random latents with flat areas and edges, as in pictures: ellipses of one random value each, plus noise."""
    line = torch.linspace(-1, 1, CELLS)
    y, x = torch.meshgrid(line, line, indexing="ij")
    latents = torch.randn(1, channels, 1, 1, generator=generator).expand(1, channels, CELLS, CELLS)
    for _ in range(SHAPES):
        turn, right, down, width, height = torch.rand(5, generator=generator)
        turn, dx, dy = 2 * torch.pi * turn, x + 1 - 2 * right, y + 1 - 2 * down
        along, across = dx * turn.cos() + dy * turn.sin(), dy * turn.cos() - dx * turn.sin()
        inside = (along / (0.05 + 0.45 * width)) ** 2 + (across / (0.05 + 0.45 * height)) ** 2 < 1
        latents = torch.where(inside, torch.randn(1, channels, 1, 1, generator=generator), latents)
    return latents + NOISE * torch.randn(latents.shape, generator=generator)
