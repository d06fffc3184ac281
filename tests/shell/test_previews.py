"""Pictures on a terminal: their encoding, the choice of protocol, and their place."""

import io
import random
import re
from base64 import b64decode
from collections.abc import Mapping
from os import terminal_size

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from invoke.events import Pixels
from invoke.language.launch_options import Preview
from invoke.shell.previews import placeholders, protocols
from invoke.shell.previews.detect import Kind, choose
from invoke.shell.previews.frame import LARGEST, SHOWN, SMALLEST, Frame
from invoke.shell.previews.protocols import Box, fitted
from tests.fakes import a_picture
from tests.shell.fake_screen import FakeScreen

boxes = st.builds(Box, st.integers(1, 32), st.integers(1, 16))


@st.composite
def pixels(draw: st.DrawFn, largest: int = 48) -> Pixels:
    width, height = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    data = draw(st.binary(min_size=3, max_size=60))
    return Pixels(width, height, (data * (3 * width * height))[: 3 * width * height])


def noise(side: int) -> Pixels:
    """A picture that does not compress."""
    return Pixels(side, side, random.Random(0).randbytes(3 * side * side))


# shape


@given(st.integers(1, 9000), st.integers(1, 9000), boxes)
def test_a_picture_keeps_its_proportions_in_the_box(width: int, height: int, largest: Box) -> None:
    box = fitted(Pixels(width, height, b""), largest)
    assert 1 <= box.columns <= largest.columns
    assert 1 <= box.rows <= largest.rows
    if min(box.columns, box.rows) > 1:
        assert abs(box.columns - 2 * box.rows * width / height) <= 1 + width / height


# half blocks


def painted(text: str) -> list[list[tuple[str, str]]]:
    """The colours of each half block, upper and lower, line by line. Nothing else may be there."""
    colour = r"(2;\d+;\d+;\d+|5;\d+)"
    colours = rf"\x1b\[38;{colour};48;{colour}m"
    assert re.fullmatch(rf"((({colours})?▀)+\x1b\[0m\x1b\[K\n)*", text)
    lines = []
    for line in text.splitlines():
        lines.append([])
        upper = lower = ""
        for front, back, half in re.findall(f"{colours}|(▀)", line):
            if half:
                lines[-1].append((upper, lower))
            else:
                upper, lower = front, back
    return lines


@given(pixels(), boxes, st.sampled_from(["256", "24-bit"]))
def test_half_blocks_fill_their_box(picture: Pixels, box: Box, colours: protocols.Colours) -> None:
    lines = painted(protocols.encode_lines(colours, picture, box, 0))
    assert [len(line) for line in lines] == [box.columns] * box.rows


@given(st.integers(1, 12), st.integers(1, 6), st.binary(min_size=3, max_size=90))
def test_24_bit_colours_are_exact(width: int, rows: int, data: bytes) -> None:
    size = 3 * width * 2 * rows
    picture = Pixels(width, 2 * rows, (data * size)[:size])
    lines = painted(protocols.encode_lines("24-bit", picture, Box(width, rows), 0))
    halves = [half for line in lines for index in (0, 1) for half in [cell[index] for cell in line]]
    assert bytes(int(level) for half in halves for level in half.split(";")[1:]) == picture.data


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_256_colours_use_the_nearest(colour: protocols.Colour) -> None:
    def far(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, protocols.shown(number), strict=True))

    assert far(protocols.nearest(colour)) == min(far(number) for number in range(16, 256))


# the protocols


