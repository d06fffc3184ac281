"""Pictures as iTerm2 takes them, and WezTerm, mintty and others after it (https://iterm2.com/documentation-images.html)."""

from base64 import b64encode

from invoke.events import Pixels
from invoke.shell.pictures.shape import Box, as_png, room


def encode_iterm2(pixels: Pixels, box: Box) -> str:
    """`pixels` over `box.rows` lines, which are made first where the screen ends.

    Where the cursor goes behind a picture differs between terminals, so it is put back to where it was.
    """
    file = as_png(pixels, box)
    size = f"size={len(file)};width={box.columns};height={box.rows};preserveAspectRatio=0"
    picture = f"\x1b]1337;File=inline=1;{size}:{b64encode(file).decode('ascii')}\x07"
    return f"{room(box)}\x1b7{picture}\x1b8" + "\n" * box.rows
