"""What each command does. The table of them is `command.commands`; a row there has its function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from invoke.answers import ANSWERS, answer
from invoke.command.commands import AGAIN, NUMBER, expect, find, in_place
from invoke.command.draft import Bang, Draft
from invoke.command.parse import read
from invoke.command.render import render_switch
from invoke.command.selection import read_selection
from invoke.errors import CommandError, PictureError, RequestError
from invoke.finding import folder_named, pictures_named
from invoke.shell.entries import del_model, edit_model, import_model
from invoke.shell.fetch import fetch
from invoke.shell.fix import fix
from invoke.shell.make import give_back, make_again, show_gallery, show_selection
from invoke.shell.models import switch
from invoke.shell.optimise import optimise
from invoke.shell.replay import replay
from invoke.switches import by_name
from invoke.wording import counted

if TYPE_CHECKING:
    from invoke.shell.sitting import Sitting

SHOWN = 100
"""Lines of the history that are listed at once."""
LONGEST_NUMBER = 9


def run(sitting: Sitting, bang: Bang) -> None:
    """Do what `bang` says. Raises InvokeError."""
    FUNCTIONS[find(bang, in_file=sitting.replaying).name](sitting, bang)


def _answer(sitting: Sitting, bang: Bang) -> None:
    for line in answer(bang, sitting.session, sitting.terminal.columns):
        sitting.terminal.say(line)


def _history(sitting: Sitting, bang: Bang) -> None:
    found = sitting.history.find(bang.rest)
    if not found:
        what = f"no line holds '{bang.rest}'" if bang.rest else "no line was typed yet"
        sitting.terminal.say(what)
    if len(found) > SHOWN:
        sitting.terminal.say(f"  … {len(found) - SHOWN} older ones; !search TEXT finds them")
    for number, line in found[-SHOWN:]:
        sitting.terminal.say(f"  [{number}] {_one_line(line)}")


def _search(sitting: Sitting, bang: Bang) -> None:
    expect(bang, "the text to look for")
    _history(sitting, bang)


def _recall(sitting: Sitting, bang: Bang) -> None:
    lines = sitting.history.lines
    number = int(bang.name) if bang.name.isdecimal() and len(bang.name) <= LONGEST_NUMBER else 0
    if not 0 < number <= len(lines):
        known = f"1 to {len(lines)}" if lines else "none yet"
        raise CommandError(
            f"there is no line {bang.name} in the history: {known}",
            code="no_such_line",
            column=0,
            hint="!history lists them",
        )
    sitting.put_back(f"{lines[number - 1]} {bang.rest}".rstrip())


def _again(sitting: Sitting, bang: Bang) -> None:
    last = next((line for line in reversed(sitting.history.lines) if _is_prompt(line)), None)
    if last is None:
        raise CommandError("there is no line to make again yet", code="no_such_line", column=0)
    line = f"{last} {bang.rest}".rstrip()
    sitting.terminal.say(_one_line(line))
    sitting.enter(line)


def _clear(sitting: Sitting, bang: Bang) -> None:
    count = len(sitting.history.lines)
    try:
        sitting.history.clear()
    except OSError as error:
        raise RequestError(f"the history cannot be cleared: {error.strerror or error}") from error
    sitting.terminal.say(f"forgotten: {counted(count, 'line')}")


def _verify(sitting: Sitting, bang: Bang) -> None:
    paths = pictures_named(bang, sitting.session)
    for path in paths:
        sitting.terminal.say(path)
        try:
            make_again(sitting.session, path, sitting.terminal)
        except PictureError as error:
            if len(paths) == 1:
                error.column = bang.column
                raise
            sitting.terminal.error(error, "")  # a sheet, most likely; the pictures behind it are still to be made


def _mask(sitting: Sitting, bang: Bang) -> None:
    session = sitting.session
    show_selection(session, read_selection(bang, session.defaults, session.made), sitting.terminal)


def _set(sitting: Sitting, bang: Bang) -> None:
    session = sitting.session
    if bang.rest:
        before = session.model
        session.set_default(in_place(bang))
        if session.model != before:
            session.engine.load(session.model)
    in_force = {"model": session.model} | session.defaults
    sitting.terminal.say(" ".join(word for name in in_force for word in render_switch(by_name()[name], in_force[name])))


def _gallery(sitting: Sitting, bang: Bang) -> None:
    show_gallery(sitting.session, folder_named(bang, sitting.session), sitting.terminal)


def _free(sitting: Sitting, bang: Bang) -> None:
    give_back(sitting.session, sitting.terminal)


def _quit(sitting: Sitting, bang: Bang) -> None:
    sitting.leaving = True


FUNCTIONS: Mapping[str, Callable[[Sitting, Bang], None]] = {
    **dict.fromkeys(ANSWERS, _answer),
    "history": _history,
    "search": _search,
    NUMBER: _recall,
    AGAIN: _again,
    "clear": _clear,
    "fetch": fetch,
    "replay": replay,
    "verify": _verify,
    "fix": fix,
    "mask": _mask,
    "switch": switch,
    "import_model": import_model,
    "edit_model": edit_model,
    "del_model": del_model,
    "optimize_model": optimise,
    "set": _set,
    "gallery": _gallery,
    "free": _free,
    "quit": _quit,
}


def _is_prompt(line: str) -> bool:
    try:
        return isinstance(read(line), Draft)
    except CommandError:
        return True


def _one_line(line: str) -> str:
    return line.replace("\n", " ")
