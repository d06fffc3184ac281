"""Pictures of half blocks: each cell shows two pixels, one as the upper half of a letter, one as what is behind it."""

from typing import Literal

from invoke.events import Pixels
from invoke.shell.pictures.shape import Box, scaled

Colours = Literal["256", "24-bit"]
Colour = tuple[int, int, int]
HALF = "▀"
END = "\x1b[0m\x1b[K\n"
_LEVELS = (0, 95, 135, 175, 215, 255)
"""Of each of red, green and blue in the cube of xterm's 256 colours, numbers 16 to 231."""


def encode_blocks(pixels: Pixels, box: Box, colours: Colours) -> str:
    """`box.rows` lines of `box.columns` half blocks."""
    data = scaled(pixels, box.columns, 2 * box.rows).tobytes()
    width = 3 * box.columns
    rows = [data[start : start + width] for start in range(0, len(data), width)]
    return "".join(_line(upper, lower, colours) for upper, lower in zip(rows[::2], rows[1::2], strict=True))


def _line(upper: bytes, lower: bytes, colours: Colours) -> str:
    words, before = [], ("", "")
    for start in range(0, len(upper), 3):
        front, back = _code(upper[start : start + 3], colours), _code(lower[start : start + 3], colours)
        if (front, back) != before:
            words.append(f"\x1b[38;{front};48;{back}m")
            before = front, back
        words.append(HALF)
    return "".join(words) + END


def _code(colour: bytes, colours: Colours) -> str:
    red, green, blue = colour
    return f"2;{red};{green};{blue}" if colours == "24-bit" else f"5;{nearest((red, green, blue))}"


def nearest(colour: Colour) -> int:
    """The number of the nearest of xterm's colours: of the cube (16 to 231) or of the greys (232 to 255)."""
    places = [min(range(6), key=lambda place, level=level: abs(_LEVELS[place] - level)) for level in colour]  # type: ignore[misc]
    red, green, blue = places
    cube = 16 + 36 * red + 6 * green + blue
    grey = 232 + min(23, max(0, round((sum(colour) / 3 - 8) / 10)))
    return min(cube, grey, key=lambda number: _distance(colour, shown(number)))


def shown(number: int) -> Colour:
    """Red, green and blue of the colour `number`, 16 to 255."""
    if number >= 232:
        level = 8 + 10 * (number - 232)
        return level, level, level
    place = number - 16
    return _LEVELS[place // 36], _LEVELS[place // 6 % 6], _LEVELS[place % 6]


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
