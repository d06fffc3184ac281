"""Syntax highlighting of the typed line: switches, values, weights, presets, existing and missing paths."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from invoke.language.complete.highlight import highlight
from invoke.language.resolve.init_image import find_picture
from invoke.paths import is_there

STYLE = {
    "command": "ansimagenta",
    "comment": "ansibrightblack",
    "switch": "ansicyan",
    "value": "ansigreen",
    "path": "ansigreen underline",
    "missing": "ansiyellow",
    "weight": "ansiblue",
    "preset": "ansimagenta",
    "chain": "bold",
}
"""Kind of a span → style."""


class LineLexer(Lexer):
    """Adapts `language.complete.highlight` to prompt_toolkit. Pictures are also searched in `outdir`."""

    def __init__(self, outdir: Callable[[], str]) -> None:
        self._outdir = outdir

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        text = document.text
        folder = self._outdir()
        spans = highlight(text, lru_cache(lambda path: _exists(path, folder)))
        starts = [document.translate_row_col_to_index(row, 0) for row in range(document.line_count)]

        def line(row: int) -> StyleAndTextTuples:
            if row >= len(starts):
                return []
            position, end = starts[row], starts[row] + len(document.lines[row])
            fragments: StyleAndTextTuples = []
            for span in spans:
                start, stop = max(span.start, position), min(span.end, end)
                if start < stop:
                    fragments += [("", text[position:start]), (f"class:{span.kind}", text[start:stop])]
                    position = stop
            return [*fragments, ("", text[position:end])]

        return line


def _exists(path: str, outdir: str) -> bool:
    """Whether a word refers to something: a file, a picture of the session (`-1`, `12.3`), standard input."""
    if path == "-" or path.lstrip("-").replace(".", "", 1).isdecimal():
        return True
    if any(letter in path for letter in "*?\0"):
        return True
    return is_there(Path(find_picture(path, outdir)))
