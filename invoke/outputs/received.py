"""Pictures that come through a pipe or from a program: kept as files, so that the saved line makes them again."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

from invoke import files
from invoke.errors import PictureError
from invoke.outputs.writer import sentences

FOLDER = "piped"
"""Of the output folder."""
_ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif"}


def keep(data: bytes, folder: Path) -> Path:
    """The file of a picture's bytes in `folder`, under a name made from them; written unless it is there.

    Raises OutputError, or PictureError where the file of that name has been changed.
    """
    path = folder / (sha256(data).hexdigest()[:16] + _ending(data))
    with sentences(folder):
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            files.write_new([path], data)
        elif path.read_bytes() != data:
            raise PictureError(f"{path}: the picture in this file was changed", code="picture_changed")
    return path


def _ending(data: bytes) -> str:
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        kind = image.format or "png"
    return _ENDINGS.get(kind, f".{kind.lower()}")