def unpacked(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def room(box: Box) -> str:
    return "\n" * box.rows + f"\x1b[{box.rows}A"


def painted_sixels(text: str) -> tuple[dict[tuple[int, int], int], dict[int, str]]:
    """Colour number of each pixel, and what each colour is: a decoder of its own."""
    body = re.fullmatch(r'\x1b7\x1bP0;1q"1;1;\d+;\d+(.*)\x1b\\\x1b8', text)
    assert body is not None
    palette, painted, x, top, colour = dict[int, str](), dict[tuple[int, int], int](), 0, 0, 0
    for define, number, levels, count, repeated, letter, sign in re.findall(
        r"(#(\d+)(;2;\d+;\d+;\d+)?)|!(\d+)([?-~])|([?-~])|([$-])", body[1]
    ):
        if levels:
            palette[int(number)] = levels
        elif define:
            colour = int(number)
        elif sign:
            x, top = 0, top + 6 * (sign == "-")
        else:
            bits = ord(repeated or letter) - 63
            end = x + int(count or 1)
            painted |= {(column, top + y): colour for column in range(x, end) for y in range(6) if bits >> y & 1}
            x = end
    return painted, palette


@given(pixels(), st.builds(Box, st.integers(1, 6), st.integers(1, 4)), st.sampled_from([1, 2, 3]))
@settings(max_examples=25)
def test_sixels_paint_every_pixel_once(picture: Pixels, box: Box, coarseness: int) -> None:
    painted, palette = painted_sixels(protocols.encode_sixel(picture, box, coarseness))
    width, height = 10 * box.columns // coarseness * coarseness, 20 * box.rows // 6 * 6
    assert set(painted) == {(x, y) for x in range(width) for y in range(height)}
    image = protocols.scaled(picture, width // coarseness, height // coarseness)
    drawn = image.quantize(protocols.COLOURS)
    for (x, y), colour in painted.items():
        assert drawn.getpixel((x // coarseness, y // coarseness)) == colour
    assert set(painted.values()) <= set(palette)


@given(pixels(), boxes, st.integers(1, 2**32 - 1))
def test_kitty_in_tmux_gets_the_same_data_and_placeholder_cells(picture: Pixels, box: Box, number: int) -> None:
    text = protocols.encode_lines("kitty in tmux", picture, box, number)
    whole = re.fullmatch(r"((?:\x1bPtmux;(?:\x1b\x1b|[^\x1b])*\x1b\\)+)(.*)", text, re.DOTALL)
    assert whole is not None
    passed = "".join(re.findall(r"\x1bPtmux;(.*?[^\x1b](?:\x1b\x1b)*)\x1b\\", whole[1], re.DOTALL))
    shown = placeholders.image_number(number)
    plain = protocols.encode_kitty(picture, box, shown).replace(",p=1,", ",U=1,").replace(",C=1,", ",")
    assert passed.replace("\x1b\x1b", "\x1b") == plain
    rows = whole[2].splitlines()
    assert len(rows) == box.rows
    marks = placeholders.MARKS
    for y, row in enumerate(rows):
        cells = "".join(f"\U0010eeee{marks[y]}{marks[x]}{marks[shown >> 24]}" for x in range(box.columns))
        assert row == f"\x1b[38;5;{shown & 255}m{cells}\x1b[39m\x1b[K"
    assert 0 < shown < 2**32
    assert shown & 255


def test_placeholder_diacritics_match_kittys_list() -> None:
    assert len(set(placeholders.MARKS)) == 64
    assert [ord(placeholders.MARKS[index]) for index in (0, 16, 29, 34, 53, 63)] == [
        *(0x305, 0x35B, 0x36F, 0x487, 0x5C4, 0x658)
    ]


@given(pixels(), boxes, st.integers(1, 2**32 - 1))
def test_kitty_gets_a_png_in_chunks(picture: Pixels, box: Box, number: int) -> None:
    text = protocols.encode_lines("kitty", picture, box, number)
    shape = re.escape(room(box)) + r"(?P<parts>(\x1b_G[^;\x1b]*;[A-Za-z0-9+/=]*\x1b\\)+)\n+"
    whole = re.fullmatch(shape, text)
    assert whole is not None
    assert text.endswith("\x1b\\" + "\n" * box.rows)
    keys, chunks = zip(*re.findall(r"\x1b_G(.*?);(.*?)\x1b", whole["parts"]), strict=True)
    assert keys[0].startswith(f"a=T,f=100,i={number},p=1,c={box.columns},r={box.rows},C=1,q=2,m=")
    assert "".join(key[-1] for key in keys) == "1" * (len(keys) - 1) + "0"
    assert all(len(chunk) <= 4096 for chunk in chunks)
    width, height = unpacked(b64decode("".join(chunks)))
    assert (width, height) <= (picture.width, picture.height)


def test_kitty_chunks_of_a_large_picture_mark_the_last() -> None:
    text = protocols.encode_kitty(noise(300), Box(32, 16), 1)
    parts = re.findall(r"\x1b_G(.*?);(.*?)\x1b", text)
    assert len(parts) > 10
    assert [keys for keys, _ in parts[1:]] == ["m=1"] * (len(parts) - 2) + ["m=0"]
    assert {len(chunk) for _, chunk in parts[:-1]} == {4096}
    assert unpacked(b64decode("".join(chunk for _, chunk in parts))) == (300, 300)


@given(pixels(), boxes)
def test_iterm2_gets_a_file_with_its_size(picture: Pixels, box: Box) -> None:
    text = protocols.encode_lines("iterm2", picture, box, 0)
    what = rf"size=(\d+);width={box.columns};height={box.rows};preserveAspectRatio=0"
    shape = re.escape(room(box)) + rf"\x1b7\x1b\]1337;File=inline=1;{what}:([A-Za-z0-9+/=]+)\x07\x1b8\n+"
    found = re.fullmatch(shape, text)
    assert found is not None
    data = b64decode(found[2])
    assert len(data) == int(found[1])
    unpacked(data)
    assert text.endswith("\x1b8" + "\n" * box.rows)


@given(pixels(), boxes)
def test_iterm2_in_tmux_gets_a_file_at_its_first_cell(picture: Pixels, box: Box) -> None:
    text = protocols.encode_lines("iterm2 in tmux", picture, box, 0)
    spaces, passed, after = re.split(r"\x1bPtmux;\x1b(\x1b\]1337;.*?\x07)\x1b\\", text)
    up, down = ("", "") if box.rows == 1 else (f"\x1b[{box.rows - 1}A", f"\x1b[{box.rows - 1}B")
    row = " " * box.columns
    assert spaces == f"{row}\x1b[K\n" * (box.rows - 1) + f"{row}{up}\r\x1b[X"
    assert after == f"{down}\r\x1b[{box.columns}C\x1b[K\n"
    head, data = passed.rstrip("\x07").split(":")
    file = b64decode(data)
    size = f"size={len(file)};width={box.columns};height={box.rows};preserveAspectRatio=0"
    assert head == f"\x1b]1337;File=inline=1;{size}"
    assert file.startswith(b"\xff\xd8\xff")


def test_the_largest_preview_fits_through_tmux() -> None:
    assert len(protocols.encode_iterm2_in_tmux(noise(1024), SHOWN)) < 1 << 20, "it would drop a longer one"


def test_no_more_pixels_are_sent_than_shown() -> None:
    data = re.findall(r":([A-Za-z0-9+/=]+)\x07", protocols.encode_iterm2(noise(600), Box(10, 5)))
    assert unpacked(b64decode(data[0])) == (120, 120)


# which kind


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, "256"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "truecolor"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "256"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230805"}, "sixel"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210800"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "24-bit"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "24-bit"),
        ({"WT_SESSION": "1"}, "24-bit"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x", "KITTY_WINDOW_ID": "1"}, "256"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x", "COLORTERM": "truecolor"}, "24-bit"),
        ({"TERM": "screen", "LC_TERMINAL": "iTerm2"}, "256"),
        ({"TERM": "xterm-kitty", "STY": "1.x"}, "256"),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        ({}, "none"),
    ],
)
def test_the_environment_decides_the_protocol(environment: Mapping[str, str], kind: Kind) -> None:
    assert choose("auto", environment) == kind


