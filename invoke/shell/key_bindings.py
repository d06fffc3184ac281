r"""Key bindings of the prompt; dropped or pasted paths.

Terminals write a dropped file as `'/my pics/x.png'`, `/my\ pics/x.png` or `file:///my%20pics/x.png`.
"""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, completion_is_selected, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from invoke.errors import CommandError
from invoke.images import PICTURES
from invoke.language.command_table import by_command
from invoke.language.complete.cursor import kind_of, part_start, split, waiting
from invoke.language.complete.sources import UNTYPABLE
from invoke.language.render import value_word
from invoke.language.tokens import SPACES, quote, read_word
from invoke.language.types import ModelName, Path
from invoke.paths import expanded, is_there


def line_keys() -> KeyBindings:
    """Bindings for Tab, line breaks, the external editor, and Enter where it does not submit the line."""
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab")
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and len(buffer.complete_state.completions) > 1:
            buffer.complete_next()
        else:
            buffer.complete_state = None  # a single completion is already inserted: Tab continues after it
            buffer.start_completion(insert_common_part=True)

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & Condition(_is_picture_alone))
    def _take_picture(event: KeyPressEvent) -> None:
        put = as_init_picture(event.current_buffer.text) or ""
        event.current_buffer.document = Document(put, len(put))

    @keys.add("enter", filter=completion_is_selected & Condition(_is_choosing))
    def _take_completion(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("f4")
    def _edit(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return keys


def _is_picture_alone() -> bool:
    return as_init_picture(get_app().current_buffer.text) is not None


def _is_choosing() -> bool:
    state = get_app().current_buffer.complete_state
    return state is not None and len(state.completions) > 1


LONGEST = 4096


def inserted(before: str, pasted: str) -> str:
    """The text to insert when `pasted` is pasted after `before`: `-I "…"` for a picture, a path where one is expected.

    Text that does not name a file is unchanged.
    """
    path = _file(pasted)
    if path is None:
        return pasted
    typed = before[split(before, part_start(before))[1].start :]
    if _is_open(typed):
        return quote(path)[1:] if typed == '"' and _expects_path(before[:-1]) else pasted
    if typed.startswith("--") and typed.endswith("="):
        return value_word(path)
    gap = " " if typed else ""
    if _expects_path(before + gap):
        return gap + value_word(path)
    return f"{gap}-I {value_word(path)} " if _is_picture(path) else pasted


def as_init_picture(line: str) -> str | None:
    """`-I "…"` for a line that is just the name of a picture; in double quotes it is a prompt."""
    path = None if line.lstrip(SPACES).startswith('"') else _file(line)
    return f"-I {value_word(path)} " if path is not None and _is_picture(path) else None


def _is_open(typed: str) -> bool:
    """Whether `typed` has an open quote."""
    try:
        read_word(typed, 0)
    except CommandError:
        return True
    return False


def _expects_path(before: str) -> bool:
    """Whether a switch or command at the end of `before` expects a file."""
    words, _ = split(before, part_start(before))
    expecting = waiting(before, words)
    if expecting is not None and len(expecting[1]) < expecting[0].type.needs:
        return isinstance(kind_of(*expecting), Path | ModelName)
    row = by_command().get(words[0].text[1:]) if len(words) == 1 and words[0].text.startswith("!") else None
    return row is not None and row.argument in {"picture", "text file", "folder", "model", "pickle"}


def _file(text: str) -> str | None:
    """The file or folder that a terminal denotes by `text`; None if there is none."""
    if len(text) > LONGEST:
        return None
    found = (path for path in _readings(text.strip(SPACES)) if not UNTYPABLE.search(path))
    return next((path for path in found if is_there(expanded(path))), None)


def _readings(text: str) -> Iterator[str]:
    yield text
    with suppress(ValueError):
        if text.startswith("file://"):
            yield unquote(urlsplit(text).path)
        words = shlex.split(text)
        if len(words) == 1:
            yield words[0]


def _is_picture(path: str) -> bool:
    return path.lower().endswith(PICTURES) and expanded(path).is_file()
