"""`!show`, `!open`, `!compare`, `!keep`, `!drop`, `!undo`: viewing and sorting pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke.commands.context import PromptContext
from invoke.commands.picture_arguments import picture_of
from invoke.commands.verify import compare as compare_pixels
from invoke.errors import CommandError, RequestError
from invoke.images import read_pixels
from invoke.language.command_table import argument, arguments, expect
from invoke.language.parse import CommandCall
from invoke.language.render import render_switch
from invoke.language.switches import by_field, in_force
from invoke.outputs import metadata, moving, sheets
from invoke.paths import expanded
from invoke.request import Request
from invoke.text import counted

_SAME_PROMPT = 60
"""Maximum number of characters shown of a prompt that differs."""


def show(context: PromptContext, call: CommandCall) -> None:
    """`!show [N|N.K|-1|FILE]`: display a picture in the terminal, with its size and recipe. Raises InvokeError."""
    path = picture_of(argument(call, "a picture") if call.rest else "-1", context.session, call.column)
    pixels = read_pixels(path)
    context.draw(pixels)
    recipe = metadata.read(path)
    facts = [path, f"{pixels.width}×{pixels.height}", _size(os.path.getsize(path))]  # noqa: PTH202
    if recipe is not None and recipe.facts is not None:
        facts += [
            recipe.facts.mode,
            counted(recipe.facts.steps_taken, "step"),
            f"{recipe.facts.device} {recipe.facts.dtype}",
        ]
    context.say(" · ".join(facts))
    if recipe is not None and recipe.line:
        context.say(recipe.line)


def open_picture(context: PromptContext, call: CommandCall) -> None:
    """`!open [picture]`: open it in the desktop's viewer. Raises InvokeError."""
    path = picture_of(argument(call, "a picture") if call.rest else "-1", context.session, call.column)
    opener = _opener()
    if opener is None:
        raise RequestError(
            "there is no desktop to open a picture with",
            code="no_desktop",
            hint=f"the file is {os.path.abspath(path)}; !show draws it in the terminal",  # noqa: PTH100
        )
    try:
        subprocess.Popen(  # noqa: S603 - a fixed program and a path
            [*opener, os.path.abspath(path)],  # noqa: PTH100
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise RequestError(
            f"{opener[0]} cannot be started: {error.strerror}", code="no_desktop", hint="!show draws the picture here"
        ) from None
    context.say(f"opening {path}")


def compare(context: PromptContext, call: CommandCall) -> None:
    """`!compare A B`: show two pictures side by side, in the terminal and as a file, and how their recipes differ.

    Raises InvokeError.
    """
    expect(call, "two pictures")
    words = arguments(call)
    if len(words) != 2:
        raise CommandError(
            "!compare expects two pictures",
            code="bad_value",
            column=call.column,
            hint="!compare -2 -1, !compare 12.1 12.3",
        )
    one, other = (picture_of(word.text, context.session, word.start) for word in words)
    pixels = read_pixels(one), read_pixels(other)
    names = [Path(path).name for path in (one, other)]
    context.draw(sheets.grid(pixels, names, columns=2))
    verdict = compare_pixels(other, *pixels)
    context.say(f"{one} and {other}: {_nearness(verdict.psnr, verdict.kind)}")
    for difference in _differences(one, other):
        context.say(f"  {difference}")
    files = context.session.writer(in_force("outdir", context.session.defaults)).begin()
    saved = files.save_grid(list(zip(pixels, names, strict=True)))
    context.say(f"    side by side  {saved.path}")


def keep(context: PromptContext, call: CommandCall) -> None:
    """`!keep [picture]`: move it into `kept/`. Raises InvokeError."""
    path = picture_of(argument(call, "a picture") if call.rest else "-1", context.session, call.column)
    context.say(f"kept: {_move(context, path, moving.KEPT)}")


def drop(context: PromptContext, call: CommandCall) -> None:
    """`!drop [picture]`: move it into `.trash/`. Raises InvokeError."""
    path = picture_of(argument(call, "a picture") if call.rest else "-1", context.session, call.column)
    dropped = _move(context, path, moving.TRASH)
    context.session.dropped_from = str(dropped.parent.parent)
    context.say(f"dropped: {dropped}; !undo brings it back")


def undo(context: PromptContext, call: CommandCall) -> None:
    """`!undo`: bring back the picture dropped last. Raises InvokeError."""
    folder = expanded(context.session.dropped_from or in_force("outdir", context.session.defaults))
    newest = moving.newest(folder, moving.TRASH)
    if newest is None:
        raise RequestError(f"{folder / moving.TRASH} is empty: nothing was dropped", code="no_such_picture")
    restored = moving.restore(newest)
    context.session.moved(str(newest), str(restored))
    context.say(f"back: {restored}")


def _move(context: PromptContext, path: str, into: str) -> Path:
    picture = Path(path)
    if picture.parent.name == into:
        raise RequestError(f"{path} is in {into}/ already", code="bad_value")
    moved = moving.restore(picture) if picture.parent.name in (moving.KEPT, moving.TRASH) else picture
    moved = moving.move(moved, into)
    context.session.moved(path, str(moved))
    return moved


def _opener() -> list[str] | None:
    if sys.platform == "darwin":
        return ["open"]
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return ["xdg-open"] if desktop else None


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _nearness(psnr: float, kind: str) -> str:
    if kind == "same":
        return "the same pixels"
    return f"{kind}, PSNR {psnr:.1f} dB" if psnr else "of different sizes"


def _differences(one: str, other: str) -> Iterator[str]:
    """Describe the differences between the recipes of two pictures."""
    requests = []
    for path in (one, other):
        recipe = metadata.read(path)
        if recipe is None or recipe.request is None:
            yield f"{path} has no recipe from this program"
            return
        requests.append(recipe.request)
    before, after = requests
    count = 0
    for name, row in by_field().items():
        values = getattr(before, name), getattr(after, name)
        if values[0] != values[1] and not any(isinstance(value, Request) for value in values):
            count += 1
            yield f"{row.name}: {' → '.join(_shown(row, value) for value in values)}"
    if not count:
        yield "the recipes are the same"


def _shown(row: Any, value: Any) -> str:
    if value in (None, "", ()):
        return "none"
    if isinstance(value, str):
        return f"“{value if len(value) <= _SAME_PROMPT else value[:_SAME_PROMPT] + '…'}”"
    words = [word for one in row.occurrences(value) for word in render_switch(row, one)]
    return " ".join(words) if row.is_flag or row.repeats else " ".join(words[1:])
