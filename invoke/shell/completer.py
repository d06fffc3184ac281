"""Adapts our completion and history to prompt_toolkit; provides the session's files, models, pictures and seeds."""

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from time import perf_counter

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History as EditorHistory

from invoke.errors import InvokeError
from invoke.images.header_size import picture_size
from invoke.language.complete import suggest
from invoke.language.complete.sources import Sources
from invoke.language.render import render_switch
from invoke.language.resolve.wildcards import WildcardFiles
from invoke.language.switches import by_name, in_force
from invoke.session import Session
from invoke.shell.history import History
from invoke.text import clean

_OPEN = "/(=,:"
"""Last characters of unfinished words."""


class TableCompleter(Completer):
    """Adapts `language.complete.suggest` to prompt_toolkit."""

    def __init__(self, sources: Callable[[], Sources]) -> None:
        self._sources = sources
        self.finished = ""
        """The text after the last completion, if that is the only one and ends with a space."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        suggestions = suggest(before, self._sources())
        only = suggestions[0] if len(suggestions) == 1 and not document.text_after_cursor.strip() else None
        for suggestion in suggestions:
            # a finished word is followed by a space
            space = " " if suggestion is only and suggestion.text.rstrip('"')[-1:] not in _OPEN else ""
            if space:
                self.finished = before[: suggestion.start] + suggestion.text + space
            yield Completion(
                suggestion.text + space,
                start_position=suggestion.start - len(before),
                display=clean(suggestion.text),
                display_meta=clean(suggestion.about),
            )


class RecalledHistory(EditorHistory):
    """Our history, for Up, Ctrl-R and suggestions. Lines are added elsewhere."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def load(self) -> AsyncGenerator[str, None]:
        for line in reversed(self._history.recalled()):
            yield line

    def get_strings(self) -> list[str]:
        return self._history.lines

    def append_string(self, string: str) -> None:
        pass

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.recalled())

    def store_string(self, string: str) -> None:
        pass


BUDGET = 0.008
"""Seconds spent on reading sizes of pictures per completion; further files are shown without a size."""


def sources(session: Session) -> Sources:
    """The current sources of completion."""
    kinds: dict[str, dict[str, str]] = {}
    for spec in session.models:
        kinds.setdefault(spec.kind, {})[spec.name] = spec.description
    return Sources(
        models=kinds.pop("model", {}),
        added=kinds,
        made=tuple(session.made),
        changed={name: " ".join(render_switch(by_name()[name], value)) for name, value in session.changed.items()},
        presets=lambda: _presets(session),
        wildcards=lambda: WildcardFiles(session.wildcards).files,
        outdir=in_force("outdir", session.defaults),
        folder=_folder,
        about_picture=_about_pictures(),
    )


def _presets(session: Session) -> Mapping[str, str]:
    try:
        return session.presets()
    except InvokeError:  # reported when a preset is used
        return {}


def _folder(path: str) -> Iterable[tuple[str, bool]]:
    try:
        with os.scandir(path) as entries:
            return [(entry.name, _is_folder(entry)) for entry in entries]
    except (OSError, ValueError):
        return ()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _about_pictures() -> Callable[[str], str]:
    """A function that describes pictures by size until the time budget is used up."""
    deadline: float | None = None

    def about(path: str) -> str:
        nonlocal deadline
        if deadline is None:
            deadline = perf_counter() + BUDGET
        if perf_counter() > deadline:
            return ""
        size = picture_size(path)
        return f"{size[0]}×{size[1]}" if size else "no picture"

    return about
