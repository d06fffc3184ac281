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
from invoke.outputs import png

colours = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)), elements=st.integers(0, 255)
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
keywords = st.text("abcXYZ -_", min_size=1, max_size=9).map(lambda word: f"k{word}k")


def pixels(levels: np.ndarray) -> Pixels:
    return Pixels(levels.shape[1], levels.shape[0], levels.tobytes())


@given(colours, st.integers(0, 9))
def test_the_pixels_are_the_same(levels: np.ndarray, compression: int) -> None:
    with Image.open(BytesIO(png.encode(pixels(levels), compression))) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), levels)


@pytest.mark.parametrize("compression", range(10))
def test_a_larger_picture(compression: int) -> None:
    y, x = np.mgrid[0:90, 0:130]
    noise = np.random.default_rng(0).integers(0, 9, (90, 130, 3))
    levels = (np.stack([x, y, x + y], -1) + noise).astype(np.uint8)
    with Image.open(BytesIO(png.encode(pixels(levels), compression))) as image:
        assert np.array_equal(np.asarray(image), levels)


def test_more_compression_is_smaller() -> None:
    y, x = np.mgrid[0:128, 0:128]
    levels = np.stack([x * y // 64, x + y, np.abs(x - y)], -1).astype(np.uint8)
    stored, fast, small = (len(png.encode(pixels(levels), compression)) for compression in (0, 6, 9))
    assert small <= fast < stored / 2


@given(st.dictionaries(keywords, texts, max_size=4))
def test_texts_are_read_as_they_were_written(said: dict[str, str]) -> None:
    data = png.encode(Pixels(1, 1, b"abc"), 6, said.items())
    assert png.texts(data) == said
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text == said


@given(st.dictionaries(keywords, texts, max_size=4), st.booleans())
def test_texts_of_others_are_read(said: dict[str, str], packed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    for keyword, text in said.items():
        info.add_text(keyword, text, zip=packed)
    file = BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG", pnginfo=info)
    assert png.texts(file.getvalue()) == said


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_gives_fewer_texts_and_no_error(damage: list[tuple[int, int]]) -> None:
    said = {"a": "one", "b": "zwei, drei é", "c": "火"}
    data = bytearray(png.encode(Pixels(2, 2, bytes(12)), 6, said.items()))
    for place, byte in damage:
        data[place % len(data)] = byte
    assert png.texts(bytes(data)).items() <= said.items()


def test_what_is_no_text_of_ours() -> None:
    assert png.texts(b"") == png.texts(b"GIF89a") == png.texts(png.SIGNATURE) == {}


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_bomb_is_left_out(kind: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    head = b"bomb\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    chunk = png._chunk(kind, head + bomb) + png._chunk(b"tEXt", b"a\0b")
    assert png.texts(png.SIGNATURE + chunk * 3) == {"a": "b"}


def test_large_texts_are_left_out() -> None:
    large = png.encode(Pixels(1, 1, b"abc"), 6, [("large", "x" * (png.LARGEST_TEXT + 1)), ("a", "b")])
    assert png.texts(large) == {"a": "b"}
    many = [(f"k{number}", "x" * 900_000) for number in range(20)]
    assert len(png.texts(png.encode(Pixels(1, 1, b"abc"), 6, many))) == 4


def test_what_no_chunk_can_hold_is_replaced() -> None:
    found = png.texts(png.encode(Pixels(1, 1, b"abc"), 6, [("a", "x\0y"), ("b", "caf\udce9")]))
    assert found == {"a": "x\ufffdy", "b": r"caf\udce9"}