@pytest.mark.parametrize(
    ("preview", "kind"), [("off", "none"), ("blocks", "24-bit"), ("kitty", "kitty"), ("iterm2", "iterm2")]
)
def test_a_protocol_given_by_name_is_used(preview: Preview, kind: Kind) -> None:
    assert choose(preview, {"TERM": "xterm-kitty", "COLORTERM": "truecolor", "NO_COLOR": "1"}) == kind


@pytest.mark.parametrize("inside", [{"TERM": "screen-256color", "TMUX": "/tmp/x"}, {"TERM": "tmux-256color"}])
def test_in_tmux_protocols_are_used_only_by_name(inside: Mapping[str, str]) -> None:
    assert choose("auto", {**inside, "KITTY_WINDOW_ID": "1", "LC_TERMINAL": "iTerm2"}) == "256"
    assert choose("kitty", inside) == "kitty in tmux"
    assert choose("iterm2", inside) == "iterm2 in tmux"
    assert choose("sixel", inside) == "sixel"


def test_without_utf8_there_are_no_blocks() -> None:
    assert choose("auto", {"TERM": "xterm-256color"}, "iso-8859-1") == "none"
    assert choose("blocks", {"TERM": "xterm-256color"}, "ANSI_X3.4-1968") == "none"
    assert choose("kitty", {"TERM": "xterm-kitty"}, "iso-8859-1") == "kitty"


# a place on the screen


def frame(fake_screen: FakeScreen, kind: Kind = "24-bit") -> Frame:
    return Frame(fake_screen, kind, lambda: fake_screen.size)


def rows(fake_screen: FakeScreen) -> list[int]:
    """How many half blocks each line of the screen has, lines without any left out."""
    return [line.count("▀") for line in fake_screen.shown if "▀" in line]


