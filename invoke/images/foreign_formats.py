"""Names of unsupported picture formats, for error messages."""

import re

_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "camera raw (CR3)",
}
"""Brands of ISO base media files (bytes 8 to 11)."""
_AVIF = (b"avif", b"avis")
_HEADS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop (PSD)",
    b"gimp xcf": "GIMP (XCF)",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"DDS ": "DirectDraw Surface (DDS)",
    b"\0\0\1\0": "a Windows icon (ICO)",
    b"icns": "an Apple icon (ICNS)",
    b"qoif": "QOI",
    b"P6": "PPM",
    b"P5": "PGM",
    b"P3\n": "PPM",
    b"P2\n": "PGM",
    b"II\xbc\x01": "JPEG XR",
    b"II*\0\x10\0\0\0CR": "camera raw (CR2)",
    b"\x8aMNG\r\n\x1a\n": "MNG",
    b"PDN3": "Paint.NET (PDN)",
    b"CSFCHUNK": "Clip Studio (CLIP)",
    b"\x1aE\xdf\xa3": "a video (WebM or MKV)",
    b"PK\3\4": "a ZIP archive (such as Krita's or OpenRaster's)",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer, without the picture",
}
_SUPPORTED = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
}
_WEB_PAGE = re.compile(rb"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE)


def supported_name(data: bytes) -> str:
    """The supported format of a file that begins with `data`; "" if it is another."""
    if data[4:8] == b"ftyp":
        return "AVIF" if data[8:12] in _AVIF else ""
    if data[:4] == b"RIFF":
        return "WebP" if data[8:12] == b"WEBP" else ""
    if format_name(data):
        return ""
    return next((name for head, name in _SUPPORTED.items() if data.startswith(head)), "")


def format_name(data: bytes) -> str:
    """The format of a file that begins with `data`; "" if unknown."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "" if data[8:12] in _AVIF else "a video (MP4)")
    if _WEB_PAGE.match(data):
        return "a web page"
    if b"<svg" in data[:1000]:
        return "SVG"
    return next((name for head, name in _HEADS.items() if data.startswith(head)), "")
