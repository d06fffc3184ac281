"""The entry of a picture on the page of `!gallery`: thumbnail, steps, facts, init picture, line."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from invoke.errors import PictureError
from invoke.images import open_picture
from invoke.outputs import metadata
from invoke.outputs.filenames import seed_shown
from invoke.paths import expanded, is_there
from invoke.request import Request
from invoke.text import clean

STEPS = (".steps.png", ".steps.gif")
"""Suffixes of files that show a picture's steps; the first is displayed below it."""
SHEETS = (".grid.png", ".sweep.png")
SIDE = 192
"""Longer side of a thumbnail, in pixels."""
QUALITY = 40
"""WebP quality of a thumbnail: about 2.5 kB each, so that a page of 1,000 pictures has less than 5 MB."""
STRIP_HEIGHT = 64
LONGEST_ALT = 200
"""Maximum length of the alternative text."""


@dataclass(frozen=True, slots=True)
class GalleryFile:
    """A picture in the folder."""

    path: Path
    changed: int
    size: int
    steps: "list[GalleryFile]" = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def link(self) -> str:
        """A relative link, even if the name looks like a URL: `javascript:x.png`."""
        return "./" + quote(os.fsencode(self.name), safe="")

    @property
    def anchor(self) -> str:
        """An anchor that is stable across updates of the page."""
        return "p" + hashlib.sha256(os.fsencode(self.name)).hexdigest()[:12]

    @property
    def key(self) -> str:
        """A key that changes when the file does."""
        stamp = f"{self.changed} {self.size} ".encode() + os.fsencode(self.name)
        return hashlib.sha256(stamp).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Page:
    """Renders the pictures of `folder` for the page."""

    folder: Path
    files: dict[str, GalleryFile]
    earlier: Callable[[GalleryFile], str | None]
    """The existing thumbnail, in the form of `_packed`; None if there is none."""

    def figure(self, file: GalleryFile) -> Iterator[str]:
        """Its thumbnail, steps, name, facts and line."""
        link, name = escape(file.link), escape(clean(file.name))
        try:
            recipe, refused = metadata.read(file.path), ""
        except PictureError as error:
            recipe, refused = None, error.message
        request = recipe.request if recipe else None
        prompt = request.prompt if request else recipe.line if recipe else ""
        yield f'<figure id="{file.anchor}"{_data(file, request)}>\n<a class="picture" href="{link}">\n'
        yield self._image(file, SIDE, SIDE, clean(prompt)[:LONGEST_ALT] or clean(file.name))
        yield "</a>\n"
        for strip in file.steps:
            if strip.name.endswith(STEPS[0]):
                yield f'<a class="steps" href="{escape(strip.link)}">\n'
                yield self._image(strip, 64 * STRIP_HEIGHT, STRIP_HEIGHT, f"the steps of {clean(file.name)}")
                yield "</a>\n"
        yield f'<figcaption><a href="{link}">{name}</a>\n'
        for steps in file.steps:
            if not steps.name.endswith(STEPS[0]):
                yield f'<a href="{escape(steps.link)}">{escape(clean(steps.name))}</a>\n'
        if request is not None:
            yield f'<small class="facts">{escape(" · ".join(_facts(request).values()))}</small>\n'
            yield from self._source(request)
        if refused:
            yield f"<small>{escape(clean(refused))}</small>\n"
        elif recipe is not None and (recipe.line or recipe.program):
            yield from _provenance(recipe)
        elif file.name.endswith(SHEETS):
            yield from self._sheet(file)
        yield "</figcaption>\n</figure>\n"

    def _source(self, request: Request) -> Iterator[str]:
        """The init picture, with a link if it still exists."""
        if request.init_path is None:
            return
        path = Path(os.path.abspath(expanded(request.init_path)))  # noqa: PTH100 - a link stays one
        name = escape(clean(path.name))
        if not is_there(path):
            yield f"<small>made from {name}</small>\n"
            return
        within = path.parent == Path(os.path.abspath(self.folder))  # noqa: PTH100
        figure = self.files.get(path.name) if within else None
        anchor = f' data-figure="{figure.anchor}"' if figure else ""
        yield f'<small>made from <a class="from"{anchor} href="{escape(_link(path, self.folder))}">{name}</a></small>\n'

    def _sheet(self, file: GalleryFile) -> Iterator[str]:
        """The line of a sheet: that of its pictures, apart from the seeds."""
        number = file.name.partition(".")[0] + "."
        for name in sorted(name for name in self.files if name.startswith(number) and not name.endswith(SHEETS)):
            with suppress(PictureError):
                recipe = metadata.read(self.files[name].path)
                if recipe is not None and recipe.line:
                    yield f"<small>a sheet; the line of {escape(clean(name))}</small>\n"
                    yield from _provenance(recipe)
                    return

    def _image(self, file: GalleryFile, width: int, height: int, alt: str) -> str:
        """The picture within `width` × `height` as an `<img>`, on its own line; the error if it cannot be read."""
        try:
            start = self.earlier(file) or _packed(file, width, height)
        except PictureError as error:
            return f"<small>{escape(clean(error.message))}</small>\n"
        return f'{start} alt="{escape(alt)}">\n'


def _data(file: GalleryFile, request: Request | None) -> str:
    """Data attributes for filtering and sorting."""
    seconds = file.changed // 10**9
    date = datetime.fromtimestamp(seconds).astimezone().date().isoformat()
    facts = {"name": file.name, "time": str(file.changed // 10**6), "date": date}
    if request is not None:
        facts |= {name: value.removeprefix("seed ") for name, value in _facts(request).items()}
    return "".join(f' data-{name}="{escape(clean(value))}"' for name, value in facts.items())


def _facts(request: Request) -> dict[str, str]:
    width, height = request.finished_size
    return {
        "model": clean(request.model),
        "size": f"{width}×{height}",
        "sampler": request.scheduler,
        "seed": f"seed {seed_shown(request)}",
    }


def _link(path: Path, folder: Path) -> str:
    """A link from the page to a file, relative if possible; a name never becomes a URL scheme."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path.as_uri()
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in Path(relative).parts)


def _provenance(recipe: metadata.Recipe) -> Iterator[str]:
    """How the picture was made, according to its file."""
    if recipe.template:
        drawn_from = " · ".join(recipe.template.values())
        yield f"<small>drawn from {escape(clean(drawn_from))}</small>\n"
    if recipe.program:
        yield f"<small>made by {escape(clean(recipe.program))}</small>\n"
    if recipe.left_out:
        yield f"<small>left out: {escape(clean('; '.join(recipe.left_out)))}</small>\n"
    if recipe.line:  # verbatim, so that a copied line makes the picture again
        yield f'<code>{escape(recipe.line)}</code>\n<button type="button" hidden>copy the line</button>\n'


def _packed(file: GalleryFile, width: int, height: int) -> str:
    """A thumbnail as an `<img …`, without the alternative text. Raises PictureError."""
    from PIL import Image

    picture = open_picture(file.path)
    image = picture.image
    if picture.alpha is not None:
        image.putalpha(picture.alpha)
    image.thumbnail((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
    packed = BytesIO()
    image.save(packed, "WEBP", quality=QUALITY, method=4)
    data = base64.b64encode(packed.getvalue()).decode()
    return (
        f'<img data-key="{file.key}" width="{image.width}" height="{image.height}" loading="lazy" decoding="async" '
        f'src="data:image/webp;base64,{data}"'
    )
