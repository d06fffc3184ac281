"""What a killed batch has left: finished pictures, the identity of lines, the seeds that were drawn."""

import json
import re
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from invoke.errors import InvokeError, OutputError, PictureError
from invoke.language.parse import Draft
from invoke.language.plan import Plan, Planned
from invoke.language.switches import in_force
from invoke.outputs import filenames, metadata
from invoke.outputs.ledger import Entry
from invoke.outputs.writer import INTERMEDIATES
from invoke.paths import expanded
from invoke.request import Request
from invoke.session import Session

_SLACK = 2.0
"""Seconds by which a file may seem older than it is."""


def digest(request: Request) -> str:
    """What tells a picture from the others of its line, whatever their order and however its folder is typed."""
    start = request.init_image
    told = replace(request, batch_size=1, init_image=Path(start).name if isinstance(start, str) else start)
    return sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def resumed(plan: Plan, entry: Entry, is_known: Callable[[str], bool]) -> Plan:
    """`plan` under the number that was claimed for it, without the pictures and sheets that are there.

    A picture counts as there when the ledger knows it and its file exists; or when it was saved in the moment before
    the ledger could be told, which its recipe shows (`is_known` tells of a name whether any line has such a file).
    A strip or an animation that was missed in that same moment stays missing.
    """
    if entry.number is None:
        return plan
    sheets = {kind: (entry.folder / f"{entry.number:06}.{kind}.png").exists() for kind in ("grid", "sweep")}
    return replace(
        plan,
        number=entry.number,
        made=_saved(plan, entry, is_known),
        output=replace(plan.output, grid=plan.output.grid and not sheets["grid"]),
        labels=() if sheets["sweep"] else plan.labels,
    )


def is_whole(plan: Plan) -> bool:
    """Whether nothing is left to make of `plan`."""
    return len(plan.made) == plan.count and not plan.output.grid and not plan.labels


def clear(plan: Plan) -> None:
    """Remove what is there of pictures that were being made: their steps, and what they were to be enlarged from.

    Under another name than the usual one nothing is sure to belong to this line, and nothing is removed.
    """
    if plan.number is None or plan.output.fnformat != filenames.DEFAULT:
        return
    folder = expanded(plan.output.outdir)
    for index, planned in enumerate(plan.pictures()):
        if index not in plan.made and not _cleared(folder, filenames.stem(plan.number, planned.request)):
            return


def _cleared(folder: Path, stem: str) -> bool:
    """Whether there was anything to remove."""
    for name in filenames.alternatives(stem):
        steps, original = folder / INTERMEDIATES / name, folder / f"{name}.orig.png"
        if (folder / f"{name}.png").exists():
            continue
        found = steps.is_dir() or original.exists()
        shutil.rmtree(steps, ignore_errors=True)
        original.unlink(missing_ok=True)
        return found
    return False


def _saved(plan: Plan, entry: Entry, is_known: Callable[[str], bool]) -> dict[int, str]:
    files: defaultdict[str, deque[str]] = defaultdict(deque)
    for picture in entry.pictures:
        files[picture.picture].append(picture.file)
    taken = {picture.file for picture in entry.pictures}
    made: dict[int, str] = {}
    looking = True
    for index, planned in enumerate(plan.pictures()):
        request = _started(planned, made)
        told = files[digest(request)]
        path = entry.folder / told.popleft() if told else None
        if path is None and looking:
            path = _untold(request, plan, entry, lambda name: name in taken or is_known(name))
            looking = path is not None
        if path is not None and path.exists():
            made[index] = str(path)
            taken.add(path.name)
        if not looking and not any(files.values()):
            break
    return made


def _started(planned: Planned, made: dict[int, str]) -> Request:
    """The request of `planned`, from the file that it starts from."""
    if planned.source is None or planned.source not in made:
        return planned.request
    return replace(planned.request, init_image=made[planned.source])


def _untold(request: Request, plan: Plan, entry: Entry, is_told: Callable[[str], bool]) -> Path | None:
    """The file of a picture that was saved, and the ledger not told."""
    assert entry.number is not None
    if plan.output.fnformat == filenames.DEFAULT:
        stem = filenames.stem(entry.number, request)
    else:
        stem = filenames.picture_stem(plan.output.fnformat, entry.number, request)
    for name in filenames.alternatives(stem):
        path = entry.folder / f"{name}.png"
        if not path.exists():
            return None
        is_newer = path.stat().st_mtime > entry.at - _SLACK
        if is_newer and _digest_of(path) == digest(request) and not is_told(path.name):
            return path
    return None


def _digest_of(path: Path) -> str:
    try:
        recipe = metadata.read(path)
    except PictureError:
        return ""
    return digest(recipe.request) if recipe is not None and recipe.request is not None else ""


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
