"""Our completion and history in the form that prompt_toolkit asks for."""

from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History as EditorHistory

from invoke.command.sources import Sources
from invoke.command.suggest import suggest
from invoke.shell.history import History
from invoke.text import clean


class TableCompleter(Completer):
    """`command.suggest`, as prompt_toolkit asks for it."""

    def __init__(self, sources: Callable[[], Sources]) -> None:
        self._sources = sources

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        for suggestion in suggest(before, self._sources()):
            yield Completion(
                suggestion.text,
                start_position=suggestion.start - len(before),
                display=clean(suggestion.text),
                display_meta=clean(suggestion.about),
            )


class RecalledHistory(EditorHistory):
    """Our history, for Up, Ctrl-R and suggestions. What is kept in it is decided elsewhere."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def load(self) -> AsyncGenerator[str, None]:
        for line in reversed(self._history.lines):
            yield line

    def get_strings(self) -> list[str]:
        return self._history.lines

    def append_string(self, string: str) -> None:
        pass

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.lines)

    def store_string(self, string: str) -> None:
        pass
