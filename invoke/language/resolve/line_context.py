"""LineContext: the context in which a line is resolved; ErrorColumn: adds columns to errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invoke.errors import InvokeError
from invoke.language.parse import Draft
from invoke.language.seeds import DrawSeed
from invoke.language.tokens import read_value, skip_spaces
from invoke.models import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class LineContext:
    """The context of a line: models, defaults, earlier pictures."""

    models: Registry
    model: str
    """The model for lines without `-m`."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name → default value, from the launch and the session."""
    newest: Sequence[tuple[str, int]] = ()
    """(path, seed) of the pictures made in this session, oldest first."""
    by_line: Mapping[int, Sequence[tuple[str, int]]] = field(default_factory=dict)
    """Number of a line in the shell → (path, seed) of its pictures."""
    promised: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Path → (width, height) of queued pictures, which do not exist yet."""
    draw_seed: DrawSeed
    save_intermediates: int = 0
    """Default for lines without `--save_intermediates`."""
    presets: Callable[[], Mapping[str, str]] = dict
    """Returns the presets (`+name`): name → line. Raises CommandError if their file cannot be read."""
    wildcards: Sequence[Path] = ()
    """Folders of wildcard files for `--wild`; earlier ones win."""


class ErrorColumn:
    """Context that adds a column to errors raised inside: that of word number `word` of the value of switch `name`."""

    def __init__(self, draft: Draft, name: str, word: int = 0) -> None:
        self.column = draft.values.get(name)
        for _ in range(word if self.column is not None else 0):
            assert self.column is not None
            self.column = skip_spaces(draft.line, read_value(draft.line, self.column).end)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvokeError) and error.column is None:
            error.column = self.column
