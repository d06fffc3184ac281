"""Underlines mistakes while typing; the check runs in the background."""

import logging
from collections.abc import Callable
from functools import lru_cache

from prompt_toolkit.application import get_app
from prompt_toolkit.eventloop import run_in_executor_with_context
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from invoke.language.complete.diagnostics import Diagnostic, Resolve, diagnose, finished

log = logging.getLogger(__name__)


class Proofreader:
    """Finds the first mistake in the typed line, in the background, whenever a word is finished."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._asked = ""
        self._wrong: Diagnostic | None = None
        self._looked_at = ""
        """The text that `_wrong` refers to; `_asked` is newer while it is being checked."""
        self._finished = lru_cache(maxsize=1)(finished)  # called several times per frame

    def wrong(self, line: str, cursor: int) -> Diagnostic | None:
        """The known mistake, unless it is at the cursor. The screen is redrawn when a check finishes."""
        text = self._finished(line, cursor)
        if text != self._asked and not get_app().is_done:
            self._asked = text
            get_app().create_background_task(self._look(text, line, cursor))
        found = self._wrong
        if found is None or line[: found.end] != self._looked_at[: found.end] or found.is_typed_at(cursor):
            return None
        return found

    async def _look(self, text: str, line: str, cursor: int) -> None:
        try:
            found = await run_in_executor_with_context(lambda: diagnose(line, cursor, self._resolve))
        except Exception:  # a bug, which is reported when the line is entered
            log.exception("%s", line)
            return
        if text == self._asked:
            self._wrong, self._looked_at = found, text
            get_app().invalidate()


class Underline(Processor):
    """Underlines the word that `wrong` returns."""

    def __init__(self, wrong: Callable[[], Diagnostic | None]) -> None:
        self._wrong = wrong

    def apply_transformation(self, shown: TransformationInput) -> Transformation:
        searching = shown.document.text != shown.buffer_control.buffer.text  # a line of the history is shown
        wrong = None if searching or get_app().is_done else self._wrong()
        if wrong is None:
            return Transformation(shown.fragments)
        fragments: StyleAndTextTuples = explode_text_fragments(shown.fragments)
        start = shown.document.translate_row_col_to_index(shown.lineno, 0)
        length = len(shown.document.lines[shown.lineno])
        for column in range(max(0, wrong.start - start), min(length, wrong.end - start)):
            at = shown.source_to_display(column)
            fragments[at] = (f"{fragments[at][0]} class:wrong", fragments[at][1])
        return Transformation(fragments)
