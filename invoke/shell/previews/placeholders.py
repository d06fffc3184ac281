"""Pictures of kitty and Ghostty in tmux: the data is passed through, and placeholder characters mark the position.

With `allow-passthrough`, tmux passes on `DCS tmux;` sequences with doubled escapes. It does not know about the
picture, but handles characters normally: U+10EEEE with two combining marks is a cell of a picture, whose number is
encoded in the character's colour and a third mark
(https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders).
"""

PLACEHOLDER = "\U0010eeee"
MARKS = "".join(
    chr(code)
    for first, last in (
        *((0x305, 0x305), (0x30D, 0x30E), (0x310, 0x310), (0x312, 0x312), (0x33D, 0x33F), (0x346, 0x346)),
        *((0x34A, 0x34C), (0x350, 0x352), (0x357, 0x357), (0x35B, 0x35B), (0x363, 0x36F), (0x483, 0x487)),
        *((0x592, 0x595), (0x597, 0x599), (0x59C, 0x5A1), (0x5A8, 0x5A9), (0x5AB, 0x5AC), (0x5AF, 0x5AF)),
        *((0x5C4, 0x5C4), (0x610, 0x617), (0x657, 0x658)),
    )
    for code in range(first, last + 1)
)
"""The combining marks for 0, 1, 2, …: the first part of kitty's list."""
_COLOURS = 255


def passed_through(sequence: str) -> str:
    """Wrap `sequence` for the terminal outside tmux."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def image_number(number: int) -> int:
    """Map `number` to one that a cell can encode: only the lowest byte (1 to 255) and the highest are used."""
    return 1 + number % _COLOURS + (number // _COLOURS % len(MARKS) << 24)


def rows(number: int, columns: int, count: int) -> list[str]:
    """`count` rows of `columns` cells of the picture `number`, one of `image_number`."""
    high = MARKS[number >> 24]
    cells = [
        "".join(f"{PLACEHOLDER}{MARKS[row]}{MARKS[column]}{high}" for column in range(columns)) for row in range(count)
    ]
    return [f"\x1b[38;5;{number & 0xFF}m{row}\x1b[39m" for row in cells]
