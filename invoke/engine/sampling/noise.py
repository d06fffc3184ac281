"""Noise from seeds: on the CPU, in float32, one generator per picture, so that it is the same on every machine."""

import math

import torch

from invoke.request import Request

SAME_DIRECTION = 0.9995
"""Above this cosine two directions are treated as equal: slerp would be numerically unstable."""


def starting_noise(request: Request, shape: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Generator]:
    """The initial noise of a picture, and its generator, from which ancestral samplers continue to draw.

    Each of `request.variations` interpolates the noise towards that of another seed, in the order given.
    """
    noise, generator = _draw(request.seed, shape)
    if request.perlin:
        smooth = perlin(shape, torch.Generator("cpu").manual_seed(request.seed))
        noise = torch.lerp(noise, smooth, request.perlin)
        noise = noise / noise.std()  # a mixture has a smaller deviation than its parts
    for seed, weight in request.variations:
        noise = slerp(noise, _draw(seed, shape)[0], weight)
    return noise, generator


def slerp(a: torch.Tensor, b: torch.Tensor, weight: float) -> torch.Tensor:
    """The point `weight` of the way from `a` to `b` on the great circle through both (Shoemake 1985).

    A weighted mean would lie inside the sphere on which Gaussian noise concentrates, and give a dull picture.
    """
    cosine = float((a.double().flatten() @ b.double().flatten()) / (a.double().norm() * b.double().norm()))
    if abs(cosine) > SAME_DIRECTION:
        return torch.lerp(a, b, weight)
    angle = math.acos(cosine)
    return math.sin(angle * (1 - weight)) / math.sin(angle) * a + math.sin(angle * weight) / math.sin(angle) * b


def _draw(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32), generator


def perlin(shape: tuple[int, int, int, int], generator: torch.Generator) -> torch.Tensor:
    """Gradient noise (Perlin 1985) of `shape` with 8 × 8 cells and unit standard deviation."""
    batch, channels, height, width = shape
    cells = min(8, height, width)  # with more cells than pixels every pixel would be on a corner, where the noise is 0
    angles = 2 * torch.pi * torch.rand(batch * channels, cells + 1, cells + 1, generator=generator)
    gradients = torch.stack([angles.cos(), angles.sin()], dim=-1)
    y, x = ((torch.arange(side) + 0.5) * cells / side for side in (height, width))
    rows, columns = y.long(), x.long()
    dy, dx = (y - rows)[:, None], (x - columns)[None, :]
    corner = {}
    for down in (0, 1):
        for right in (0, 1):
            near = gradients[:, rows + down][:, :, columns + right]
            corner[down, right] = near[..., 0] * (dx - right) + near[..., 1] * (dy - down)
    ease_y, ease_x = (t * t * t * (t * (6 * t - 15) + 10) for t in (dy, dx))  # Perlin (2002), eq. for s(t)
    top = torch.lerp(corner[0, 0], corner[0, 1], ease_x)
    bottom = torch.lerp(corner[1, 0], corner[1, 1], ease_x)
    noise = torch.lerp(top, bottom, ease_y).reshape(shape)
    return noise / noise.std()
