"""Sizes read from file headers agree with Pillow's."""

import os
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from invoke.images import describe
from invoke.images.header_size import picture_size
from tests.line_contexts import PICTURES


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.[pj][np]g")), ids=lambda path: path.name)
def test_header_sizes_of_the_test_pictures_match_pillow(path: Path) -> None:
    facts = describe(path)
    assert picture_size(str(path)) == (facts.width, facts.height)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.gif", {}),
        ("a.bmp", {}),
        ("a.jpg", {}),
        ("progressive.jpg", {"progressive": True}),
        ("lossy.webp", {"quality": 80}),
        ("lossless.webp", {"lossless": True}),
        ("a.avif", {}),
        ("a.tif", {}),
        ("packed.tiff", {"compression": "tiff_lzw"}),
        ("extended.webp", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ],
)
def test_header_sizes_of_every_format_match_pillow(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    Image.new("RGB", (37, 21), "red").save(tmp_path / name, **options)
    assert picture_size(str(tmp_path / name)) == (37, 21)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_sizes_respect_the_exif_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    """With a chunk before the orientation whose length is odd, and even."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / name, exif=exif, icc_profile=b"x" * (100_000 + orientation % 2))
    facts = describe(tmp_path / name)
    assert picture_size(str(tmp_path / name)) == (facts.width, facts.height)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_broken_exif_does_not_swap_the_sides(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / name, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert picture_size(str(tmp_path / name)) == (40, 20)


def test_a_file_that_is_not_a_picture_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "fifo.png")
    for name in ("text.png", "empty.png", "fifo.png", "nowhere.png", ".", "\0"):
        assert picture_size(str(tmp_path / name)) is None


def _heads() -> list[bytes]:
    heads = []
    for kind in ("PNG", "GIF", "BMP", "JPEG", "WEBP", "TIFF"):
        stream = BytesIO()
        Image.new("RGB", (9, 9)).save(stream, kind)
        heads.append(stream.getvalue())
    return heads


@given(st.sampled_from(_heads()), st.integers(0, 40), st.binary(max_size=40))
@example(b"BM" + bytes(16), 18, b"\0\0\0\x80\0\0\0\0")  # a width below 0
def test_damaged_headers_raise_nothing(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, kept: int, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(head[:kept] + rest)
    size = picture_size(str(path))
    assert size is None or (len(size) == 2 and all(type(side) is int and side >= 0 for side in size))
