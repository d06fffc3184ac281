"""PictureFacts: the properties of a picture that planning needs, cached until its file changes."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from invoke.errors import PictureError
from invoke.images.files import stamp
from invoke.images.opening import Picture, open_picture
from invoke.images.transparency import Transparency


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Size, transparency and notes of a picture."""

    path: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    transparency: Transparency = field(default_factory=Transparency)

    @property
    def transparent(self) -> float:
        """Mean transparency, 0..1."""
        return self.transparency.share

    @property
    def has_hole(self) -> bool:
        """Whether its transparency marks a part to repaint."""
        return self.transparency.has_hole


def describe(path: str | Path) -> PictureFacts:
    """The facts about the picture at `path`; cached until the file changes.

    Raises PictureError.
    """
    name = str(path)
    facts = _facts(name, stamp(name))
    if isinstance(facts, PictureError):
        raise _again(facts)
    return facts


def mask_share(path: str | Path) -> float:
    """The fraction of a picture that the mask at `path` repaints, 0..1; cached. Raises PictureError."""
    name = str(path)
    return _mask_share(name, stamp(name))


def check_mask(path: str, share: float, *, is_inverted: bool) -> None:
    """Raise PictureError where the mask at `path`, which repaints `share` of a picture, leaves nothing to do."""
    if share == (1 if is_inverted else 0):
        raise PictureError(
            f"{path}: this mask keeps everything: nothing would be repainted",
            hint="black or transparent parts are repainted; --invert_mask swaps the two",
        )


def map_range(path: str | Path) -> tuple[int, int]:
    """The darkest and brightest level (0..255) of the strength map at `path`; cached. Raises PictureError."""
    name = str(path)
    return _range(name, stamp(name), is_mask=False)


def mask_range(path: str | Path) -> tuple[int, int]:
    """The darkest and brightest level (0..255) of the mask at `path`; 255 = keep; cached. Raises PictureError."""
    name = str(path)
    return _range(name, stamp(name), is_mask=True)


@lru_cache(maxsize=256)
def _facts(path: str, written: tuple[int, ...]) -> PictureFacts | PictureError:
    """The facts about the version of a file with the stamp `written`. Errors are cached, too."""
    try:
        picture = open_picture(path, enough=(1, 1))
    except PictureError as error:
        return _again(error)
    return _facts_of(path, picture)


@lru_cache(maxsize=256)
def _mask_share(path: str, written: tuple[int, ...]) -> float:
    return open_picture(path).mask_share


@lru_cache(maxsize=256)
def _range(path: str, written: tuple[int, ...], *, is_mask: bool) -> tuple[int, int]:
    picture = open_picture(path)
    low, high = (picture.as_mask if is_mask else picture.as_map).getextrema()
    return int(low), int(high)  # type: ignore[arg-type] # of one channel


def _facts_of(path: str, picture: Picture) -> PictureFacts:
    return PictureFacts(path, *picture.size_in_file, picture.notes, picture.transparency)


def _again(error: PictureError) -> PictureError:
    """A copy of the error without its traceback, which would keep frames and the file alive."""
    return PictureError(error.message, code=error.code, hint=error.hint)
