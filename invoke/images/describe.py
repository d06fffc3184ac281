"""What is to be known of a picture before anything is drawn from it, remembered until its file changes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from invoke.errors import PictureError
from invoke.images.files import stamp
from invoke.images.opening import open_picture

LEAST_HOLE = 0.001
"""A smaller share of transparent pixels is an accident, no hole."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is to be known of a picture before anything is drawn from it."""

    path: str
    width: int
    height: int
    transparent: float
    """Share of the pixels that are not fully opaque, 0..1."""
    notes: tuple[str, ...] = ()
    is_cut_out: bool = False
    """Whether its transparency, which varies, counts where it is a mask; else its luminance does."""

    @property
    def has_hole(self) -> bool:
        """Whether its own transparency says what is to be repainted."""
        return self.transparent >= LEAST_HOLE


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
    opaque = alpha.histogram()[255] / (picture.width * picture.height) if alpha is not None else 1
    return PictureFacts(path, picture.width, picture.height, 1 - opaque, picture.notes, picture.is_cut_out)


def _again(error: PictureError) -> PictureError:
    """The same refusal, without the frames (and the file) that hang on the first."""
    return PictureError(error.message, code=error.code, hint=error.hint)
