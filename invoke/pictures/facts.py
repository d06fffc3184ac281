"""What is to be known of a picture before anything is drawn from it, remembered until its file changes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from invoke.errors import PictureError
from invoke.pictures.files import stamp
from invoke.pictures.opening import open_picture


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is to be known of a picture before anything is drawn from it."""

    path: str
    width: int
    height: int
    transparent: float
    """Share of the pixels that are not fully opaque, 0..1."""
    erased: bool
    """The fully transparent pixels all have one colour: what was there is gone."""
    notes: tuple[str, ...] = ()


def describe(path: str | Path) -> PictureFacts:
    """What is known of the picture at `path`; remembered until the file changes.

    Raises PictureError.
    """
    name = str(path)
    facts = _facts(name, stamp(name))
    if isinstance(facts, PictureError):
        raise _again(facts)
    return facts


@lru_cache(maxsize=256)
def _facts(path: str, written: tuple[int, ...]) -> PictureFacts | PictureError:
    """Of the file that `stamp` tells from its earlier and later selves. Refusals are remembered as well."""
    try:
        picture = open_picture(path)
    except PictureError as error:
        return _again(error)
    alpha = picture.alpha
    transparent, erased = 0.0, False
    if alpha is not None:
        counts = alpha.histogram()
        transparent = 1 - counts[255] / (picture.width * picture.height)
        if counts[0]:
            holes = alpha.point([255] + [0] * 255)
            used = sum(count > 0 for count in picture.image.histogram(holes))
            erased = used == 3  # one level in each of the three channels
    return PictureFacts(path, picture.width, picture.height, transparent, erased, picture.notes)


def _again(error: PictureError) -> PictureError:
    """The same refusal, without the frames (and the file) that hang on the first."""
    return PictureError(error.message, code=error.code, hint=error.hint)
