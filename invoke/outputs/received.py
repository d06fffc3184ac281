"""Saves pictures that come through a pipe or from a program, so that saved lines can refer to them."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

from invoke import files
from invoke.errors import PictureError
from invoke.images import read_bytes
from invoke.outputs.writer import sentences

FOLDER = "piped"
"""Subfolder of the output folder."""
_ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif"}


def keep(data: bytes, folder: Path) -> Path:
    """Save a picture's bytes in `folder` under a name derived from them, unless it exists; returns the path.

    Raises OutputError, or PictureError if the existing file has been changed.
    """
    path = folder / (sha256(data).hexdigest()[:16] + _ending(data))
    with sentences(folder):
        if not path.exists():
            files.make_folder(folder)
            files.write_new([path], data)
        elif read_bytes(path) != data:
            raise PictureError(f"{path}: this file has been changed", code="picture_changed")
    return path


def _ending(data: bytes) -> str:
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        kind = image.format or "png"
    return _ENDINGS.get(kind, f".{kind.lower()}")
