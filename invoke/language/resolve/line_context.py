"""LineContext: the surroundings in which a line is resolved; ErrorColumn: the place of an error in it."""

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
    """The surroundings of a line: models, defaults, earlier pictures."""

    models: Registry
    model: str
    """The one in use, for lines that name none."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Long name → value, of the launch and the session."""
    newest: Sequence[tuple[str, int]] = ()
    """(path, seed) of the pictures made in this session, oldest first."""
    by_line: Mapping[int, Sequence[tuple[str, int]]] = field(default_factory=dict)
    """Number of a line at the prompt → (path, seed) of its pictures."""
    promised: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of these paths: width and height of the pictures that are not made yet, so that they cannot be opened."""
    draw_seed: DrawSeed
    save_intermediates: int = 0
    """For lines that do not say."""
    presets: Callable[[], Mapping[str, str]] = dict
    """Name → line, of what `+name` adds. Raises CommandError where their file cannot be read."""
    wildcards: Sequence[Path] = ()
    """Folders of the files that `--wild` draws from; the first wins."""


class ErrorColumn:
    """Gives errors raised inside the column of the value of the switch called `name`: of its word number `word`."""

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
