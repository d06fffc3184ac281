"""`-I -`: the init picture comes through the standard input.

Its bytes are kept in the output folder under a name that is made of them, so that the line that is saved with a
picture makes it again.
"""

from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from invoke.command.draft import Draft
from invoke.errors import PictureError, RequestError
from invoke.outputs import whole
from invoke.outputs.writer import sentences
from invoke.paths import expanded
from invoke.pictures import LARGEST_FILE, decode, too_large

TYPED = "-"
FOLDER = "piped"
"""Of the output folder."""
_NAME = "the picture from the standard input"
_ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif"}


class Piped:
    """The picture that comes through `stream`; None where the lines come from there."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._data: bytes | None = None
        self._aside: TemporaryDirectory[str] | None = None

    def found(self, draft: Draft, outdir: str, *, keep: bool) -> Draft:
        """`draft` with the file of the picture where it says `-I -`. Without `keep`, nothing is left in `outdir`.

        Raises RequestError, PictureError or OutputError.
        """
        if draft.before is not None:
            return replace(draft, before=self.found(draft.before, outdir, keep=keep))
        if draft.switches.get("init_img") != TYPED:
            return draft
        try:
            path = self._path(expanded(outdir) / FOLDER, keep=keep)
        except (RequestError, PictureError) as error:
            error.column = draft.columns.get("init_img")
            raise
        return replace(draft, switches={**draft.switches, "init_img": str(path)})

    def close(self) -> None:
        """Remove what a dry run has looked at."""
        if self._aside is not None:
            self._aside.cleanup()
            self._aside = None

    def _path(self, folder: Path, *, keep: bool) -> Path:
        data = self._read()
        name = sha256(data).hexdigest()[:16] + _ending(data)
        if not keep:
            self._aside = self._aside or TemporaryDirectory()
            folder = Path(self._aside.name)
        path = folder / name
        with sentences(folder):
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                whole.write([path], data)
            elif path.read_bytes() != data:
                raise PictureError(f"{path}: this is no longer what came through the pipe", code="picture_changed")
        return path

    def _read(self) -> bytes:
        """All of it, checked. It comes but once."""
        if self._stream is None:
            raise RequestError(
                "-I -: the lines come from the standard input, so no picture can",
                code="stdin_taken",
                hint="name the picture's file",
            )
        if self._data is None:
            data = b"" if self._stream.isatty() else self._stream.read(LARGEST_FILE + 1)
            if len(data) > LARGEST_FILE:
                raise too_large(_NAME, f"at most {LARGEST_FILE >> 20} MB are read")
            if not data:
                raise PictureError(
                    "-I -: no picture comes through the standard input",
                    code="picture_missing",
                    hint="cat fire.png | invoke 'a fire -I -'",
                )
            decode(_NAME, data)
            self._data = data
        return self._data


def _ending(data: bytes) -> str:
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        kind = image.format or "png"
    return _ENDINGS.get(kind, f".{kind.lower()}")
