"""Pictures that a command names: looked for where the user is, then where pictures go."""

import glob
import os
from pathlib import Path

from invoke.errors import CommandError, RequestError
from invoke.language.command_table import argument, arguments, in_place
from invoke.language.complete.sources import PICTURES
from invoke.language.parse import CommandCall, parse
from invoke.language.resolve.init_image import is_reference, recalled
from invoke.language.switches import by_name, in_force
from invoke.session import Session


def called(typed: str, session: Session, column: int | None = None) -> list[str]:
    """The pictures of this name or pattern in the working folder, else in the output folder; none is an answer.

    `-1` is the newest of the sitting, where no file is called so. Raises RequestError with the column.
    """
    folder = in_force("outdir", session.defaults)
    path = os.path.expanduser(typed)  # noqa: PTH111 - an unknown ~user is a name
    places = (path, os.path.join(folder, path))  # noqa: PTH118
    for place in places:
        if os.path.exists(place):  # noqa: PTH110
            return [place]
    if is_reference(typed):
        return [_made(int(typed), session, column)]
    return next(filter(None, map(_matching, places)), [])


def pictures_named(bang: CommandCall, session: Session) -> list[str]:
    """The pictures that a command names, by names and patterns; what is not there by the name itself.

    One name with blanks needs no quotes. Raises CommandError where none is named, RequestError as `called` does.
    """
    typed = argument(bang, "a picture")
    words = [word.text for word in arguments(bang)]
    column = bang.column
    return called(typed, session, column) or [
        path for word in words for path in called(word, session, column) or [word]
    ]


def folder_named(bang: CommandCall, session: Session) -> Path:
    """The folder that a command names, as itself or with -o; without, the output folder. Raises CommandError."""
    draft = parse(in_place(bang))
    for name in draft.switches:
        if name != "outdir":
            raise CommandError(
                f"{by_name()[name].spelling} says nothing about a folder", column=draft.columns.get(name)
            )
    outdir = in_force("outdir", session.defaults | dict(draft.switches))
    return Path(os.path.expanduser(draft.prompt or outdir))  # noqa: PTH111


def _made(back: int, session: Session, column: int | None) -> str:
    try:
        return recalled("picture", back, session.made)[0]
    except RequestError as error:
        error.column = column
        raise


def _matching(pattern: str) -> list[str]:
    return sorted(path for path in glob.glob(pattern) if path.lower().endswith(PICTURES))  # noqa: PTH207
