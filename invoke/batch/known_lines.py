"""By what a batch knows a line again, the folder that it names itself, and the seeds that were drawn for it."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from invoke.command.draft import Draft
from invoke.errors import InvokeError, OutputError
from invoke.session import Session
from invoke.switches import in_force

UNTOLD = ("outdir", "batch_size")
"""Defaults that make no other picture: where it goes, and how many are drawn side by side."""
_OF_A_FOLDER = {"output_unwritable", "output_failed", "disk_full"}
"""Codes of an OutputError that tell of a folder, and of nothing else that a batch writes to."""
_REFERENCE = re.compile(r"""(?:^|[\s="']|-[A-Za-z])-([1-9][0-9]{0,8})(?![^\s"'])""")


def identity(line: str, session: Session) -> str:
    """A digest of what decides about the pictures of `line`: its text, what is in force, pictures that it refers to.

    A seed that is drawn at random is no part of it, nor is the number of the line: a file can be edited.
    """
    settings = {name: value for name, value in session.defaults.items() if name not in UNTOLD}
    backs = [int(back) for back in _REFERENCE.findall(line)]
    meant = [Path(session.made[-back].path).name for back in backs if back <= len(session.made)]
    said = json.dumps([line.strip(), session.model, settings, meant], sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:16]


def refers_back(line: str) -> bool:
    """Whether `line` may mean a picture or a seed by how long ago it was made."""
    return _REFERENCE.search(line) is not None


def outdir(draft: Draft, session: Session) -> str:
    """Where the pictures of `draft` go."""
    found: str = in_force("outdir", {**session.defaults, **draft.said})
    return found


@contextmanager
def own_folder(column: int | None) -> Iterator[None]:
    """A folder that cannot be used is the fault of the line alone that names it, with an -o at `column`."""
    try:
        yield
    except OutputError as error:
        if error.code in _OF_A_FOLDER:
            error.column = column
        raise


def is_of_one_line(error: InvokeError) -> bool:
    """Whether the lines behind the one that has failed so can still be made and saved."""
    return not isinstance(error, OutputError) or error.column is not None


def own_column(draft: Draft) -> int | None:
    """Where `draft` says itself where its pictures go."""
    return {name: column for part in draft.parts for name, column in part.columns.items()}.get("outdir")


class Seeds:
    """Draws the seeds that nobody says: those that were drawn for a line earlier, then new ones."""

    def __init__(self, earlier: Sequence[int], others: Callable[[], int]) -> None:
        self.drawn: list[int] = []
        self.others = others
        self._earlier = deque(earlier)

    def __call__(self) -> int:
        self.drawn.append(self._earlier.popleft() if self._earlier else self.others())
        return self.drawn[-1]
