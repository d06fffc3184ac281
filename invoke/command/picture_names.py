"""What names a picture on a line: a path, `-1` for the newest of the sitting, `-` for the standard input."""

import re
from collections.abc import Sequence
from pathlib import Path

from invoke.command.world import World
from invoke.errors import RequestError
from invoke.paths import expanded, is_there
from invoke.switches import by_name
from invoke.wording import counted

_REFERENCE = re.compile(r"-[1-9][0-9]*")


def picture_path(name: str, typed: str, world: World, outdir: str) -> str:
    """The path that `typed` means behind the switch `name`. Raises RequestError."""
    spelling = by_name()[name].spelling
    if is_reference(typed):
        return recalled(spelling, int(typed), world.newest)[0]
    if typed == "-":
        raise RequestError(
            f"{spelling} -: no picture can come through the standard input here",
            code="stdin_taken",
            hint="for -I of one line it can: cat fire.png | invoke 'a fire -I -'",
        )
    return find_picture(typed, outdir)


def find_picture(typed: str, outdir: str) -> str:
    """The path that `typed` names: in the working folder, else in the output folder."""
    path = expanded(typed)
    there = Path(outdir) / path
    if not path.is_absolute() and not is_there(path) and is_there(there):
        return str(there)
    return str(path)


def is_reference(typed: str) -> bool:
    """Whether `typed` says how long ago a picture was made."""
    return _REFERENCE.fullmatch(typed) is not None


def recalled(what: str, back: int, newest: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Path and seed of the `back`th (−1, −2 …) of the `newest` pictures. Raises RequestError, which names `what`."""
    if -back > len(newest):
        some = f"only {counted(len(newest), 'picture')} {'was' if len(newest) == 1 else 'were'} made in this sitting"
        raise RequestError(
            f"{what} {back}: {some if newest else 'no picture was made in this sitting yet'}", code="no_such_picture"
        )
    return newest[back]
