"""Pictures as kitty takes them, and Ghostty and others after it.

https://sw.kovidgoyal.net/kitty/graphics-protocol/: a PNG in base64, in chunks of at most 4096 bytes. `C=1` leaves the
cursor where it is, `q=2` forbids the terminal to answer. A picture with the number of another takes its place.
"""

from base64 import b64encode

from invoke.events import Pixels
from invoke.shell.pictures.shape import Box, as_png, room

CHUNK = 4096


def encode_kitty(pixels: Pixels, box: Box, number: int) -> str:
    """`pixels` as picture `number` (1 to 2³²−1) over `box.rows` lines, which are made first where the screen ends."""
    data = b64encode(as_png(pixels, box)).decode("ascii")
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    what = f"a=T,f=100,i={number},p=1,c={box.columns},r={box.rows},C=1,q=2,"
    last = len(chunks) - 1
    parts = [f"{'' if index else what}m={int(index < last)};{chunk}" for index, chunk in enumerate(chunks)]
    return room(box) + "".join(f"\x1b_G{part}\x1b\\" for part in parts) + "\n" * box.rows


def delete_kitty(number: int) -> str:
    """Take picture `number` away: what is written over it would stand on it."""
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"
