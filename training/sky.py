"""The sky: time of day and weather, and their light on everything else."""

from __future__ import annotations

from random import Random

from training.canvas import Canvas, Colour, blob, mix

SKIES: dict[str, tuple[tuple[float, Colour], ...]] = {
    "day": ((0.0, (84, 150, 214)), (1.0, (186, 220, 240))),
    "clouds": ((0.0, (120, 160, 198)), (1.0, (206, 218, 226))),
    "sunset": ((0.0, (96, 76, 138)), (0.55, (226, 112, 96)), (1.0, (252, 192, 104))),
    "night": ((0.0, (12, 18, 48)), (1.0, (38, 54, 104))),
    "storm": ((0.0, (44, 48, 60)), (1.0, (108, 114, 124))),
    "rain": ((0.0, (116, 128, 142)), (1.0, (164, 174, 184))),
}
"""Each hour or weather: the sky's colours from the top (0) to the horizon (1)."""

CLOUDS: dict[str, Colour] = {"clouds": (246, 247, 250), "storm": (64, 68, 80), "rain": (134, 142, 154)}


def light_of(sky: str, colour: Colour) -> Colour:
    """A colour in the light of this sky."""
    red, green, blue = colour
    grey = (red + green + blue) / 3
    match sky:
        case "night":
            return (red * 0.38 + 8, green * 0.42 + 10, blue * 0.50 + 26)
        case "sunset":
            return (min(255.0, red * 0.92 + 18), green * 0.74 + 6, blue * 0.66 + 12)
        case "storm":
            return mix((red * 0.62, green * 0.64, blue * 0.68), (grey * 0.62, grey * 0.62, grey * 0.64), 0.35)
        case "rain":
            return mix((red * 0.8, green * 0.82, blue * 0.86), (grey * 0.84, grey * 0.86, grey * 0.9), 0.35)
        case _:
            return colour


def draw_sky(canvas: Canvas, rng: Random, sky: str, horizon: float, *, bands: int) -> None:
    """The colours of the sky with sun, moon, stars and clouds; `horizon` in pixels from the top."""
    width, unit = canvas.width, canvas.unit
    share = horizon / canvas.height
    canvas.gradient([(position * share, colour) for position, colour in SKIES[sky]], bands=bands)
    x = width * rng.choice((rng.uniform(0.12, 0.3), rng.uniform(0.7, 0.88)))
    y = horizon * rng.uniform(0.24, 0.4)
    if sky == "day":
        canvas.ellipse(x, y, unit * 0.075, unit * 0.075, (255, 236, 150), lit=False)
    elif sky == "sunset":
        low = horizon * rng.uniform(0.74, 0.9)
        canvas.ellipse(x, low, unit * 0.115, unit * 0.115, (255, 226, 140), lit=False)
    elif sky == "night":
        _stars(canvas, rng, horizon)
        _moon(canvas, rng, x, y)
    if sky in CLOUDS:
        _clouds(canvas, rng, CLOUDS[sky], horizon)
    if sky == "storm":
        _lightning(canvas, x, y, horizon)


def draw_rain(canvas: Canvas, rng: Random) -> None:
    """Rain: slanting strokes in front of everything."""
    unit = canvas.unit
    for _ in range(round(46 * canvas.width * canvas.height / unit**2)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(-0.05, 1.0) * canvas.height
        length = unit * rng.uniform(0.06, 0.09)
        canvas.stroke([(x, y), (x - length * 0.35, y + length)], unit * 0.009, (206, 216, 226), lit=False)


def _stars(canvas: Canvas, rng: Random, horizon: float) -> None:
    for _ in range(round(16 * canvas.width / canvas.unit)):
        radius = canvas.unit * rng.uniform(0.006, 0.011)
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, horizon * 0.9)
        canvas.ellipse(x, y, radius, radius, (250, 246, 220), lit=False, outline=False)


def _moon(canvas: Canvas, rng: Random, x: float, y: float) -> None:
    """A full moon or a crescent, whose rest is covered by the sky."""
    unit = canvas.unit
    canvas.ellipse(x, y, unit * 0.085, unit * 0.085, (246, 240, 208), lit=False)
    if rng.random() < 0.5:
        cover = (x + unit * 0.045, y - unit * 0.02)
        canvas.ellipse(*cover, unit * 0.07, unit * 0.07, (18, 26, 62), lit=False, outline=False)


def _clouds(canvas: Canvas, rng: Random, colour: Colour, horizon: float) -> None:
    unit, count = canvas.unit, round(3 * canvas.width / canvas.unit)
    for i in range(count):
        x = canvas.width * (i + rng.uniform(0.25, 0.75)) / count
        y, reach = horizon * rng.uniform(0.16, 0.46), unit * rng.uniform(0.15, 0.21)
        for dx, dy, scale in ((-0.62, 0.1, 0.6), (0.62, 0.1, 0.6), (0.0, 0.0, 0.9)):
            radii = (reach * scale, reach * scale * 0.55)
            puff = blob(rng, x + dx * reach, y + dy * reach, *radii, depth=0.06)
            canvas.polygon(puff, mix(colour, (255, 255, 255), 0.06 * (dx == 0)), lit=False, level=60)


def _lightning(canvas: Canvas, x: float, y: float, horizon: float) -> None:
    step = (horizon - y) / 3
    turns = ((0, 0), (-0.35, 1.3), (-0.02, 1.2), (-0.3, 2.7), (0.42, 0.85), (0.1, 0.9), (0.3, 0))
    bolt = [(x + step * right, y + step * down) for right, down in turns]
    canvas.polygon(bolt, (255, 248, 200), lit=False, level=60)
