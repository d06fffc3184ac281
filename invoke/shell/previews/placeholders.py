"""Pictures of kitty and Ghostty inside tmux: the data pass through it, and letters stand where the picture is.

tmux hands on what comes as `DCS tmux;` with each escape doubled, where `allow-passthrough` is on. It does not know
where a picture is, but it moves letters as ever: U+10EEEE with two combining marks is a cell of a picture, whose
number is the colour of the letter and a third mark
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
"""The combining marks that stand for 0, 1, 2 …: kitty's list, as far as our pictures need it."""
_COLOURS = 255


def passed_through(sequence: str) -> str:
    """`sequence` for the terminal that tmux runs in."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def image_number(number: int) -> int:
    """A number that a cell can say, for any `number`: of its bytes the lowest, 1 to 255, and the highest are used."""
    return 1 + number % _COLOURS + (number // _COLOURS % len(MARKS) << 24)


def rows(number: int, columns: int, count: int) -> list[str]:
    """`count` rows of `columns` cells of the picture `number`, one of `image_number`."""
    high = MARKS[number >> 24]
    cells = [
        "".join(f"{PLACEHOLDER}{MARKS[row]}{MARKS[column]}{high}" for column in range(columns)) for row in range(count)
    ]
    return [f"\x1b[38;5;{number & 0xFF}m{row}\x1b[39m" for row in cells]
