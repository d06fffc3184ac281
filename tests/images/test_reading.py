"""Files of other programs: colour descriptions, orientation, truncated data."""

import os
import struct
import subprocess
import sys
import unicodedata
import zlib
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from invoke.errors import PictureError
from invoke.images import describe, open_picture, prepare
from invoke.images.colour_codes import BT_709, CURVES, PRIMARIES, SRGB, ColourCode, icc_profile
from invoke.images.files import opened
from invoke.images.header_size import picture_size
from invoke.images.jpeg_scans import ends_early
from invoke.language.complete import suggest
from invoke.language.complete.sources import Sources
from invoke.language.render import value_word
from invoke.shell.key_bindings import inserted
from tests.images.test_images import chunk, png_bytes
from tests.line_contexts import plan

GREY = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1)))
COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 64, 3), dtype=np.uint8))
P3 = icc_profile(ColourCode("Display P3", PRIMARIES[12], SRGB))


def grey_profile(gamma: float = 1.8) -> bytes:
    """A grey profile, which Pillow cannot make: the curve of an RGB one alone."""
    rgb = icc_profile(ColourCode(f"Gray Gamma {gamma}", BT_709, (gamma,)))
    count = int.from_bytes(rgb[128:132], "big")
    tags = {rgb[132 + 12 * i : 136 + 12 * i]: rgb[136 + 12 * i : 144 + 12 * i] for i in range(count)}
    kept = {b"desc": tags[b"desc"], b"wtpt": tags[b"wtpt"], b"kTRC": tags[b"rTRC"]}
    table = b"".join(name + place for name, place in kept.items())
    table = struct.pack(">I", len(kept)) + table
    return rgb[:16] + b"GRAY" + rgb[20:128] + table.ljust(4 + 12 * count, b"\0") + rgb[132 + 12 * count :]


def profile_of(kind: str) -> bytes:
    """`rgb`, `grey`, `lab`, or `link`: an RGB profile whose class says that it describes no pixels."""
    match kind:
        case "rgb":
            return P3
        case "grey":
            return grey_profile()
        case "lab":
            return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return P3[:12] + b"link" + P3[16:]


MODES = {
    "RGB": ("PNG", COLOURS),
    "RGBA": ("PNG", COLOURS.convert("RGBA")),
    "P": ("PNG", COLOURS.convert("P")),
    "RGB jpeg": ("JPEG", COLOURS),
    "RGB webp": ("WEBP", COLOURS),
    "L": ("PNG", GREY),
    "LA": ("PNG", GREY.convert("LA")),
    "1": ("PNG", GREY.convert("1")),
    "I;16": ("PNG", Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)),
    "L jpeg": ("JPEG", GREY),
    "CMYK": ("JPEG", COLOURS.convert("CMYK")),
}
FITS = {"rgb": {"RGB", "RGBA", "P", "RGB jpeg", "RGB webp"}, "grey": {"L", "LA", "1", "I;16", "L jpeg"}}


@pytest.mark.parametrize(("mode", "kind"), list(product(MODES, ["rgb", "grey", "lab", "link"])))
def test_a_profile_is_used_only_if_it_fits_the_pixels(mode: str, kind: str, tmp_path: Path) -> None:
    """P1: a grey profile made a coloured picture grey."""
    form, image = MODES[mode]
    image.save(tmp_path / "plain", form)
    image.save(tmp_path / "tagged", form, icc_profile=profile_of(kind))
    plain, tagged = open_picture(tmp_path / "plain"), open_picture(tmp_path / "tagged")
    same = plain.image.tobytes() == tagged.image.tobytes()
    if mode in FITS.get(kind, set()):
        assert mode == "1" or (not same and tagged.notes[0].startswith("colours converted from "))
    else:
        assert same
        assert len(tagged.notes) == 1
        assert tagged.notes[0].endswith("and is not used")


