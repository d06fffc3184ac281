"""Opening all kinds of picture files, and the geometry of -W, -H and --fit."""

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from invoke.errors import PictureError
from invoke.images import decode, describe, open_picture, prepare, target_size

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))
"""64 × 16, dark to light."""

sides = st.integers(8, 3000)
multiples = st.sampled_from([4, 8, 16, 64])
asked = st.one_of(st.none(), st.integers(1, 40).map(lambda n: 64 * n))


def save(path: Path, image: Image.Image, kind: str = "PNG", **options: object) -> Path:
    image.save(path, kind, **options)  # type: ignore[arg-type]
    return path


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bytes(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, depth, colour, 0, 0, 0))
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + end


# geometry


@given(st.tuples(sides, sides), asked, asked, st.booleans(), multiples)
def test_the_target_size_is_a_positive_multiple(
    size: tuple[int, int], asked_width: int | None, asked_height: int | None, fit: bool, multiple: int
) -> None:
    target = target_size(*size, asked_width=asked_width, asked_height=asked_height, fit=fit, multiple=multiple)
    assert all(side >= multiple and side % multiple == 0 for side in target)


@given(sides, sides, asked, asked, multiples)
def test_fitting_a_size_twice_changes_nothing(
    width: int, height: int, asked_width: int | None, asked_height: int | None, multiple: int
) -> None:
    def fitted(size: tuple[int, int]) -> tuple[int, int]:
        return target_size(*size, asked_width=asked_width, asked_height=asked_height, fit=True, multiple=multiple)

    target = fitted((width, height))
    assert fitted(target) == target
    for side, own, limit in zip(target, (width, height), (asked_width, asked_height), strict=True):
        assert side <= max(multiple, min(own, limit or own))


@given(sides, sides, multiples)
def test_without_a_wanted_size_less_than_one_multiple_is_cropped(width: int, height: int, multiple: int) -> None:
    target = target_size(width, height, asked_width=None, asked_height=None, fit=False, multiple=multiple)
    for side, own in zip(target, (width, height), strict=True):
        assert own - multiple < side <= max(own, multiple)


@pytest.mark.parametrize(
    ("size", "box", "fit", "expected"),
    [
        ((800, 600), (384, 384), False, (384, 384)),
        ((800, 600), (384, 384), True, (384, 288)),
        ((800, 600), (None, None), False, (800, 600)),
        ((801, 603), (None, None), False, (800, 600)),
        ((801, 603), (None, None), True, (800, 600)),
        ((800, 600), (400, None), False, (400, 304)),
        ((800, 600), (None, 300), False, (400, 300)),
        ((800, 600), (400, None), True, (400, 296)),
        ((800, 600), (None, 4000), True, (800, 600)),
        ((300, 200), (512, 512), True, (296, 200)),
        ((1920, 1080), (512, 512), True, (512, 288)),
        ((1000, 10), (100, 100), True, (96, 8)),
        ((511, 511), (None, None), False, (504, 504)),
    ],
)
def test_target_sizes_for_width_height_and_fit(
    size: tuple[int, int], box: tuple[int | None, int | None], fit: bool, expected: tuple[int, int]
) -> None:
    multiple = 4 if expected == (400, 300) else 8
    assert target_size(*size, asked_width=box[0], asked_height=box[1], fit=fit, multiple=multiple) == expected


small = st.integers(8, 70)


@given(small, small, small, small, st.sampled_from(["RGB", "L"]))
def test_prepare_gives_the_requested_size(width: int, height: int, to_width: int, to_height: int, mode: str) -> None:
    made = prepare(Image.new(mode, (width, height), 200 if mode == "L" else (1, 2, 3)), to_width, to_height)
    assert (made.size, made.mode) == ((to_width, to_height), mode)
    assert len(set(made.getdata() if mode == "L" else made.getchannel("B").getdata())) == 1


