"""`!gallery`: a self-contained page with the pictures of a folder, newest first.

Thumbnails are embedded, so that thousands of pictures scroll well; each links to its file. An existing page is updated,
reusing thumbnails of unchanged files. Text from files is always escaped. The page's content security policy allows
only pictures from the same place, and no scripts but the template's.
"""

import base64
import hashlib
import os
import re
from collections.abc import Generator
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import BinaryIO

from invoke import files as own
from invoke.errors import OutputError, PictureError
from invoke.events import Note, Saved
from invoke.outputs.gallery_page import STEPS, GalleryFile, Page
from invoke.text import clean, counted

NAME = "gallery.html"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
MANY = 500
"""Number of new pictures from which a note announces the wait."""

_OURS = b"<!doctype html><!-- a gallery of invoke -->"
_IMAGE = re.compile(
    rb'(<img data-key="([0-9a-f]{32})" width="\d+" height="\d+" loading="lazy" decoding="async" '
    rb'src="data:image/webp;base64,[A-Za-z0-9+/=]+") alt="[^"<>]*">\n'
)


def write_gallery(folder: Path) -> Generator[Note | Saved, None, None]:
    """Write the page of `folder` into it, with one picture in memory at a time.

    Raises PictureError if there is no picture, and OutputError.
    """
    path = folder / NAME
    try:
        found = _pictures(folder)
        if not found:
            raise PictureError(
                f"{folder}: there is no picture in this folder", code="no_pictures", hint="!gallery FOLDER"
            )
        with _Earlier(path) as earlier:
            new = sum(not earlier.has(file) for file in found)
            if new > MANY:
                yield Note(f"reading {new} new pictures, about a hundred per second")
            _write(path, found, earlier, title=str(folder.resolve().name))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", code="output_failed") from error
    yield Saved(str(path), "gallery")


def _pictures(folder: Path) -> list[GalleryFile]:
    """The pictures, newest first, each with its strips and animations."""
    try:
        with os.scandir(folder) as entries:
            listed = [entry for entry in entries if entry.name.lower().endswith(ENDINGS) and entry.name[0] != "."]
            kept = [(Path(entry.path), entry.stat()) for entry in listed if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise PictureError(f"{folder}: there is no such folder", code="no_pictures", hint="!gallery FOLDER") from None
    found = {path.name: GalleryFile(path, stat.st_mtime_ns, stat.st_size) for path, stat in kept}
    for name in list(found):
        for ending in STEPS:
            picture = found.get(name.removesuffix(ending) + ".png") if name.endswith(ending) else None
            if picture is not None:
                picture.steps.append(found.pop(name))
    return sorted(found.values(), key=lambda file: (file.changed, file.name), reverse=True)


class _Earlier:
    """The thumbnails of the existing page; only their offsets are kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._page: BinaryIO | None = None
        self._places: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> "_Earlier":
        with suppress(FileNotFoundError):
            self._page = os.fdopen(own.open_file(self._path, os.O_RDONLY), "rb")
            if not self._page.readline().startswith(_OURS):
                self._page.close()
                raise OutputError(
                    f"{self._path}: this page was not made by !gallery and is kept",
                    code="not_ours",
                    hint="move it elsewhere, then type !gallery again",
                )
            at = self._page.tell()
            for line in self._page:
                if match := _IMAGE.fullmatch(line):
                    self._places[match[2].decode()] = at, len(match[1])
                at += len(line)
        return self

    def __exit__(self, *error: object) -> None:
        if self._page is not None:
            self._page.close()

    def has(self, file: GalleryFile) -> bool:
        """Whether there is a thumbnail of the current version of `file`."""
        return file.key in self._places

    def image(self, file: GalleryFile) -> str | None:
        """Its `<img …`, without the alternative text."""
        if self._page is None or not self.has(file):
            return None
        start, length = self._places[file.key]
        self._page.seek(start)
        return self._page.read(length).decode("ascii")


def _write(path: Path, found: list[GalleryFile], earlier: _Earlier, title: str) -> None:
    """Write to a temporary file and replace the page atomically."""
    head, tail = _template(escape(clean(title)), len(found))
    page_of = Page(path.parent, {file.name: file for file in found}, earlier.image)
    with own.replacing(path) as page:
        page.write(head.encode())
        for file in found:
            for part in page_of.figure(file):
                page.write(part.encode())
        page.write(tail.encode())


def _template(title: str, count: int) -> tuple[str, str]:
    """The page before and after the pictures."""
    text = files("invoke.outputs").joinpath(NAME).read_text(encoding="utf-8")
    policy = {}
    for part in ("style", "script"):
        # hash the text that the browser sees: without the template's escapes
        inside = text.split(f"<{part}>")[1].split(f"</{part}>")[0].replace("$$", "$")
        digest = hashlib.sha256(inside.encode()).digest()
        policy[part] = f"sha256-{base64.b64encode(digest).decode()}"
    head, tail = text.split("$pictures")
    return Template(head).substitute(policy, title=title, count=counted(count, "picture")), Template(tail).substitute()
