"""Record the shell as an animation for the README: `python docs/record.py` writes docs/pictures/shell.gif.

The real program runs in its own terminal; its output is rendered by pyte and Pillow. Waiting is shortened.
"""

import os
import pty
import select
import signal
import struct
import sys
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from tempfile import TemporaryDirectory
from termios import TIOCSWINSZ

import pyte
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "pictures" / "shell.gif"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
COLUMNS, LINES, SIZE = 96, 27, 15
FRAME = 0.12
"""Seconds between two reads of the terminal."""
LONGEST = 1.2
"""Duration of each frame in seconds, except for the last."""
GROUND, INK = "#16181c", "#d8d8d4"
COLOURS = {
    "black": "#2b2d31",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d8d8d4",
}
SCRIPT = (
    (1.5, "a castle on a hill at sunset, painting -s 20 -S 4"),
    (2.5, "\r"),
    ("[1]", "a castle on a hill at night, painting -I -1 -f 0.7 -s 20"),
    (1.0, "\r"),
    ("[2]", "a tree on a hill with a river, painting -I "),
    (0.3, "tree-and-river-sketch.png -W 256 -H 192 -s 20 -S 8"),
    (0.8, "\r"),
    ("[3]", "!fetch -1"),
    (0.8, "\r"),
    (2.5, ""),
)
"""What to wait for (seconds, or text on the screen), and what to type then."""


def main() -> None:
    frames: list[tuple[Image.Image, float]] = []
    screen = pyte.Screen(COLUMNS, LINES)
    font = ImageFont.truetype(FONT, SIZE)
    for seconds in session(screen):
        image = draw(screen, font)
        if frames and frames[-1][0].tobytes() == image.tobytes():
            frames[-1] = (image, min(frames[-1][1] + seconds, LONGEST))
        else:
            frames.append((image, seconds))
    sample = Image.new("RGB", (frames[0][0].width, 8 * frames[0][0].height))
    for index in range(8):  # colours of the whole animation, not of one moment
        sample.paste(frames[index * (len(frames) - 1) // 7][0], (0, index * frames[0][0].height))
    palette = sample.quantize(255)
    shown = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image, _ in frames]
    times = [round(seconds * 1000) for _, seconds in frames[:-1]] + [4000]
    shown[0].save(TARGET, save_all=True, append_images=shown[1:], duration=times, loop=0, optimize=True)
    print(f"{TARGET.relative_to(ROOT)}: {len(frames)} frames, {TARGET.stat().st_size / 1e3:.0f} kB")


def session(screen: pyte.Screen) -> Iterator[float]:
    """Type SCRIPT into the program; yields seconds whenever it is time to look at the `screen`."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "tree-and-river-sketch.png").write_bytes(
            (ROOT / "test-pictures" / "tree-and-river-sketch.png").read_bytes()
        )
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            home = {"HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder, "HF_HUB_OFFLINE": "1"}
            words = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)} | home
            os.execve(sys.executable, [sys.executable, "-m", "invoke", "--preview", "blocks"], os.environ | words)
        ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        stream = pyte.ByteStream(screen)
        try:
            yield from until(terminal, stream, screen, "invoke>")
            for wait, keys in SCRIPT:
                yield from until(terminal, stream, screen, wait)
                for key in keys:
                    os.write(terminal, key.encode())
                    yield from until(terminal, stream, screen, 0.05)
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            os.close(terminal)


def until(terminal: int, stream: pyte.ByteStream, screen: pyte.Screen, goal: str | float) -> Iterator[float]:
    """Read for the given seconds, or until the text is on the screen."""
    began = time.monotonic()
    limit = goal if isinstance(goal, float) else 120.0
    while time.monotonic() - began < limit:
        looked = time.monotonic()
        while (left := min(FRAME, limit) - (time.monotonic() - looked)) > 0:
            if select.select([terminal], [], [], left)[0]:
                stream.feed(os.read(terminal, 65536))
        yield time.monotonic() - looked
        if isinstance(goal, str) and any(goal in line for line in screen.display):
            return


def draw(screen: pyte.Screen, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The screen as a picture; half blocks as exact rectangles."""
    width, height = round(font.getlength("M")), sum(font.getmetrics())
    image = Image.new("RGB", (COLUMNS * width + 16, LINES * height + 16), GROUND)
    pen = ImageDraw.Draw(image)
    for row in range(LINES):
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            ink, ground = colour(cell.fg, INK), colour(cell.bg, GROUND)
            if cell.reverse:
                ink, ground = ground, ink
            x, y = 8 + column * width, 8 + row * height
            if ground != GROUND:
                pen.rectangle((x, y, x + width - 1, y + height - 1), ground)
            if cell.data in {"▀", "▄", "█"}:
                top = y if cell.data != "▄" else y + height // 2
                bottom = y + height - 1 if cell.data != "▀" else y + height // 2 - 1
                pen.rectangle((x, top, x + width - 1, bottom), ink)
            elif cell.data.strip():
                pen.text((x, y), cell.data, ink, font)
    if not screen.cursor.hidden:
        x, y = 8 + screen.cursor.x * width, 8 + screen.cursor.y * height
        pen.rectangle((x, y + height - 3, x + width - 1, y + height - 1), INK)
    return image


def colour(name: str, usual: str) -> str:
    if name == "default":
        return usual
    plain = name.removeprefix("bright")
    return COLOURS.get(plain) or f"#{plain}"


if __name__ == "__main__":
    main()
