"""Seeds become noise: on the CPU, in float32, one generator per picture, so that it is the same everywhere."""

import math

import torch

from invoke.engine.effects import perlin
from invoke.request import Request

SAME_DIRECTION = 0.9995
"""Above this cosine a great circle is numerically a line."""


def starting_noise(request: Request, shape: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Generator]:
    """The picture's noise and the generator that drew it, from which ancestral samplers go on drawing.

    Each of `request.variations` turns the noise towards that of another seed, in the order given.
    """
    noise, generator = _draw(request.seed, shape)
    if request.perlin:
        smooth = perlin(shape, torch.Generator("cpu").manual_seed(request.seed))
        noise = torch.lerp(noise, smooth, request.perlin)
        noise = noise / noise.std()  # a mixture of both is smaller than either
    for seed, weight in request.variations:
        noise = slerp(noise, _draw(seed, shape)[0], weight)
    return noise, generator


def slerp(a: torch.Tensor, b: torch.Tensor, weight: float) -> torch.Tensor:
    """The point `weight` of the way from `a` to `b` on the great circle through both (Shoemake 1985).

    A weighted mean would lie inside the sphere on which Gaussian noise lives, and give a dull picture.
    """
    cosine = float((a.double().flatten() @ b.double().flatten()) / (a.double().norm() * b.double().norm()))
    if abs(cosine) > SAME_DIRECTION:
        return torch.lerp(a, b, weight)
    angle = math.acos(cosine)
    return math.sin(angle * (1 - weight)) / math.sin(angle) * a + math.sin(angle * weight) / math.sin(angle) * b


def _draw(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32), generator
