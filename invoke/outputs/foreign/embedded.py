"""Reads the texts in a picture file: chunks of a PNG, EXIF of any format, the comment of a JPEG."""

import warnings
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from io import BytesIO

from invoke.images.png_chunks import SIGNATURE
from invoke.outputs import png

LARGEST = 2**20
"""Maximum size of one text, in bytes."""

_EXIF_FOLDER, _USER_COMMENT, _DESCRIPTION, _MAKE, _MODEL, _SOFTWARE = 0x8769, 0x9286, 0x010E, 0x010F, 0x0110, 0x0131
_ENCODINGS = {b"ASCII\0\0\0": ("utf-8",), b"UNICODE\0": ("utf-16-be", "utf-16-le", "utf-8"), b"\0" * 8: ("utf-8",)}


def texts(data: bytes) -> dict[str, str]:
    """Keyword → text. A user comment gets the keyword `parameters`, as the same text has in a PNG."""
    found = png.texts(data)
    for keyword, text in _exif(data).items():
        found.setdefault(keyword, text)
    return found


def _exif(data: bytes) -> dict[str, str]:
    """The texts in EXIF and comments of any format that Pillow supports; {} if there are none."""
    from PIL import Image

    if data.startswith(SIGNATURE) and b"eXIf" not in data:
        return {}
    found: dict[str, str] = {}
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            exif = image.getexif()
            comment = exif.get_ifd(_EXIF_FOLDER).get(_USER_COMMENT)
            if isinstance(comment, bytes) and len(comment) <= LARGEST:
                found["parameters"] = _user_comment(comment)
            elif isinstance(comment, str):
                found["parameters"] = comment
            for tag in (_MAKE, _MODEL, _DESCRIPTION):  # ComfyUI writes `prompt:{…}` and `workflow:{…}` there
                name, colon, text = str(exif.get(tag, "")).partition(":")
                if colon and name.lower() in {"prompt", "workflow"}:
                    found.setdefault(name.lower(), text)
            if software := exif.get(_SOFTWARE):
                found["Software"] = str(software).strip("\0 ")
            text_chunk = image.info.get("comment")
            if isinstance(text_chunk, bytes):
                text_chunk = text_chunk.decode("utf-8", "replace")
            if isinstance(text_chunk, str):
                found.setdefault("Comment", text_chunk)
            xmp = image.info.get("xmp")
            if isinstance(xmp, bytes) and len(xmp) <= LARGEST:
                found["XML:com.adobe.xmp"] = xmp.decode("utf-8", "replace")
    except Exception:  # decoders raise all kinds of errors; a file that is not a picture has no texts
        return found
    return found


def _user_comment(data: bytes) -> str:
    """Decode a user comment, whose first eight bytes give its encoding. UTF-16 may have either byte order."""
    head, body = data[:8], data[8:]
    if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return body.decode("utf-16", "replace").strip("\0")
    if head not in _ENCODINGS:
        return data.decode("utf-8-sig", "replace").strip("\0")
    candidates = []
    for encoding in _ENCODINGS[head]:
        try:
            candidates.append(body.decode(encoding).strip("\0"))
        except UnicodeDecodeError:
            continue
    # choose the candidate with the most ASCII: a wrong byte order gives unlikely characters, single bytes give NULs
    return max(candidates, key=lambda text: ("\0" not in text, sum(map(str.isascii, text))), default="")
