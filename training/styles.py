"""How a scene is made to look: the layers of a canvas in, one picture out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from training.canvas import Array, Canvas

Noise = np.random.Generator


def photograph(canvas: Canvas, noise: Noise) -> Array:
    """Light from the upper left, rounded bodies, a soft lens."""
    colour, relief, _ = canvas.layers()
    scale = canvas.unit / 256
    bodies = _blurred(relief, 5 * scale) * 255
    light = 1 + np.clip((np.gradient(bodies, axis=0) + np.gradient(bodies, axis=1)) * 0.022 * scale, -0.24, 0.24)
    ys, xs = _grid(canvas)
    vignette = 1.05 - 0.3 * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2)
    lit = colour * (light * vignette)[:, :, None]
    lit = _saturated(lit, 0.9)
    for (x, y), reach in canvas.glows:
        lit += _glow(canvas, x, y, reach)
    return np.clip(_blurred(lit, 0.7 * scale), 0, 1)


def painting(canvas: Canvas, noise: Noise) -> Array:
    """Oil: strong warm colours in visible strokes, with edges that follow the brush."""
    colour, relief, _ = canvas.layers()
    scale = canvas.unit / 256
    colour = _warped(colour, noise, amplitude=1.3 * scale, grain=14 * scale)
    height, width = relief.shape
    across = _field(noise, height, width, 4 * scale, 16 * scale)
    slanted = _field(noise, height, width, 12 * scale, 5 * scale)
    strokes = np.where(relief > 0.3, slanted, across)
    warm = _saturated(colour, 1.35) * np.asarray([1.06, 1.0, 0.86], dtype=np.float32)
    return np.clip(_contrasted(warm, 1.08) * (1 + 0.055 * strokes)[:, :, None], 0, 1)


def watercolour(canvas: Canvas, noise: Noise) -> Array:
    """Thin washes with darker rims on white paper that is left free around the edge."""
    colour, relief, _ = canvas.layers()
    scale = canvas.unit / 256
    colour = _warped(colour, noise, amplitude=1.7 * scale, grain=18 * scale)
    grey = _blurred(colour.mean(axis=2), 1.5 * scale)
    rims = np.clip(np.hypot(*np.gradient(grey)) * 6 * scale, 0, 0.45)
    height, width = relief.shape
    wash = 1 - (1 - colour) * (0.78 + 0.05 * _field(noise, height, width, 40 * scale, 40 * scale))[:, :, None]
    wash = wash * (1 - 0.6 * rims)[:, :, None]
    ys, xs = _grid(canvas)
    border = np.minimum(np.minimum(xs, 1 - xs) * canvas.width, np.minimum(ys, 1 - ys) * canvas.height) / canvas.unit
    border = border + 0.011 * _field(noise, height, width, 14 * scale, 14 * scale)
    paint = np.clip((border - 0.05) * 24, 0, 1)[:, :, None]
    paper = np.asarray([0.985, 0.98, 0.965], dtype=np.float32)
    return np.asarray(np.clip(paper * (1 - paint) + wash * paint, 0, 1), dtype=np.float32)


def pencil(canvas: Canvas, noise: Noise) -> Array:
    """Grey lines on white paper, with light shading where the scene is dark."""
    colour, _, lines = canvas.layers()
    scale = canvas.unit / 256
    grey = colour @ np.asarray([0.3, 0.55, 0.15], dtype=np.float32)
    shade = np.clip(0.86 - grey, 0, 1) * 0.42
    drawn = np.stack([lines, shade], axis=2)
    drawn = _warped(drawn, noise, amplitude=0.7 * scale, grain=18 * scale)
    tone = np.clip(0.97 - drawn[:, :, 1] - (1 - drawn[:, :, 0]) * 0.74, 0.08, 1)
    return np.repeat(tone[:, :, None], 3, axis=2) * np.asarray([1.0, 0.995, 0.98], dtype=np.float32)


def poster(canvas: Canvas, noise: Noise) -> Array:
    """Flat, bright colours inside thick dark outlines."""
    colour, _, lines = canvas.layers()
    bright = _contrasted(_saturated(colour, 1.7), 1.12)
    outline = np.asarray([0.1, 0.08, 0.2], dtype=np.float32)
    ink = (1 - lines)[:, :, None]
    return np.clip(np.clip(bright, 0, 1) * (1 - ink) + outline * ink, 0, 1)


def ink(canvas: Canvas, noise: Noise) -> Array:
    """Black brush and one sepia wash on cream paper."""
    colour, _, lines = canvas.layers()
    scale = canvas.unit / 256
    grey = _blurred(colour @ np.asarray([0.3, 0.55, 0.15], dtype=np.float32), 0.8 * scale)
    low, high = np.percentile(grey, (3, 97))
    grey = np.clip((grey - low) / max(float(high - low), 0.15), 0, 1)
    drawn = _warped(np.stack([grey, 1 - lines], axis=2), noise, amplitude=0.8 * scale, grain=16 * scale)
    wash = 1 / (1 + np.exp((drawn[:, :, :1] - 0.62) * 30))
    solid = 1 / (1 + np.exp((drawn[:, :, :1] - 0.3) * 30))
    solid = solid + drawn[:, :, 1:] * (1 - 1.6 * solid)
    paper, sepia, black = (
        np.asarray(tone, dtype=np.float32) for tone in ((0.95, 0.89, 0.76), (0.72, 0.58, 0.42), (0.1, 0.08, 0.08))
    )
    picture = paper * (1 - wash) + sepia * wash
    return np.asarray(np.clip(picture * (1 - solid) + black * solid, 0, 1), dtype=np.float32)


def blueprint(canvas: Canvas, noise: Noise) -> Array:
    """White lines on blue: the seventh style, which only the LoRA learns."""
    _, _, lines = canvas.layers()
    blue = np.asarray([0.1, 0.24, 0.56], dtype=np.float32)
    drawn = (1 - lines)[:, :, None]
    return blue * (1 - drawn) + np.asarray([0.9, 0.94, 1.0], dtype=np.float32) * drawn


STYLES: dict[str, Callable[[Canvas, Noise], Array]] = {
    "photograph": photograph,
    "painting": painting,
    "pencil": pencil,
    "watercolour": watercolour,
    "poster": poster,
    "ink": ink,
}
EXTRA_STYLES: dict[str, Callable[[Canvas, Noise], Array]] = {"blueprint": blueprint}


def _grid(canvas: Canvas) -> tuple[Array, Array]:
    ys, xs = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    return ys / canvas.height, xs / canvas.width


def _blurred(layer: Array, radius: float) -> Array:
    """Gaussian blur of a (height, width) or (height, width, channels) layer, edges repeated."""
    planes = layer[:, :, None] if layer.ndim == 2 else layer
    done = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[:, :, i] * 255).clip(0, 255).astype(np.uint8)).filter(
                ImageFilter.GaussianBlur(radius)
            )
        )
        for i in range(planes.shape[2])
    ]
    result = np.stack(done, axis=2).astype(np.float32) / 255
    return np.asarray(result[:, :, 0] if layer.ndim == 2 else result, dtype=np.float32)


def _field(noise: Noise, height: int, width: int, down: float, right: float) -> Array:
    """Smooth noise of mean 0 and deviation 1 whose grains are about `down` x `right` pixels."""
    small = noise.standard_normal((max(3, round(height / down)), max(3, round(width / right)))).astype(np.float32)
    field = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def _warped(layer: Array, noise: Noise, *, amplitude: float, grain: float) -> Array:
    """Each pixel fetched from up to about 2 x `amplitude` pixels away: a hand's unsteadiness."""
    height, width = layer.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    ys = np.clip(ys + amplitude * _field(noise, height, width, grain, grain), 0, height - 1.001)
    xs = np.clip(xs + amplitude * _field(noise, height, width, grain, grain), 0, width - 1.001)
    top, left = ys.astype(np.int32), xs.astype(np.int32)
    down, right = (ys - top)[:, :, None], (xs - left)[:, :, None]
    upper = layer[top, left] * (1 - right) + layer[top, left + 1] * right
    lower = layer[top + 1, left] * (1 - right) + layer[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)


def _saturated(colour: Array, factor: float) -> Array:
    grey = colour.mean(axis=2, keepdims=True)
    return np.asarray(grey + (colour - grey) * factor, dtype=np.float32)


def _contrasted(colour: Array, factor: float) -> Array:
    return np.asarray(0.5 + (colour - 0.5) * factor, dtype=np.float32)


def _glow(canvas: Canvas, x: float, y: float, reach: float) -> Array:
    ys, xs = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    strength = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * (reach * 0.5) ** 2)) * 0.22
    return np.asarray(strength[:, :, None] * np.asarray([1.0, 0.62, 0.2], dtype=np.float32), dtype=np.float32)
