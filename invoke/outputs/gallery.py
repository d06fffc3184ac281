"""`!gallery`: the pictures of a folder on one page that needs nothing but itself, newest first.

Thumbnails are part of the page, so that thousands of pictures scroll; each links to its file. A page that is there
already is written anew, with the thumbnails of the files that have not changed. What comes from files is text,
never markup, and the page's own policy (CSP) lets a browser fetch and run nothing but what stands in the template.
"""

import base64
import hashlib
import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from string import Template
from typing import BinaryIO
from urllib.parse import quote

from invoke import files as own
from invoke.errors import OutputError, PictureError
from invoke.events import Note, Saved
from invoke.images import open_picture
from invoke.outputs import metadata
from invoke.text import clean, counted

NAME = "gallery.html"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
STEPS = (".steps.png", ".steps.gif")
"""Endings of what shows the steps of a picture; the first one is drawn below it."""
SIDE = 192
"""Pixels of a thumbnail's longer side: 3 to 5 kB, so that 5,000 make a page of about 20 MB."""
STRIP_HEIGHT = 64
MANY = 500
"""New pictures that one should not wait for in silence."""

_OURS = b"<!doctype html><!-- a gallery of invoke -->"
_IMAGE = re.compile(
    rb'<img data-key="([0-9a-f]{32})" width="\d+" height="\d+" loading="lazy" decoding="async" alt="" '
    rb'src="data:image/webp;base64,[A-Za-z0-9+/=]+">\n'
)


@dataclass(frozen=True, slots=True)
class _File:
    """A picture in the folder."""

    path: Path
    changed: int
    size: int
    steps: "list[_File]" = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def link(self) -> str:
        """Relative, also where a name looks like an address: `javascript:x.png`."""
        return "./" + quote(os.fsencode(self.name), safe="")

    @property
    def key(self) -> str:
        """What changes when the file does."""
        stamp = f"{self.changed} {self.size} ".encode() + os.fsencode(self.name)
        return hashlib.sha256(stamp).hexdigest()[:32]


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


def _pictures(folder: Path) -> list[_File]:
    """Newest first, each with what shows its steps."""
    try:
        with os.scandir(folder) as entries:
            listed = [entry for entry in entries if entry.name.lower().endswith(ENDINGS) and entry.name[0] != "."]
            kept = [(Path(entry.path), entry.stat()) for entry in listed if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise PictureError(f"{folder}: there is no such folder", code="no_pictures", hint="!gallery FOLDER") from None
    found = {path.name: _File(path, stat.st_mtime_ns, stat.st_size) for path, stat in kept}
    for name in list(found):
        for ending in STEPS:
            whose = found.get(name.removesuffix(ending) + ".png") if name.endswith(ending) else None
            if whose is not None:
                whose.steps.append(found.pop(name))
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
                    f"{self._path}: this page is not a gallery of ours, and is kept",
                    code="not_ours",
                    hint="move it elsewhere, then say !gallery again",
                )
            at = self._page.tell()
            for line in self._page:
                if match := _IMAGE.fullmatch(line):
                    self._places[match[1].decode()] = at, len(line)
                at += len(line)
        return self

    def __exit__(self, *error: object) -> None:
        if self._page is not None:
            self._page.close()

    def has(self, file: _File) -> bool:
        """Whether the thumbnail of `file`, as it is now, is there."""
        return file.key in self._places

    def image(self, file: _File) -> str | None:
        """Its `<img …>`."""
        if self._page is None or not self.has(file):
            return None
        start, length = self._places[file.key]
        self._page.seek(start)
        return self._page.read(length).decode("ascii")


def _write(path: Path, found: list[_File], earlier: _Earlier, title: str) -> None:
    """Written aside, so that there is a whole page at any moment."""
    head, tail = _template(escape(clean(title)), len(found))
    with own.replacing(path) as page:
        page.write(head.encode())
        for file in found:
            for part in _figure(file, earlier):
                page.write(part.encode())
        page.write(tail.encode())


def _template(title: str, count: int) -> tuple[str, str]:
    """What stands before and behind the pictures."""
    text = files("invoke.outputs").joinpath(NAME).read_text(encoding="utf-8")
    policy = {}
    for part in ("style", "script"):
        # what is hashed is what the browser will see: without the template's own escapes
        inside = text.split(f"<{part}>")[1].split(f"</{part}>")[0].replace("$$", "$")
        digest = hashlib.sha256(inside.encode()).digest()
        policy[part] = f"sha256-{base64.b64encode(digest).decode()}"
    head, tail = text.split("$pictures")
    return Template(head).substitute(policy, title=title, count=counted(count, "picture")), Template(tail).substitute()


def _figure(file: _File, earlier: _Earlier) -> Iterator[str]:
    """A picture as it stands on the page: its thumbnail, steps, name and line."""
    link, name = escape(file.link), escape(clean(file.name))
    yield f'<figure>\n<a class="picture" href="{link}">\n'
    yield earlier.image(file) or _image(file, SIDE, SIDE)
    yield "</a>\n"
    for strip in file.steps:
        if strip.name.endswith(STEPS[0]):
            yield f'<a class="steps" href="{escape(strip.link)}" title="its steps">\n'
            yield earlier.image(strip) or _image(strip, 64 * STRIP_HEIGHT, STRIP_HEIGHT)
            yield "</a>\n"
    yield f'<figcaption><a href="{link}">{name}</a>\n'
    for steps in file.steps:
        if not steps.name.endswith(STEPS[0]):
            yield f'<a href="{escape(steps.link)}">{escape(clean(steps.name))}</a>\n'
    yield from _told(file)
    yield "</figcaption>\n</figure>\n"


def _told(file: _File) -> Iterator[str]:
    """How the picture was made, as far as its file says."""
    try:
        recipe = metadata.read(file.path)
    except PictureError as error:
        yield f"<small>{escape(clean(error.message))}</small>\n"
        return
    if recipe is None or not recipe.line:
        return
    if recipe.template:
        drawn_from = " · ".join(recipe.template.values())
        yield f"<small>drawn from {escape(clean(drawn_from))}</small>\n"
    yield f'<code>{escape(clean(recipe.line))}</code>\n<button type="button" hidden>copy the line</button>\n'


def _image(file: _File, width: int, height: int) -> str:
    """The picture within `width` × `height` as an `<img>`, on a line of its own; a sentence where it is none."""
    from PIL import Image

    try:
        picture = open_picture(file.path)
    except PictureError as error:
        return f"<small>{escape(clean(error.message))}</small>\n"
    image = picture.image
    if picture.alpha is not None:
        image.putalpha(picture.alpha)
    image.thumbnail((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
    packed = BytesIO()
    image.save(packed, "WEBP", quality=50, method=2)
    data = base64.b64encode(packed.getvalue()).decode()
    return (
        f'<img data-key="{file.key}" width="{image.width}" height="{image.height}" loading="lazy" decoding="async" '
        f'alt="" src="data:image/webp;base64,{data}">\n'
    )
