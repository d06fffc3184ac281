"""Encodes previews for terminals: half blocks, the kitty graphics protocol, iTerm2's inline images, sixels.

kitty (https://sw.kovidgoyal.net/kitty/graphics-protocol/), also Ghostty: a PNG in base64, in chunks of at most 4096
bytes. `C=1` keeps the cursor in place, `q=2` suppresses answers; an image with the same number replaces the old
one. iTerm2 (https://iterm2.com/documentation-images.html), also WezTerm and mintty.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from invoke.events import Pixels
from invoke.images import as_image
from invoke.shell.previews import placeholders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Kind = Literal["none", "256", "24-bit", "kitty", "kitty in tmux", "iterm2", "iterm2 in tmux", "sixel"]
"""Kind of previews: none, half blocks with 256 or 24-bit colours, or a graphics protocol."""

ROWS: frozenset[Kind] = frozenset({"256", "24-bit", "kitty in tmux", "iterm2 in tmux"})
"""Kinds that consist of rows of characters."""

Colours = Literal["256", "24-bit"]
Colour = tuple[int, int, int]
HALF = "▀"
END = "\x1b[0m"
_LEVELS = (0, 95, 135, 175, 215, 255)
"""Levels of red, green and blue in xterm's colour cube (16 to 231)."""


def encode_blocks(pixels: Pixels, box: Box, colours: Colours) -> str:
    """Encode as `box.rows` rows of `box.columns` half blocks, separated by newlines."""
    data = scaled(pixels, box.columns, 2 * box.rows).tobytes()
    width = 3 * box.columns
    rows = [data[start : start + width] for start in range(0, len(data), width)]
    return "\n".join(_line(upper, lower, colours) for upper, lower in zip(rows[::2], rows[1::2], strict=True))


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


_PLACES = tuple(min(range(6), key=lambda place: abs(_LEVELS[place] - level)) for level in range(256))
"""The nearest of `_LEVELS` to each level."""
_GREYS = tuple(min(23, max(0, round((total / 3 - 8) / 10))) for total in range(3 * 255 + 1))
"""The nearest grey to each sum of red, green and blue."""


def nearest(colour: Colour) -> int:
    """The number of the nearest xterm colour: from the cube (16 to 231) or the greys (232 to 255)."""
    red, green, blue = colour
    row, column, layer = _PLACES[red], _PLACES[green], _PLACES[blue]
    grey = _GREYS[red + green + blue]
    level = 8 + 10 * grey
    to_grey = (red - level) ** 2 + (green - level) ** 2 + (blue - level) ** 2
    to_cube = (red - _LEVELS[row]) ** 2 + (green - _LEVELS[column]) ** 2 + (blue - _LEVELS[layer]) ** 2
    return 16 + 36 * row + 6 * column + layer if to_cube <= to_grey else 232 + grey


def shown(number: int) -> Colour:
    """Red, green and blue of the colour `number`, 16 to 255."""
    if number >= 232:
        level = 8 + 10 * (number - 232)
        return level, level, level
    place = number - 16
    return _LEVELS[place // 36], _LEVELS[place // 6 % 6], _LEVELS[place % 6]


CELL = 12
"""Maximum pixels sent per cell, across."""


@dataclass(frozen=True, slots=True)
class Box:
    """An area of the screen, in cells, which are assumed to be twice as high as wide."""

    columns: int
    rows: int


def fitted(pixels: Pixels, largest: Box) -> Box:
    """The largest box with the proportions of `pixels` within `largest`; at least one cell."""
    scale = min(largest.columns / pixels.width, 2 * largest.rows / pixels.height)
    return Box(max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale / 2)))


def scaled(pixels: Pixels, width: int, height: int) -> Image.Image:
    """Scale the picture to `width` × `height`."""
    from PIL import Image

    return as_image(pixels).resize((width, height), Image.Resampling.BICUBIC)


def as_file(pixels: Pixels, box: Box, format: Literal["PNG", "JPEG"] = "PNG") -> bytes:
    """Encode as a file, with the resolution that a terminal shows in `box`."""
    from io import BytesIO

    file = BytesIO()
    width, height = min(pixels.width, CELL * box.columns), min(pixels.height, 2 * CELL * box.rows)
    scaled(pixels, width, height).save(file, format, **({"compress_level": 1} if format == "PNG" else {"quality": 90}))
    return file.getvalue()


def room(box: Box) -> str:
    """Make room for `box.rows` lines below the cursor, and move to the first of them."""
    return "\n" * box.rows + f"\x1b[{box.rows}A"


CHUNK = 4096


def encode_kitty(pixels: Pixels, box: Box, number: int) -> str:
    """Encode as picture `number` (1 to 2³²−1) over `box` at the cursor, which does not move."""
    return "".join(_kitty(pixels, box, f"i={number},p=1,c={box.columns},r={box.rows},C=1"))


def encode_kitty_in_tmux(pixels: Pixels, box: Box, number: int) -> str:
    """Encode for kitty in tmux: the data, and `box.rows` rows of placeholders, separated by newlines."""
    number = placeholders.image_number(number)
    data = "".join(
        map(placeholders.passed_through, _kitty(pixels, box, f"i={number},U=1,c={box.columns},r={box.rows}"))
    )
    return data + "\n".join(placeholders.rows(number, box.columns, box.rows))


def _kitty(pixels: Pixels, box: Box, what: str) -> list[str]:
    """The sequences that show `pixels` over `box`."""
    data = b64encode(as_file(pixels, box)).decode("ascii")
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    head = f"a=T,f=100,{what},q=2,"
    last = len(chunks) - 1
    parts = [f"{'' if index else head}m={int(index < last)};{chunk}" for index, chunk in enumerate(chunks)]
    return [f"\x1b_G{part}\x1b\\" for part in parts]


