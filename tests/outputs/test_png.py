"""PNGs of our own: the same pixels and texts when read back, by Pillow and by us."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from invoke.events import Pixels
from invoke.images.png_chunks import SIGNATURE
from invoke.outputs import png

colours = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)), elements=st.integers(0, 255)
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
keywords = st.text("abcXYZ -_", min_size=1, max_size=9).map(lambda word: f"k{word}k")


def pixels(levels: np.ndarray) -> Pixels:
    return Pixels(levels.shape[1], levels.shape[0], levels.tobytes())


@given(colours, st.integers(0, 9))
def test_pixels_are_read_back(levels: np.ndarray, compression: int) -> None:
    with Image.open(BytesIO(png.encode(pixels(levels), compression))) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), levels)


@pytest.mark.parametrize("compression", range(10))
def test_pixels_of_a_large_picture_are_read_back(compression: int) -> None:
    y, x = np.mgrid[0:90, 0:130]
    noise = np.random.default_rng(0).integers(0, 9, (90, 130, 3))
    levels = (np.stack([x, y, x + y], -1) + noise).astype(np.uint8)
    with Image.open(BytesIO(png.encode(pixels(levels), compression))) as image:
        assert np.array_equal(np.asarray(image), levels)


few = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)), elements=st.sampled_from([0, 1, 2, 128, 255])
)
"""Pictures of few levels: the predictors of Paeth's filter are often equally far."""


@settings(max_examples=200)
@given(st.one_of(few, colours))
def test_rows_are_filtered_as_the_specification_says(levels: np.ndarray) -> None:
    """Each row by the filter that leaves least, of equal ones the first; unfiltered byte by byte they are the rows."""
    rows = levels.reshape(levels.shape[0], -1)
    size = rows.shape[1] + 1
    data = png._adaptive_rows(rows)
    before = [0] * rows.shape[1]
    for index, row in enumerate(rows.tolist()):
        kind, *filtered = data[index * size : (index + 1) * size]
        left = [0, 0, 0, *row[:-3]]
        corner = [0, 0, 0, *before[:-3]]
        options = [
            [
                (byte - _predicted(number, a, b, c)) % 256
                for byte, a, b, c in zip(row, left, before, corner, strict=True)
            ]
            for number in range(5)
        ]
        costs = [sum(min(byte, 256 - byte) for byte in option) for option in options]
        assert filtered == options[kind]
        assert kind == costs.index(min(costs))
        before = row


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    """PNG specification, 9.2 and 9.4: of Paeth's three, the nearest to left + up - corner; left before up before it."""
    near = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
    return [0, left, up, (left + up) // 2, near][kind]


def test_the_fast_filter_stores_differences() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (4, 9)).astype(np.uint8)
    data = np.frombuffer(png._filtered_rows(rows, 2), np.uint8).reshape(4, 10)
    assert (data[:, 0] == 2).all()
    assert np.array_equal(np.cumsum(data[:, 1:], axis=0, dtype=np.uint8), rows)
    stored = np.frombuffer(png._filtered_rows(rows, 0), np.uint8).reshape(4, 10)
    assert (stored[:, 0] == 0).all()
    assert np.array_equal(stored[:, 1:], rows)


@pytest.mark.parametrize(("compression", "kinds"), [(0, {0}), (1, {2}), (6, {2}), (7, {1, 2, 3, 4}), (9, {1, 2, 3, 4})])
def test_rows_have_filters_of_their_own_above_compression_6(compression: int, kinds: set[int]) -> None:
    """At 0 none, and up to 6 all that of the row above, which is quick."""
    random = np.random.default_rng(0)
    across = np.arange(0, 192, 3, dtype=np.uint8) + random.integers(0, 256, (32, 1), np.uint8)
    down = np.repeat(random.integers(0, 256, (1, 64), np.uint8), 32, axis=0)
    levels = np.concatenate([across, down])[..., None].repeat(3, axis=2)
    rows = zlib.decompress(png._packed(pixels(levels), compression))
    assert {rows[at] for at in range(0, len(rows), 1 + 3 * 64)} == kinds


def test_a_higher_compression_gives_a_smaller_file() -> None:
    y, x = np.mgrid[0:128, 0:128]
    levels = np.stack([x * y // 64, x + y, np.abs(x - y)], -1).astype(np.uint8)
    sizes = [len(png.encode(pixels(levels), compression)) for compression in range(10)]
    assert sizes[0] > 128 * 128 * 3
    assert sizes[1] >= sizes[6] >= sizes[7] >= sizes[9]
    assert sizes[6] < sizes[0] / 2
    assert sizes[9] < sizes[6], "the smallest of three ways"


@given(st.dictionaries(keywords, texts, max_size=4))
def test_text_chunks_are_read_back(said: dict[str, str]) -> None:
    data = png.encode(Pixels(1, 1, b"abc"), 6, said.items())
    assert png.texts(data) == said
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text == said


@given(st.dictionaries(keywords, texts, max_size=4), st.booleans())
def test_text_chunks_of_other_programs_are_read(said: dict[str, str], packed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    for keyword, text in said.items():
        info.add_text(keyword, text, zip=packed)
    file = BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG", pnginfo=info)
    assert png.texts(file.getvalue()) == said


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_gives_the_readable_text_chunks(damage: list[tuple[int, int]]) -> None:
    arguments = {"a": "one", "b": "zwei, drei é", "c": "火"}
    data = bytearray(png.encode(Pixels(2, 2, bytes(12)), 6, arguments.items()))
    for place, byte in damage:
        data[place % len(data)] = byte
    assert png.texts(bytes(data)).items() <= arguments.items()


def test_a_file_that_is_not_a_png_has_no_text_chunks() -> None:
    assert png.texts(b"") == png.texts(b"GIF89a") == png.texts(SIGNATURE) == {}


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_bomb_is_left_out(kind: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    head = b"bomb\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    chunk = png._chunk(kind, head + bomb) + png._chunk(b"tEXt", b"a\0b")
    assert png.texts(SIGNATURE + chunk * 3) == {"a": "b"}


def test_large_text_chunks_are_left_out() -> None:
    large = png.encode(Pixels(1, 1, b"abc"), 6, [("large", "x" * (png.LARGEST_TEXT + 1)), ("a", "b")])
    assert png.texts(large) == {"a": "b"}
    many = [(f"k{number}", "x" * 900_000) for number in range(20)]
    assert len(png.texts(png.encode(Pixels(1, 1, b"abc"), 6, many))) == 4


def test_characters_that_a_chunk_cannot_hold_are_replaced() -> None:
    found = png.texts(png.encode(Pixels(1, 1, b"abc"), 6, [("a", "x\0y"), ("b", "caf\udce9")]))
    assert found == {"a": "x\ufffdy", "b": r"caf\udce9"}
