"""Names of the picture formats that are not read, so that a refusal can say what a file is."""

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
    b"\0\0\1\0": "Windows icon (ICO)",
    b"qoif": "QOI",
    b"P6": "PPM",
    b"P5": "PGM",
}


def format_name(data: bytes) -> str:
    """What the file that begins with `data` is; empty where it is not known."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    if b"<svg" in data[:1000]:
        return "SVG"
    return next((name for head, name in _HEADS.items() if data.startswith(head)), "")