def test_a_grey_profile_on_a_colour_mask_is_not_used(tmp_path: Path) -> None:
    GREY.convert("RGB").save(tmp_path / "mask.png", icc_profile=grey_profile())
    assert open_picture(tmp_path / "mask.png").as_mask.tobytes() == GREY.tobytes()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_only_exif_rotates_a_picture(form: str, tmp_path: Path) -> None:
    """P2: XMP had another orientation, which no browser reads."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    options = {"pnginfo": _xmp_text(xmp)} if form == "PNG" else {"xmp": xmp}
    COLOURS.save(tmp_path / "x", form, **options)
    assert (open_picture(tmp_path / "x").width, open_picture(tmp_path / "x").height) == (64, 16)


def _xmp_text(xmp: bytes) -> object:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


# P3: colours in a PNG's chunks


def coded(*more: bytes, levels: tuple[int, int, int] = (128, 64, 200)) -> bytes:
    return png_bytes(16, 16, 8, 2, (b"\0" + bytes(levels) * 16) * 16, *more)


def shown(data: bytes, tmp_path: Path) -> tuple[int, ...]:
    (tmp_path / "x.png").write_bytes(data)
    return open_picture(tmp_path / "x.png").image.getpixel((3, 3))  # type: ignore[return-value]


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100000)))


def test_png_gamma_is_applied(tmp_path: Path) -> None:
    def encoded(light: float) -> float:
        return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)

    expected = [encoded(level / 255) for level in (128, 64, 200)]
    assert shown(coded(gama(1.0)), tmp_path) == pytest.approx(expected, abs=1)
    assert shown(coded(gama(1 / 2.2)), tmp_path) == (128, 64, 200)


P3_CICP = chunk(b"cICP", bytes([12, 13, 0, 1]))
P3_CHRM = chunk(b"cHRM", struct.pack(">8I", *(round(100000 * number) for number in PRIMARIES[12])))
P3_ICC = chunk(b"iCCP", b"p3\0\0" + zlib.compress(P3))
SRGB_CHUNK = chunk(b"sRGB", b"\0")
BROKEN_ICC = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))


def test_icc_cicp_and_chrm_give_the_same_colours(tmp_path: Path) -> None:
    by_icc, by_cicp, by_chrm = (shown(coded(each), tmp_path) for each in (P3_ICC, P3_CICP, P3_CHRM + gama(1 / 2.2)))
    assert by_icc == by_cicp == by_chrm
    assert by_icc[0] > 130  # a colour of P3 has less red in sRGB's own numbers


@pytest.mark.parametrize(
    ("chunks", "counts"),
    [
        (P3_CICP + SRGB_CHUNK + gama(1.0), P3_CICP),
        (P3_CICP + chunk(b"iCCP", b"x\0\0" + zlib.compress(grey_profile())), P3_CICP),
        (chunk(b"cICP", bytes([1, 13, 0, 1])) + P3_ICC, b""),
        (P3_ICC + SRGB_CHUNK + gama(1.0), P3_ICC),
        (SRGB_CHUNK + gama(1.0), b""),
        (BROKEN_ICC + gama(1.0), gama(1.0)),
        (chunk(b"cICP", bytes([2, 2, 0, 1])) + P3_ICC, P3_ICC),
        (gama(0) + SRGB_CHUNK, b""),
    ],
)
def test_the_colour_description_of_highest_priority_is_used(chunks: bytes, counts: bytes, tmp_path: Path) -> None:
    assert shown(coded(chunks), tmp_path) == shown(coded(counts), tmp_path)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_pictures_are_refused(transfer: int, name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=f"this is an HDR picture \\({name}\\)"):
        shown(coded(chunk(b"cICP", bytes([9, transfer, 0, 1]))), tmp_path)


@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("transfer", CURVES)
def test_white_and_black_are_kept_under_any_cicp_colours(primaries: int, transfer: int, tmp_path: Path) -> None:
    output = chunk(b"cICP", bytes([primaries, transfer, 0, 1]))
    assert shown(coded(output, levels=(255, 255, 255)), tmp_path) == pytest.approx((255, 255, 255), abs=1)
    assert shown(coded(output, levels=(0, 0, 0)), tmp_path) == pytest.approx((0, 0, 0), abs=1)


def tiff(width: int, height: int, data: bytes, **more: int) -> bytes:
    """An uncompressed TIFF in one strip, or in one for each of `samples` channels if they are stored separately."""
    samples, parts = more.get("samples", 1), more.get("samples", 1) if more.get("planar") == 2 else 1
    extra = {338: [more["extra"]]} if "extra" in more else {}
    tags = {
        256: [width],
        257: [height],
        258: [more["bits"]] * samples,
        259: [1],
        262: [more["photometric"]],
        273: [len(data) // parts * part + 8 for part in range(parts)],
        277: [samples],
        278: [height],
        279: [len(data) // parts] * parts,
        284: [more.get("planar", 1)],
        **extra,
    }
    at = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, values in tags.items():
        kind, packed = (
            ("H", 3) if tag == 258 else ("I", 4),
            struct.pack(f"<{len(values)}{'H' if tag == 258 else 'I'}", *values),
        )
        inline = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", at + len(rest))
        rest += b"" if len(packed) <= 4 else packed
        entries += struct.pack("<HHI", tag, kind[1], len(values)) + inline
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4) + rest


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 0), (16, 1)])
def test_grey_of_more_than_8_bits_is_scaled_to_black_and_white(bits: int, photometric: int, tmp_path: Path) -> None:
    """A TIFF in which 0 is white was read as a negative, one with 12 bits as almost black."""
    levels = np.tile(np.arange(0, 256, 8), (16, 1))
    stored = (255 - levels if photometric == 0 else levels) * (2**bits - 1) // 255
    binary = "".join(f"{level:0{bits}b}" for level in stored.ravel())
    if bits == 16:
        data = stored.astype("<u2").tobytes()
    else:
        data = bytes(int(binary[at : at + 8], 2) for at in range(0, len(binary), 8))
    (tmp_path / "a.tif").write_bytes(tiff(32, 16, data, bits=bits, photometric=photometric))
    shown = np.asarray(open_picture(tmp_path / "a.tif").image, int)
    assert np.abs(shown - levels[..., None]).max() <= 1


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("mode", "extra"), [("RGB", None), ("RGBA", 2), ("RGBA", 1), ("CMYK", None), ("LA", 1)])
def test_channels_of_a_tiff_may_be_separate(
    mode: str, extra: int | None, bits: int, planar: int, tmp_path: Path
) -> None:
    """Those of 16 bits were shown as noise; 1 is alpha that the colours are multiplied by, 2 one that they are not."""
    image = COLOURS.convert(mode)
    if extra:
        image.putalpha(200)
    pixels = np.asarray(image.convert({"RGBA": "RGBa", "LA": "La"}[mode]) if extra == 1 else image)
    deep = pixels.astype("<u2") * 257 if bits == 16 else pixels
    more = {"extra": extra} if extra else {}
    photometric = {"CMYK": 5, "LA": 1}.get(mode, 2)
    stored = (np.moveaxis(deep, 2, 0) if planar == 2 else deep).tobytes()
    size = {"bits": bits, "photometric": photometric, "samples": pixels.shape[2], "planar": planar}
    (tmp_path / "a.tif").write_bytes(tiff(64, 16, stored, **size, **more))
    if mode == "LA" and (planar == 2 or bits == 16):
        with pytest.raises(PictureError, match=r"this TIFF (stores its channels separately|is damaged, or of a kind)"):
            open_picture(tmp_path / "a.tif")
        return
    picture = open_picture(tmp_path / "a.tif")
    assert np.abs(np.asarray(picture.image, int) - np.asarray(image.convert("RGB"), int)).max() <= (1 if extra else 0)
    assert (picture.alpha and picture.alpha.getextrema()) == ((200, 200) if extra else None)


def test_what_a_gif_does_not_cover_is_transparent(tmp_path: Path) -> None:
    """It had the colour that stands first in the palette."""
    file = BytesIO()
    COLOURS.quantize(8).save(file, "GIF")
    larger = bytearray(file.getvalue())
    larger[6:10] = struct.pack("<HH", 128, 16)
    (tmp_path / "a.gif").write_bytes(larger)
    picture = open_picture(tmp_path / "a.gif")
    assert picture.image.crop((0, 0, 64, 16)).tobytes() == COLOURS.quantize(8).convert("RGB").tobytes()
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == (b"\xff" * 64 + bytes(64)) * 16


def test_cmyk_that_does_not_say_whether_it_is_inverted(tmp_path: Path) -> None:
    file = BytesIO()
    COLOURS.convert("CMYK").save(file, "JPEG")
    data = file.getvalue()
    (tmp_path / "said.jpg").write_bytes(data)
    (tmp_path / "not.jpg").write_bytes(data.replace(b"\xff\xee\0\x0eAdobe", b"\xff\xef\0\x0eAdobe"))
    said, unsaid = open_picture(tmp_path / "said.jpg"), open_picture(tmp_path / "not.jpg")
    assert said.image.tobytes() == unsaid.image.tobytes()
    assert (said.notes, unsaid.notes[0][:37]) == ((), "does not say whether its CMYK is inve")


# P4, P5: other formats, data that end early


def test_avif_is_read(tmp_path: Path) -> None:
    COLOURS.resize((64, 64), Image.Resampling.NEAREST).filter(_soft()).save(tmp_path / "x.avif", "AVIF", quality=95)
    picture = open_picture(tmp_path / "x.avif")
    assert (picture.width, picture.height, picture.notes) == (64, 64, ())


def _soft() -> object:
    from PIL import ImageFilter

    return ImageFilter.GaussianBlur(3)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"8BPS\0\1", r"Photoshop \(PSD\)"),
        (b"%PDF-1.7", "PDF"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", r"a video \(MP4\)"),
        (b"PK\3\4\x14\0", r"a ZIP archive \(such as Krita's or OpenRaster's\)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, without the picture"),
    ],
)
def test_unsupported_formats_are_named(head: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(head + bytes(100))
    with pytest.raises(PictureError, match=f"this is {name}, which cannot be read") as caught:
        open_picture(tmp_path / "x.png")
    assert "save it as PNG or JPEG" in caught.value.hint


@pytest.mark.parametrize("name", ["TIFF", "AVIF", "JPEG", "WebP", "PNG", "GIF", "BMP"])
def test_what_a_decoder_does_not_accept_is_not_called_unknown(name: str, tmp_path: Path) -> None:
    """A TIFF without its directory, an AVIF of another kind, a JPEG of 12 bits: that TIFF is read did not help."""
    file = BytesIO()
    COLOURS.save(file, name)
    (tmp_path / "a").write_bytes(file.getvalue()[: 8 if name == "TIFF" else 16])
    with pytest.raises(PictureError, match=f"this ({name} is damaged, or of a kind|picture is damaged)"):
        open_picture(tmp_path / "a")


@pytest.mark.parametrize(
    ("depth", "colour", "interlaced"), [(8, 2, 0), (8, 6, 0), (16, 0, 0), (1, 0, 0), (8, 2, 1), (4, 0, 1)]
)
def test_a_stream_that_ends_early_is_damaged(depth: int, colour: int, interlaced: int, tmp_path: Path) -> None:
    """P5: the lower half was black, without a note."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    passes = [(2, 2), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8), (16, 8)] if interlaced else [(16, 16)]
    rows = b"".join((b"\0" + bytes(-(-columns * depth * channels // 8))) * lines for columns, lines in passes)

    def file(data: bytes) -> bytes:
        header = chunk(b"IHDR", struct.pack(">II5B", 16, 16, depth, colour, 0, 0, interlaced))
        pieces = zlib.compress(data)
        body = b"".join(chunk(b"IDAT", pieces[at : at + 7]) for at in range(0, len(pieces), 7))
        return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")

    (tmp_path / "whole.png").write_bytes(file(rows))
    assert open_picture(tmp_path / "whole.png").width == 16
    for kept in (len(rows) // 2, len(rows) - 1):
        (tmp_path / "half.png").write_bytes(file(rows[:kept]))
        with pytest.raises(PictureError, match="its data ends early"):
            open_picture(tmp_path / "half.png")


JPEGS: dict[str, dict[str, object]] = {
    "baseline": {},
    "4:4:4": {"subsampling": 0, "quality": 100},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "progressive, restarts": {"progressive": True, "restart_marker_rows": 1},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_whose_scans_end_early_is_damaged(mode: str, options: dict[str, object], tmp_path: Path) -> None:
    """The rest was one flat colour, without a note, because of an end marker."""
    flat_below = np.asarray(COLOURS).copy()
    flat_below[8:] = 255
    for image in (COLOURS, Image.fromarray(flat_below)):
        file = BytesIO()
        image.convert(mode).save(file, "JPEG", **options)
        whole = file.getvalue()
        assert not ends_early(whole)
        first = whole.index(b"\xff\xda") + 20
        for end in range(first, len(whole) - 40, max(1, (len(whole) - 40 - first) // 8)):
            # an end marker may stand in the midst, too; of several scans it would hit a header
            for rest in (b"", b"" if "progressive" in options else whole[end:]):
                cut = whole[:end].rstrip(b"\xff") + b"\xff\xd9" + rest
                if _decodes(cut):
                    assert ends_early(cut), (end, len(whole))
        assert not ends_early(whole + b"something else")
    (tmp_path / "half.jpg").write_bytes(whole[: (first + len(whole)) // 2] + b"\xff\xd9")
    with pytest.raises(PictureError, match="its data ends early"):
        open_picture(tmp_path / "half.jpg")


def _decodes(data: bytes) -> bool:
    try:
        Image.open(BytesIO(data)).load()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_strip_that_ends_early_is_damaged(compression: str, tmp_path: Path) -> None:
    file = BytesIO()
    COLOURS.save(file, "TIFF", compression=compression)
    tiff = Image.open(file)
    (length,) = tiff.tag_v2[279]
    short, long = (struct.pack("<HHII", 279, 4, 1, number) for number in (length // 2, length))
    assert long in file.getvalue()
    (tmp_path / "a.tif").write_bytes(file.getvalue().replace(long, short))
    with pytest.raises(PictureError, match=r"ends? early"):
        open_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(("form", "options"), [("JPEG", {"subsampling": 0, "quality": 98}), ("PNG", {}), ("AVIF", {})])
def test_zeros_at_the_end_of_a_file_are_damage(form: str, options: dict[str, object], tmp_path: Path) -> None:
    """A file of full length whose last blocks were never written: zeros are valid data in most formats."""
    file = BytesIO()
    Image.fromarray(np.tile(np.asarray(COLOURS), (8, 2, 1))).save(file, form, **options)
    whole = file.getvalue()
    path = tmp_path / "a"
    for share in (0.6, 0.9, 0.97, 0.995):
        kept = min(int(share * len(whole)), len(whole) - 70)
        path.write_bytes(whole[:kept].ljust(len(whole), b"\0"))
        with pytest.raises(PictureError, match="this picture is damaged"):
            open_picture(path)
    path.write_bytes(whole + bytes(1000))  # such as a camera's padding
    assert open_picture(path).width == 128


def test_a_missing_palette_is_damage(tmp_path: Path) -> None:
    """All was black, without a note."""
    pixels = (b"\0" + b"\1" * 16) * 16
    with pytest.raises(PictureError, match="it has no palette"):
        shown(png_bytes(16, 16, 8, 3, pixels), tmp_path)
    assert shown(png_bytes(16, 16, 8, 3, pixels, chunk(b"PLTE", bytes([0, 0, 0, 9, 8, 7]))), tmp_path) == (9, 8, 7)


# P6: memory


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="says how much memory a process had at most")
@pytest.mark.parametrize("kind", ["rgba", "grey 16", "palette", "long", "bmp", "jpeg"])
def test_a_large_picture_is_held_in_memory_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    if kind == "jpeg":
        Image.new("RGB", (8000, 8000), (200, 10, 10)).save(path, "JPEG", progressive=True)
    elif kind == "bmp":
        path.write_bytes(struct.pack("<2sI4xIIiiHH24x", b"BM", 54 + 192_000_000, 54, 40, 8000, 8000, 1, 24))
        os.truncate(path, 54 + 192_000_000)
    else:
        _write_png(path, kind)
    program = (  # not ru_maxrss, in which a child begins with its parent's memory
        "import pathlib, sys; from invoke.images import describe; print(describe(sys.argv[1]).transparent, "
        "pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    share, memory = done.stdout.split()
    assert float(share) == {"rgba": 0.25, "palette": 0.5}.get(kind, 0.0)
    assert int(memory) * 1024 < 300e6


def _write_png(path: Path, kind: str) -> None:
    """64 megapixels in equal rows, compressed one by one."""
    width, height, depth, colour, row, more = {
        "rgba": (8000, 8000, 8, 6, b"\xc8\n\n\xff" * 6000 + bytes(8000), b""),
        "grey 16": (8000, 8000, 16, 0, bytes(16000), b""),
        "palette": (8000, 8000, 8, 3, b"\0\1" * 4000, chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0\xff")),
        "long": (48, 1179712, 8, 6, b"\xc8\n\n\xff" * 48, b""),
    }[kind]
    squeeze, check = zlib.compressobj(1, wbits=-15), 1
    packed = squeeze.compress(b"\0" + row) + squeeze.flush(zlib.Z_FULL_FLUSH)
    for _ in range(height):
        check = zlib.adler32(b"\0" + row, check)
    data = b"\x78\1" + packed * height + b"\3\0" + struct.pack(">I", check)
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, depth, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def test_much_memory_is_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.images.opening.MUCH_MEMORY", 10 * 64 * 16)
    for form in ("WEBP", "AVIF", "PNG", "TIFF"):
        COLOURS.save(tmp_path / "a", form)
        notes = open_picture(tmp_path / "a").notes
        assert bool(notes) == (form == "WEBP")
        assert not notes or "this WEBP takes up to 0 MB of memory" in notes[0]


def test_a_large_jpeg_is_decoded_at_a_reduced_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning decodes it at an eighth; the result equals the average of all pixels."""
    rows, columns = np.mgrid[0:600, 0:805]
    smooth = np.dstack([rows * 255 // 600, columns * 255 // 805, (rows + columns) * 255 // 1405]).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, progressive=True, exif=exif)
    plain = open_picture(tmp_path / "a.jpg", enough=(48, 64))
    assert plain.stored.size == (805, 600)
    monkeypatch.setattr("invoke.images.opening.LARGE", 1000)
    facts, small = describe(tmp_path / "a.jpg"), open_picture(tmp_path / "a.jpg", enough=(48, 64))
    assert (facts.width, facts.height) == (600, 805)
    assert small.stored.size == (202, 150)
    one, other = (prepare(picture.image, 48, 64) for picture in (plain, small))
    assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 2


def test_a_file_that_changes_while_being_read_is_refused(tmp_path: Path) -> None:
    """Its hash would be that of other pixels."""
    path = tmp_path / "a.png"
    path.write_bytes(b"some")
    with pytest.raises(PictureError, match="changed while it was read"), opened(path) as file:  # noqa: PT012
        file.read()
        path.write_bytes(b"others")


def test_a_large_picture_is_averaged_before_it_is_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = np.mgrid[0:600, 0:800]
    smooth = np.dstack([rows * 255 // 600, columns * 255 // 800, (rows + columns) * 255 // 1400]).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.png")
    picture = open_picture(tmp_path / "a.png")
    plain = np.asarray(picture.image.resize((64, 48), Image.Resampling.LANCZOS), int)
    monkeypatch.setattr("invoke.images.opening.LARGE", 1000)
    reduced = picture.reduced(64, 48)
    assert (reduced.width, reduced.height) == (200, 150)
    assert np.abs(np.asarray(reduced.image.resize((64, 48), Image.Resampling.LANCZOS), int) - plain).max() <= 2


# P7: names in either normal form


FORMS = [("NFD", "NFC"), ("NFC", "NFD"), ("mixed", "NFC"), ("mixed", "NFD")]


def in_form(form: str, name: str) -> str:
    if form == "mixed":  # the first accent is composed, the others are decomposed
        first, rest = unicodedata.normalize("NFC", name).split("é", 1)
        return first + "é" + unicodedata.normalize("NFD", rest)
    return unicodedata.normalize(form, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(("on_disk", "typed"), FORMS)
def test_a_file_name_is_found_in_either_unicode_normal_form(
    on_disk: str, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: in every place where a path is typed."""
    folder = tmp_path / in_form(on_disk, "é Früchte")
    folder.mkdir()
    coffee, tea = (folder / in_form(on_disk, f"{word}é à.png") for word in ("caf", "th"))
    for picture in (coffee, tea):
        COLOURS.resize((64, 64)).save(picture, "PNG")
    where = f"{tmp_path}/{in_form(typed, 'é Früchte')}"
    path = f"{where}/{in_form(typed, 'café à.png')}"
    assert picture_size(path) == (64, 64)
    for switches in ('-I "{}"', '-I "{}" -M "{}"', '--init_color "{}" -I "{}"'):
        assert files_read(f"a cat {switches.format(path, path)}") == {str(coffee)}
    for pattern, found in {
        "": {coffee, tea},
        "/*": {coffee, tea},
        in_form(typed, "/*é à.png"): {coffee, tea},
        "/????*": {coffee, tea},
        "/???*[aà].png": {coffee, tea},
        "/??? ?.png": {tea},  # an accented letter is one
    }.items():
        assert files_read(f'a cat -I "{where}{pattern}"') == set(map(str, found))

    # completion continues in the typed form, and dropped files are found
    begun = f'a cat -I "{where}/{in_form(typed, "café")}'
    listed = Sources(folder=lambda place: [(entry.name, entry.is_dir()) for entry in os.scandir(place)])
    (only,) = suggest(begun, listed)
    assert f'{only.text[:-1]}"'.startswith(begun[only.start :])
    assert files_read(begun[: only.start] + only.text) == {str(coffee)}
    assert inserted("a cat ", path) == f"-I {value_word(path)} "

    # a picture is looked for in the output folder, too
    monkeypatch.chdir(tmp_path)
    line = f'a cat -I "{in_form(typed, "thé à.png")}" -o "{in_form(typed, "é Früchte")}"'
    assert files_read(line) == {str(tea.relative_to(tmp_path))}


def files_read(line: str) -> set[str]:
    """The files that a line names."""
    requests = [planned.request for planned in plan(line).pictures()]
    found = {(request.init_image, request.mask_image, request.init_color) for request in requests}
    return {str(path) for paths in found for path in paths if path is not None}


def test_a_picture_in_memory_is_read_like_a_file(tmp_path: Path) -> None:
    file = BytesIO()
    COLOURS.save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    assert open_picture(tmp_path / "a.png").image.tobytes() == COLOURS.tobytes()