@given(small, small, small, small, st.integers(0, 2**32 - 1))
def test_a_picture_and_its_mask_stay_aligned(width: int, height: int, to_width: int, to_height: int, seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    mask = Image.fromarray(levels)
    picture = Image.merge("RGB", (mask, mask, mask))
    prepared = prepare(picture, to_width, to_height)
    assert {prepare(mask, to_width, to_height).tobytes()} == {channel.tobytes() for channel in prepared.split()}


def test_prepare_leaves_a_picture_of_the_right_size_unchanged() -> None:
    image = Image.fromarray(RAMP)
    assert prepare(image, 64, 16) is image


@given(st.integers(0, 15), st.integers(0, 15))
def test_a_small_excess_is_cropped_centrally_and_never_scaled(spare_x: int, spare_y: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (16 + spare_y, 64 + spare_x), dtype=np.uint8)
    left, top = spare_x // 2, spare_y // 2
    made = prepare(Image.fromarray(levels), 64, 16)
    assert np.array_equal(np.asarray(made), levels[top : top + 16, left : left + 64])


def half_hidden(hidden: int, side: int = 96) -> tuple[Image.Image, Image.Image]:
    """A grey of 200 whose right third is transparent, with another colour under it; and its transparency."""
    image, alpha = Image.new("RGB", (side, side), (200, 200, 200)), Image.new("L", (side, side), 255)
    image.paste((hidden,) * 3, (2 * side // 3, 0, side, side))
    alpha.paste(0, (2 * side // 3, 0, side, side))
    return image, alpha


@given(st.integers(0, 255), st.integers(20, 95), st.integers(20, 95))
def test_scaling_does_not_mix_in_hidden_colours(hidden: int, width: int, height: int) -> None:
    image, alpha = half_hidden(hidden)
    made, seen = (np.asarray(each) for each in (prepare(image, width, height, alpha), prepare(alpha, width, height)))
    assert (made[seen >= 72] == 200).all()
    assert np.abs(made[seen == 0].astype(int) - hidden).max(initial=0) <= 30
    scaled = max(width, height)
    edge = 2 * scaled / 3 - (scaled - width) / 2  # scaled to cover, then cut in the middle
    if edge + 3 <= width - 5:  # no further than Lanczos reaches
        assert (made[:, -5:] == hidden).all()


def test_scaling_without_transparency_mixes_in_hidden_colours() -> None:
    image, alpha = half_hidden(0)
    made, seen = np.asarray(prepare(image, 50, 50)), np.asarray(prepare(alpha, 50, 50))
    assert np.abs(made[seen == 255].astype(int) - 200).max() > 3


@given(st.integers(0, 2**32 - 1))
def test_opaque_pixels_far_from_the_rim_are_scaled_as_without_a_hole(seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    image, alpha = Image.fromarray(levels), Image.new("L", (60, 60), 255)
    alpha.paste(0, (0, 0, 20, 60))
    made, plain = (np.asarray(prepare(image, 40, 40, each)) for each in (alpha, None))
    assert np.array_equal(made[:, 18:], plain[:, 18:])
    assert np.array_equal(made[:, :10], plain[:, :10])


# the zoo of modes


def deep(levels: np.ndarray) -> Image.Image:
    return Image.fromarray((levels.astype(np.uint16) * 257).astype(np.uint16))


def lab(image: Image.Image) -> Image.Image:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(image.convert("RGB"), to_lab)
    assert converted is not None
    return converted


ZOO: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "L.png": ("PNG", lambda grey: grey),
    "LA.png": ("PNG", lambda grey: grey.convert("LA")),
    "P.png": ("PNG", lambda grey: grey.convert("P")),
    "RGB.png": ("PNG", lambda grey: grey.convert("RGB")),
    "RGBA.png": ("PNG", lambda grey: grey.convert("RGBA")),
    "I16.png": ("PNG", lambda grey: deep(np.asarray(grey))),
    "I16.tif": ("TIFF", lambda grey: deep(np.asarray(grey))),
    "RGB.jpg": ("JPEG", lambda grey: grey.convert("RGB")),
    "L.jpg": ("JPEG", lambda grey: grey),
    "CMYK.jpg": ("JPEG", lambda grey: grey.convert("RGB").convert("CMYK")),
    "CMYK.tif": ("TIFF", lambda grey: grey.convert("RGB").convert("CMYK")),
    "LAB.tif": ("TIFF", lab),
    "RGBA.webp": ("WEBP", lambda grey: grey.convert("RGBA")),
    "RGB.webp": ("WEBP", lambda grey: grey.convert("RGB")),
    "P.gif": ("GIF", lambda grey: grey),
    "RGB.bmp": ("BMP", lambda grey: grey.convert("RGB")),
    "RGBA.tif": ("TIFF", lambda grey: grey.convert("RGBA")),
}


@pytest.mark.parametrize("name", ZOO)
def test_every_image_mode_gives_the_same_ramp(tmp_path: Path, name: str) -> None:
    kind, made_from = ZOO[name]
    path = save(tmp_path / name, made_from(Image.fromarray(RAMP)), kind)
    picture = open_picture(path)
    assert (picture.image.mode, picture.width, picture.height, picture.alpha) == ("RGB", 64, 16, None)
    error = np.asarray(picture.image.convert("L")).astype(int) - RAMP
    assert np.abs(error).mean() <= 3


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    path = save(tmp_path / "one.png", Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE))
    assert open_picture(path).image.getextrema() == ((0, 255),) * 3


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    levels = np.full((8, 40), 65535, np.uint16)
    levels[:, :4] = [0, 512, 1002, 33290]
    path = save(tmp_path / "deep.png", Image.fromarray(levels))
    assert [open_picture(path).image.getpixel((x, 0))[0] for x in range(5)] == [0, 1, 3, 129, 255]  # type: ignore[index]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_float_pictures_without_a_white_level_are_refused(tmp_path: Path, dtype: type) -> None:
    path = save(tmp_path / "x.tif", Image.fromarray(RAMP.astype(dtype)), "TIFF")
    with pytest.raises(PictureError, match="black and white are undefined") as caught:
        open_picture(path)
    assert (caught.value.code, bool(caught.value.hint)) == ("picture_unsupported", True)


# colour profiles


def profile(kind: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()  # type: ignore[arg-type]


def swapped_profile() -> bytes:
    """An sRGB profile with red and green primaries exchanged."""
    data = profile("sRGB")
    count = int.from_bytes(data[128:132], "big")
    table = {data[132 + 12 * i : 136 + 12 * i]: 132 + 12 * i for i in range(count)}
    changed = bytearray(data)
    for one, other in ((b"rXYZ", b"gXYZ"), (b"gXYZ", b"rXYZ")):
        at = table[other]
        changed[table[one] + 4 : table[one] + 12] = data[at + 4 : at + 12]
    return bytes(changed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_colours_with_a_profile_are_converted_with_a_note(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "x", Image.new("RGB", (16, 16), (250, 10, 10)), kind, icc_profile=swapped_profile())
    picture = open_picture(path)
    red, green, blue = picture.image.getpixel((5, 5))  # type: ignore[misc]
    assert green > 230
    assert max(red, blue) < 40
    assert describe(path).notes == picture.notes == ("colours converted from sRGB built-in to sRGB",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_an_srgb_profile_changes_nothing(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RAMP).convert(mode)
    plain = open_picture(save(tmp_path / "plain.png", image))
    tagged = open_picture(save(tmp_path / "tagged.png", image, icc_profile=profile("sRGB")))
    assert (tagged.image.tobytes(), tagged.notes) == (plain.image.tobytes(), ())


def test_transparency_and_orientation_are_kept_with_a_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = open_picture(save(tmp_path / "x.png", holed(), exif=exif, icc_profile=swapped_profile()))
    assert picture.alpha is not None
    assert (picture.image.size, picture.alpha.getpixel((15, 0))) == ((16, 32), 0)
    assert picture.image.getpixel((0, 31))[1] > 150  # type: ignore[index]


@pytest.mark.parametrize("data", [b"no profile", profile("sRGB")[:200], b"\0" * (5 * 2**20)])
def test_a_damaged_profile_is_ignored_with_a_note(tmp_path: Path, data: bytes) -> None:
    path = save(tmp_path / "x.tif", Image.fromarray(RAMP), "TIFF", icc_profile=data)
    picture = open_picture(path)
    assert picture.image.getchannel("R").tobytes() == RAMP.tobytes()
    assert picture.notes == ("its colour profile is damaged and is not used",)


def test_a_profile_for_other_pixels_is_ignored(tmp_path: Path) -> None:
    path = save(tmp_path / "x.tif", Image.fromarray(RAMP), "TIFF", icc_profile=profile("LAB"))
    (note,) = open_picture(path).notes
    assert note.endswith("is wrong (for L*a*b* pictures, but this one is grey) and is not used")


# transparency


def holed(alpha_in_hole: int = 0, colour: tuple[int, int, int] = (9, 8, 7)) -> Image.Image:
    """Red, with a hole of a quarter of the picture whose hidden colour is `colour`."""
    image = Image.new("RGBA", (32, 16), (200, 0, 0, 255))
    image.paste((*colour, alpha_in_hole), (0, 0, 16, 8))
    return image


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")])
def test_hidden_colours_are_kept_when_reading(tmp_path: Path, name: str, kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    picture = open_picture(save(tmp_path / name, holed(), kind, **options))
    assert picture.image.getpixel((0, 0)) == (9, 8, 7)
    assert picture.alpha is not None
    assert (picture.alpha.getpixel((0, 0)), picture.alpha.getpixel((31, 15))) == (0, 255)


@pytest.mark.parametrize(
    ("colour", "depth", "levels", "shown"),
    [
        (0, 8, (7, 90), (7, 90)),
        (0, 2, (1, 3), (85, 255)),
        (0, 1, (1, 0), (255, 0)),
        (0, 1, (0, 1), (0, 255)),
        (0, 16, (513, 5140), (1, 20)),
        (2, 8, (5, 6), (5, 6)),
        (2, 16, (0x0507, 0x0609), (5, 6)),
    ],
)
def test_a_transparent_level_in_png_is_read(
    tmp_path: Path, colour: int, depth: int, levels: tuple[int, int], shown: tuple[int, int]
) -> None:
    """PNG's tRNS chunk: a picture of two colours, of which the first is transparent."""
    clear, other = ([level] * (3 if colour else 1) for level in levels)
    bits = "".join(f"{level:0{depth}b}" for level in clear * 4 + other * 4)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    transparent = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    path = tmp_path / "t.png"
    path.write_bytes(png_bytes(8, 8, depth, colour, (b"\0" + packed) * 8, transparent))
    picture = open_picture(path)
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == (bytes(4) + b"\xff" * 4) * 8
    assert picture.image.getchannel("G").tobytes() == bytes([shown[0]] * 4 + [shown[1]] * 4) * 8


@pytest.mark.parametrize("transparency", [1, bytes([255, 0]), bytes([255, 128])])
def test_a_palette_with_transparency_is_read(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (0, 0, 8, 16))
    picture = open_picture(save(tmp_path / "p.png", image, transparency=transparency))
    assert picture.alpha is not None
    assert picture.alpha.getpixel((0, 0)) == (128 if transparency == bytes([255, 128]) else 0)
    assert (picture.image.getpixel((0, 0)), picture.alpha.getpixel((15, 0))) == ((40, 50, 60), 255)


def test_an_opaque_alpha_channel_is_dropped(tmp_path: Path) -> None:
    assert open_picture(save(tmp_path / "a.png", holed(255))).alpha is None


def test_describe_gives_size_and_transparent_share(tmp_path: Path) -> None:
    clear, soft, whole = (describe(save(tmp_path / f"{alpha}.png", holed(alpha))) for alpha in (0, 128, 255))
    assert (clear.width, clear.height) == (32, 16)
    shares = [facts.transparent for facts in (clear, soft, whole)]
    assert shares == pytest.approx([0.25, 0.25 * 127 / 255, 0.0])
    assert [facts.has_hole for facts in (clear, soft, whole)] == [True, True, False]


def test_facts_are_cached_until_the_file_changes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", holed())
    first = describe(path)
    assert all(describe(path) is first for _ in range(1000))
    save(path, holed(255))
    assert describe(path).transparent == 0


def test_refusals_are_cached_but_raised_as_new_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(half("PNG"))
    errors = []
    for _ in range(2):
        with pytest.raises(PictureError, match="is damaged") as caught:
            describe(path)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    save(path, holed())
    assert describe(path).width == 32


# masks


@pytest.mark.parametrize(
    ("mask", "left", "right"),
    [
        (Image.fromarray(np.repeat([[0, 255]], 8, 1).repeat(8, 0).astype(np.uint8)), 0, 255),
        (Image.fromarray(np.repeat([[False, True]], 8, 1).repeat(8, 0)), 0, 255),
        (holed().crop((0, 0, 32, 8)), 0, 255),
        (holed(255, (0, 0, 0)).crop((0, 0, 32, 8)), 0, 60),
        (holed(0).crop((0, 0, 16, 8)), 8, 8),
    ],
)
def test_masks_use_transparency_or_brightness(tmp_path: Path, mask: Image.Image, left: int, right: int) -> None:
    """The mask is the alpha channel if it varies, otherwise the luminance."""
    read = open_picture(save(tmp_path / "m.png", mask)).as_mask
    assert (read.mode, read.getpixel((0, 0)), read.getpixel((read.width - 1, 0))) == ("L", left, right)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_greys_and_transparency_are_read_as_mask_and_as_strengths(
    tmp_path_factory: pytest.TempPathFactory, seed: int, has_alpha: bool
) -> None:
    draw = np.random.default_rng(seed)
    grey, alpha = draw.integers(0, 256, (2, 9, 12)).astype(np.uint8)
    image = Image.fromarray(np.dstack([grey, alpha]), "LA") if has_alpha else Image.fromarray(grey)
    picture = open_picture(save(tmp_path_factory.getbasetemp() / "grey.png", image))
    seen = np.where(alpha >= 250, 255, alpha).astype(int) if has_alpha else np.full_like(grey, 255).astype(int)
    kept = seen if has_alpha else grey
    assert np.array_equal(np.asarray(picture.as_mask), kept)
    assert picture.mask_share == pytest.approx(1 - kept.mean() / 255)
    assert np.abs(np.asarray(picture.as_map) - grey * (seen / 255)).max() <= 1
    white = grey * (seen / 255) + 255 - seen
    assert np.abs(np.asarray(picture.on_white)[..., 1] - white).max() <= 1


# orientation and frames


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """A picture whose top left corner alone is white, stored under each orientation."""
    stored_as = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    upright = Image.new("RGB", (48, 32))
    upright.paste((255, 255, 255), (0, 0, 16, 16))
    stored = upright
    for turn in stored_as[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x", stored, kind, exif=exif)
    picture = open_picture(path)
    assert (picture.width, picture.height) == (48, 32)
    assert picture.image.getpixel((4, 4)) > (200, 200, 200)  # type: ignore[operator]
    assert picture.image.getpixel((40, 28)) < (50, 50, 50)  # type: ignore[operator]
    assert (describe(path).width, describe(path).height) == (48, 32)


def test_transparency_is_rotated_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = open_picture(save(tmp_path / "x.png", holed(), exif=exif))
    assert picture.alpha is not None
    assert picture.alpha.size == picture.image.size == (16, 32)
    assert (picture.alpha.getpixel((15, 0)), picture.alpha.getpixel((0, 31))) == (0, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_read_with_a_note(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), (level, 0, 0)) for level in (250, 100, 50)]
    path = save(tmp_path / "x", frames[0], kind, save_all=True, append_images=frames[1:])
    picture = open_picture(path)
    assert picture.notes == describe(path).notes == ("first of 3 frames",)
    assert picture.image.getpixel((5, 5))[0] > 240  # type: ignore[index]


def test_a_tiff_of_many_pages_is_not_walked(tmp_path: Path) -> None:
    """Each page is another look at the same pixels; Pillow's own count takes the square of their number."""
    pages = 60_000
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64)]
    rows = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    ends = range(72 + len(rows) + 4, 72 + (pages + 1) * (len(rows) + 4), len(rows) + 4)
    data = b"II*\0" + struct.pack("<I", 72) + bytes(64)
    data += b"".join(rows + struct.pack("<I", end * (end < ends[-1])) for end in ends)
    assert decode("x.tif", data).notes == ("first of several frames",)


@pytest.mark.parametrize("limit", [10, 2**21])
def test_frames_of_a_large_gif_are_not_counted(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.images.opening.LARGEST_COUNTED", limit)
    out = BytesIO()
    frames = [Image.new("RGB", (16, 16), (level, 0, 0)) for level in (250, 100)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert decode("x.gif", out.getvalue()).notes == ("first of several frames" if limit == 10 else "first of 2 frames",)


# files that are refused


def test_a_png_of_very_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.images.png_chunks.MOST_CHUNKS", 100)
    out = BytesIO()
    Image.new("RGB", (16, 16)).save(out, "PNG")
    data = out.getvalue()
    decode("x.png", data[:33] + chunk(b"tEXt", b"a\0b") * 97 + data[33:])
    with pytest.raises(PictureError, match=r"too large: it has more than .* chunks"):
        decode("x.png", data[:33] + chunk(b"tEXt", b"a\0b") * 98 + data[33:])


def header_only(width: int, height: int) -> bytes:
    return png_bytes(width, height, 8, 2, b"")


def bomb() -> bytes:
    return png_bytes(9400, 9400, 1, 0, bytes(1176 * 9400))


def half(kind: str) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


REFUSED = {
    "empty": (b"", "is empty", "picture_unreadable"),
    "text": (b"no picture, but a note", "not a readable picture", "picture_unreadable"),
    "eps": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "PostScript, which cannot be read",
        "picture_unreadable",
    ),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which cannot be read", "picture_unreadable"),
    "pnm": (b"P6 16 16 255\n" + bytes(768), "PPM, which cannot be read", "picture_unreadable"),
    "signature": (b"\x89PNG\r\n\x1a\n", "this PNG is damaged", "picture_unreadable"),
    "half a PNG": (half("PNG"), "is damaged", "picture_unreadable"),
    "half a JPEG": (half("JPEG"), "is damaged", "picture_unreadable"),
    "half a WebP": (half("WEBP"), "is damaged", "picture_unreadable"),
    "huge header": (header_only(60000, 60000), "too large", "picture_too_large"),
    "largest header": (header_only(2**31 - 1, 2**31 - 1), "too large", "picture_too_large"),
    "warned header": (header_only(12000, 12000), "12000×12000 pixels", "picture_too_large"),
    "bomb": (bomb(), "9400×9400 pixels", "picture_too_large"),
    "flat": (png_bytes(1, 60000, 8, 0, bytes(120000)), "too few", "picture_too_small"),
    "tiny": (png_bytes(7, 9, 8, 0, bytes(72)), "7×9 pixels are too few", "picture_too_small"),
    "no width": (header_only(0, 16), "this PNG is damaged", "picture_unreadable"),
}


@pytest.mark.parametrize(("size", "code"), [(2**28, "picture_unreadable"), (2**28 + 1, "picture_too_large")])
def test_a_file_has_at_most_256_megabytes(tmp_path: Path, size: int, code: str) -> None:
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(size)  # with nothing on the disk
    for look in (open_picture, describe):
        with pytest.raises(PictureError) as caught:
            look(tmp_path / "x.png")
        assert caught.value.code == code


@pytest.mark.parametrize("name", REFUSED)
def test_unreadable_files_are_refused(tmp_path: Path, name: str) -> None:
    data, said, code = REFUSED[name]
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=said) as caught:
        open_picture(path)
    assert caught.value.code == code
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message


def test_a_missing_picture_suggests_a_similar_name(tmp_path: Path) -> None:
    save(tmp_path / "harbour.png", holed())
    for look in (open_picture, describe):
        with pytest.raises(PictureError, match="no such picture") as caught:
            look(tmp_path / "harbor.png")
        assert caught.value.code == "picture_missing"
        assert caught.value.hint == f"did you mean '{tmp_path / 'harbour.png'}'?"
    for typed in (f"{tmp_path}\\harbour.png", str(tmp_path / "HARBOUR.PNG")):
        with pytest.raises(PictureError) as caught:
            open_picture(typed)
        assert caught.value.hint == f"did you mean '{tmp_path / 'harbour.png'}'?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        open_picture(tmp_path / "away" / "x.png")
    assert caught.value.hint == f"there is no folder {tmp_path / 'away'}"


def test_odd_paths_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    paths = [
        *(tmp_path, tmp_path / "fifo", tmp_path / "loop", tmp_path / ("x" * 300)),
        *("", " ", "a\0b", "/dev/zero", "/proc/self/mem", "~nobody-of-this-name/x.png", "http://x/y.png"),
    ]
    open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in paths:
        for look in (open_picture, describe):
            with pytest.raises(PictureError):
                look(path)
    assert len(os.listdir("/proc/self/fd")) == open_files  # noqa: PTH208


def test_a_tilde_means_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "a.png", holed())
    assert open_picture("~/a.png").width == describe("~/a.png").width == 32


def test_broken_orientation_data_is_ignored(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", holed(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_picture(path).width == 32


def samples() -> list[bytes]:
    found = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        file = BytesIO()
        holed().convert("RGB").save(file, kind)
        found.append(file.getvalue())
    return found


@settings(max_examples=300)
@given(st.sampled_from(samples()), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8))
def test_a_randomly_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, damage: list[tuple[int, int]]
) -> None:
    mutant = bytearray(data)
    for place, byte in damage:
        mutant[place % len(mutant)] = byte
    path = tmp_path_factory.getbasetemp() / "mutant"
    path.write_bytes(mutant)
    try:
        picture = open_picture(path)
    except PictureError:
        return
    assert picture.image.mode == "RGB"