def test_a_preview_is_redrawn_in_place_and_stays_when_finished() -> None:
    fake_screen = FakeScreen(columns=80, lines=24)
    fake_screen.write("before\n")
    first = frame(fake_screen)
    for seed in range(5):
        first.show(a_picture(seed))
    first.finish(a_picture(9))
    fake_screen.write("after\n")
    assert fake_screen.shown == ["before", *["▀" * 24] * 12, "after"]
    first.show(a_picture(1))
    first.hide()
    assert fake_screen.shown == ["before", *["▀" * 24] * 12, "after"]


def test_messages_appear_above_the_preview() -> None:
    fake_screen = FakeScreen()
    shown = frame(fake_screen)
    shown.show(a_picture(1))
    shown.hide()
    fake_screen.write("a note\n")
    shown.show_again()
    assert fake_screen.shown[0] == "a note"
    assert len(rows(fake_screen)) == 12


def test_a_message_before_the_first_preview_draws_nothing() -> None:
    fake_screen = FakeScreen()
    shown = frame(fake_screen)
    shown.hide()
    shown.show_again()
    assert fake_screen.shown == [""]


@pytest.mark.parametrize("size", [(SMALLEST.columns - 1, 40), (80, SMALLEST.lines - 1)])
def test_a_small_terminal_shows_no_preview(size: tuple[int, int]) -> None:
    fake_screen = FakeScreen(*size)
    shown = frame(fake_screen)
    shown.show(a_picture(1))
    shown.finish(a_picture(2))
    assert fake_screen.shown == [""]


@pytest.mark.parametrize("lines", [8, 20, 30, 90])
def test_a_preview_takes_at_most_half_of_the_screen(lines: int) -> None:
    fake_screen = FakeScreen(lines=lines)
    frame(fake_screen).show(a_picture(1))
    assert len(rows(fake_screen)) == min(LARGEST.rows, lines // 2)


def test_after_shrinking_the_terminal_the_preview_waits_for_the_result() -> None:
    fake_screen = FakeScreen(columns=80, lines=40)
    shown = frame(fake_screen)
    shown.show(a_picture(1))
    before = fake_screen.shown
    fake_screen.size = terminal_size((60, 40))
    for seed in range(3):
        shown.show(a_picture(seed))
        shown.hide()
    assert fake_screen.shown == before
    shown.finish(a_picture(3))
    assert len(rows(fake_screen)) == 32
    shown.show(a_picture(4))
    assert len(rows(fake_screen)) == 48, "the next one is drawn again"


def test_after_enlarging_the_terminal_the_preview_grows() -> None:
    fake_screen = FakeScreen(columns=80, lines=20)
    shown = frame(fake_screen)
    shown.show(a_picture(1))
    assert rows(fake_screen) == [20] * 10
    fake_screen.size = terminal_size((100, 50))
    shown.show(a_picture(1))
    assert rows(fake_screen) == [32] * 16


def test_kitty_deletes_erased_previews_and_keeps_finished_ones() -> None:
    stream = io.StringIO()
    shown = Frame(stream, "kitty", lambda: terminal_size((80, 24)))
    shown.show(a_picture(1))
    shown.show(a_picture(2))
    shown.finish(a_picture(3))
    shown.show(a_picture(4))
    shown.hide()
    text = stream.getvalue()
    drawn = re.findall(r"a=T,f=100,i=(\d+)", text)
    assert drawn[0] == drawn[1] == drawn[2] != drawn[3]
    assert re.findall(r"a=d,d=I,i=(\d+)", text) == [drawn[3]]


acts = st.lists(
    st.one_of(
        st.sampled_from(["show", "finish", "hide", "again", "say"]),
        st.tuples(st.integers(10, 120), st.integers(4, 60)),
    ),
    max_size=30,
)


@given(acts)
def test_no_message_is_lost_under_any_sequence_of_events(acts: list[str | tuple[int, int]]) -> None:
    fake_screen = FakeScreen(columns=80, lines=24)
    shown, said = frame(fake_screen), 0
    for act in acts:
        match act:
            case "show":
                shown.show(a_picture(1))
            case "finish":
                shown.finish(a_picture(2))
            case "hide":
                shown.hide()
            case "again":
                shown.show_again()
            case "say":
                shown.hide()
                fake_screen.write(f"line {said}\n")
                said += 1
            case (columns, lines):
                fake_screen.size = terminal_size((columns, lines))
    shown.hide()
    assert [line for line in fake_screen.shown if line.startswith("line")] == [
        f"line {number}" for number in range(said)
    ]
