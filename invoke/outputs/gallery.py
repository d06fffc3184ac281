"""`!gallery`: the pictures of a folder on one page that needs nothing but itself, newest first.

Thumbnails are part of the page, so that thousands of pictures scroll; each opens its file. An existing page is written
again with the thumbnails of the files that have not changed. What comes from files is text, never markup. The page's
own policy (CSP) lets a browser load pictures of the same place, and run nothing but what stands in the template.
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
"""New pictures that one should not wait for in silence."""

_OURS = b"<!doctype html><!-- a gallery of invoke -->"
_IMAGE = re.compile(
    rb'(<img data-key="([0-9a-f]{32})" width="\d+" height="\d+" loading="lazy" decoding="async" '
    rb'src="data:image/webp;base64,[A-Za-z0-9+/=]+") alt="[^"<>]*">\n'
)


def write_gallery(folder: Path) -> Generator[Note | Saved, None, None]:
    """Write the page of `folder` into it, one picture in memory at a time, and say where it is.

    Raises PictureError where there is no picture, and OutputError.
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
                yield Note(f"{new} new pictures are read, about a hundred a second")
            _write(path, found, earlier, title=str(folder.resolve().name))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", code="output_failed") from error
    yield Saved(str(path), "gallery")


def _pictures(folder: Path) -> list[GalleryFile]:
    """Newest first, each with what shows its steps."""
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
    """The thumbnails of the page that is there, of which only the places are kept in memory."""

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
        """Whether the thumbnail of `file`, as it is now, is there."""
        return file.key in self._places

    def image(self, file: GalleryFile) -> str | None:
        """Its `<img …`, up to the text that stands for it."""
        if self._page is None or not self.has(file):
            return None
        start, length = self._places[file.key]
        self._page.seek(start)
        return self._page.read(length).decode("ascii")


def _write(path: Path, found: list[GalleryFile], earlier: _Earlier, title: str) -> None:
    """Written aside, so that there is a whole page at any moment."""
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
        # what is hashed is what the browser will see: without the template's own escapes
        inside = text.split(f"<{part}>")[1].split(f"</{part}>")[0].replace("$$", "$")
        digest = hashlib.sha256(inside.encode()).digest()
        policy[part] = f"sha256-{base64.b64encode(digest).decode()}"
    head, tail = text.split("$pictures")
    return Template(head).substitute(policy, title=title, count=counted(count, "picture")), Template(tail).substitute()