def delete(kind: Kind, number: int) -> str:
    """Delete picture `number`, if overwriting it with text would not; else ""."""
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\" if kind == "kitty" else ""


def encode_iterm2(pixels: Pixels, box: Box) -> str:
    """Encode over `box` at the cursor.

    The cursor is restored, since terminals differ in where it goes after a picture.
    """
    return f"\x1b7{_iterm2(as_file(pixels, box), box)}\x1b8"


def encode_iterm2_in_tmux(pixels: Pixels, box: Box) -> str:
    """Encode for iTerm2 in tmux, over `box.rows` rows of spaces, separated by newlines.

    tmux erases only cells that were written. It moves the terminal's cursor to the first cell before passing on the
    picture only if that cell is erased. It drops sequences of more than a megabyte, so the file is a JPEG.
    """
    spaces, up = " " * box.columns, box.rows - 1
    start, back = (f"\x1b[{up}A", f"\x1b[{up}B") if up else ("", "")
    picture = placeholders.passed_through(_iterm2(as_file(pixels, box, "JPEG"), box))
    return "\n".join([spaces] * box.rows) + f"{start}\r\x1b[X{picture}{back}\r\x1b[{box.columns}C"


def _iterm2(file: bytes, box: Box) -> str:
    size = f"size={len(file)};width={box.columns};height={box.rows};preserveAspectRatio=0"
    return f"\x1b]1337;File=inline=1;{size}:{b64encode(file).decode('ascii')}\x07"


COLOURS, COARSE = 64, 3
CELL_HEIGHT, CELL_WIDTH = 20, 10
"""Assumed cell size for sixels, in pixels: with larger cells a picture is smaller than its box, never larger."""


def encode_sixel(pixels: Pixels, box: Box, coarseness: int = 1) -> str:
    """Encode as sixels within `box` at the cursor, which is restored.

    `coarseness` 1, 2 or 3: size of each drawn pixel in terminal pixels. 3 is ten times as fast as 1.

    For xterm -ti vt340, foot, mlterm, WezTerm and Windows Terminal (VT330/VT340 manual, chapter 14): a band is six
    pixels high, and each colour is drawn over its whole width; `$` returns to its start, `-` goes to the next band, and
    `!N` repeats what follows N times.
    """
    import numpy as np

    width = CELL_WIDTH * box.columns // coarseness * coarseness
    height = CELL_HEIGHT * box.rows // 6 * 6
    image = scaled(pixels, width // coarseness, height // coarseness).quantize(COLOURS)
    palette = (image.getpalette() or [])[: 3 * COLOURS]
    colours = "".join(
        f"#{number};2;" + ";".join(str(round(level * 100 / 255)) for level in palette[3 * number : 3 * number + 3])
        for number in range(len(palette) // 3)
    )
    indices = np.asarray(image)
    rows = 6 // coarseness
    bands = "-".join(_band(indices[top : top + rows], coarseness) for top in range(0, len(indices), rows))
    return f'\x1b7\x1bP0;1q"1;1;{width};{height}{colours}{bands}\x1b\\\x1b8'


def _band(rows: NDArray[np.uint8], coarseness: int) -> str:
    """Encode a band of six rows of colour numbers, one colour after another."""
    import numpy as np

    width = rows.shape[1]
    letters = np.zeros((COLOURS, width), np.uint8)  # which of the six pixels of a column have a colour
    for number, row in enumerate(rows):
        letters[row, np.arange(width)] |= ((1 << coarseness) - 1) << (coarseness * number)
    colours = np.flatnonzero(letters.any(axis=1))
    letters = letters[colours]
    of, starts = np.nonzero(np.diff(letters.astype(np.int16), axis=1, prepend=-1))
    bits = letters[of, starts]
    ends = np.where(np.diff(of, append=-1) == 0, np.roll(starts, -1), width)
    drawn = [f"#{colour}" for colour in colours]
    for row, letter, count in zip(of.tolist(), bits.tolist(), ((ends - starts) * coarseness).tolist(), strict=True):
        drawn[row] += _run(chr(63 + letter), count)
    return "$".join(drawn)


def _run(letter: str, count: int) -> str:
    return f"!{count}{letter}" if count > 3 else letter * count


def encode(kind: Kind, pixels: Pixels, box: Box, number: int) -> str:
    """Encode `pixels` as `kind` at the cursor: rows separated by newlines, or one sequence.

    For previews that are replaced soon: sixels are coarse.
    """
    match kind:
        case "kitty":
            return encode_kitty(pixels, box, number)
        case "kitty in tmux":
            return encode_kitty_in_tmux(pixels, box, number)
        case "iterm2":
            return encode_iterm2(pixels, box)
        case "iterm2 in tmux":
            return encode_iterm2_in_tmux(pixels, box)
        case "sixel":
            return encode_sixel(pixels, box, COARSE)
        case "256" | "24-bit":
            return encode_blocks(pixels, box, kind)
        case "none":
            return ""


def encode_lines(kind: Kind, pixels: Pixels, box: Box, number: int) -> str:
    """Encode as lines of text, with the cursor below them afterwards."""
    picture = encode_sixel(pixels, box) if kind == "sixel" else encode(kind, pixels, box, number)
    if kind in ROWS:
        return "".join(f"{row}\x1b[K\n" for row in picture.split("\n"))
    return room(box) + picture + "\n" * box.rows if picture else ""
