"""Finds pictures named in commands: in the working folder, then in the output folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.errors import CommandError, PictureError, RequestError
from invoke.images import PICTURES
from invoke.language.command_table import argument, arguments, in_place
from invoke.language.parse import CommandCall, parse
from invoke.language.resolve.init_image import (
    address_of,
    is_reference,
    picture_of_line,
    recalled,
    refuse_url,
)
from invoke.language.switches import by_name, in_force
from invoke.paths import expanded, matching
from invoke.session import Session


def called(typed: str, session: Session, column: int | None = None) -> list[str]:
    """The pictures matching a name or pattern in the working folder, else in the output folder; may be empty.

    `-1` is the session's newest picture, unless a file has that name. Raises RequestError with the column.
    """
    try:
        refuse_url(typed)
    except RequestError as error:
        error.column = column
        raise
    folder = in_force("outdir", session.defaults)
    path = expanded(typed)
    places = [str(place) for place in (path, expanded(Path(folder) / path))]
    for place in places:
        if os.path.exists(place):  # noqa: PTH110
            return [place]
    if is_reference(typed):
        return [_made(int(typed), session, column)]
    if (address := address_of(typed)) is not None:
        with _at(column):
            return [picture_of_line("picture", *address, session.made_by_line)[0]]
    return next(filter(None, map(_matching, places)), [])


def pictures_named(call: CommandCall, session: Session) -> list[str]:
    """The pictures that a command names, by names and patterns; a name without a match is returned as it is.

    A single name with spaces needs no quotes. Raises CommandError if there is no name, RequestError like `called`.
    """
    typed = argument(call, "a picture")
    words = [word.text for word in arguments(call)]
    column = call.column
    return called(typed, session, column) or [
        path for word in words for path in called(word, session, column) or [word]
    ]


def folder_named(call: CommandCall, session: Session) -> Path:
    """The folder that a command names, directly or with -o; by default the output folder. Raises CommandError."""
    draft = parse(in_place(call))
    for name in draft.switches:
        if name != "outdir":
            raise CommandError(f"{by_name()[name].spelling} cannot be used here", column=draft.columns.get(name))
    outdir = in_force("outdir", session.defaults | dict(draft.switches))
    return expanded(draft.prompt or outdir)


def picture_of(typed: str, session: Session, column: int) -> str:
    """The picture that a word of a command names: a file, `-1`, `12.3`, or `12` for a line's only picture.

    Raises CommandError, PictureError or RequestError with the column.
    """
    found = called(typed, session, column)
    if not found and typed.isdecimal() and len(typed) < 10:
        found = [path for path, _ in session.made_by_line.get(int(typed), ())]
        if not found:
            raise RequestError(f"line {typed} made no picture in this session", code="no_such_picture", column=column)
    if len(found) > 1:
        raise CommandError(
            f"{typed} matches {len(found)} pictures, but one is expected",
            code="many_pictures",
            column=column,
            hint=f"name one of them, such as {typed}.1" if typed.isdecimal() else "",
        )
    if not found or not os.path.isfile(found[0]):  # noqa: PTH113
        raise PictureError(f"{found[0] if found else typed}: there is no such picture", column=column)
    return found[0]


def _made(back: int, session: Session, column: int | None) -> str:
    with _at(column):
        return recalled("picture", back, session.made)[0]


@contextmanager
def _at(column: int | None) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        error.column = column
        raise


def _matching(pattern: str) -> list[str]:
    return [path for path in matching(pattern) if path.lower().endswith(PICTURES)]
