"""Resuming a batch: finding finished pictures, the identity of lines, and their random seeds."""

import json
import os
import re
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from invoke.errors import InvokeError, OutputError, PictureError
from invoke.language.parse import Draft
from invoke.language.plan import Plan, Planned, Redrawn
from invoke.language.switches import in_force, later_fields
from invoke.outputs import filenames, logs, metadata
from invoke.outputs.ledger import Entry
from invoke.outputs.moving import KEPT, TRASH
from invoke.outputs.writer import INTERMEDIATES, sentences
from invoke.paths import exists, expanded
from invoke.request import Request
from invoke.session import Session

_FLOATS = [field.name for field in fields(Request) if field.type in {float, "float"}]
_ALWAYS = object()
"""An object that equals nothing else."""
_SLACK = 2.0
"""Seconds by which a file's timestamp may be too old."""


def digest(request: Request) -> str:
    """Identifies a picture among those of its line, independent of their order and of the spelling of its folder."""
    start = request.init_image
    plain = replace(_exact(request), batch_size=1, init_image=Path(start).name if isinstance(start, str) else start)
    return sha256(_spelled(plain).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _spelled(request: Request) -> str:
    """Like `repr`, but without later fields at their default, so that ledgers of 0.1.0 still match."""
    said = {field.name: getattr(request, field.name) for field in fields(request)}
    said = {name: value for name, value in said.items() if value != later_fields().get(name, _ALWAYS)}
    words = (f"{name}={_spelled(value) if isinstance(value, Request) else repr(value)}" for name, value in said.items())
    return f"Request({', '.join(words)})"


def _exact(request: Request) -> Request:
    """`request` with its numbers as read from a file: a guidance scale of 5 becomes 5.0."""
    changes: dict[str, Any] = {name: float(getattr(request, name)) for name in _FLOATS}
    start = request.init_image
    return replace(request, **changes, init_image=_exact(start) if isinstance(start, Request) else start)


def resumed(plan: Plan, entry: Entry, is_listed: Callable[[str], bool]) -> Plan:
    """`plan` with the number that was claimed for it, without the pictures and sheets that already exist.

    A picture exists if the ledger lists it and its file is there, or if it was saved just before a kill, without a row
    in the ledger, which its recipe shows (`is_listed`: whether any line lists a file of this name).
    """
    if entry.number is None:
        return plan
    sheets = {kind: _is_there(entry.folder / f"{entry.number:06}.{kind}.png") for kind in ("grid", "sweep")}
    made = _saved(plan, entry, is_listed)
    return replace(
        plan,
        number=entry.number,
        made=made,
        redrawn=dict(_without_strip(plan, entry, made)),
        output=replace(plan.output, grid=plan.output.grid and not sheets["grid"]),
        labels=() if sheets["sweep"] else plan.labels,
    )


def is_whole(plan: Plan) -> bool:
    """Whether everything in `plan` is made."""
    return len(plan.made) == plan.count and not plan.redrawn and not plan.output.grid and not plan.labels


def missing_files(entry: Entry) -> int:
    """Number of pictures of a line that were made but no longer exist."""
    return sum(_place_of(entry, picture.file) is None for picture in entry.pictures)


def complete_logs(plan: Plan) -> bool:
    """Add missing rows for existing pictures to both logs; False if the logs cannot be read now."""
    try:
        if plan.made:
            logs.complete(expanded(plan.output.outdir), plan.made.values(), _line_of)
    except OSError:
        return False
    return True


def clear(plan: Plan) -> None:
    """Remove what remains of unfinished pictures: their steps, and the pictures from before enlarging.

    With a custom file name format, files cannot be attributed to this line with certainty, and nothing is removed.
    """
    if plan.number is None or plan.output.fnformat != filenames.DEFAULT:
        return
    folder = expanded(plan.output.outdir)
    for index, planned in enumerate(plan.pictures()):
        if index not in plan.made and not _cleared(folder, filenames.stem(plan.number, planned.request)):
            return


def _cleared(folder: Path, stem: str) -> bool:
    """Remove the files; return whether there were any."""
    for name in filenames.alternatives(stem):
        steps, original = folder / INTERMEDIATES / name, folder / f"{name}.orig.png"
        if _is_there(folder / f"{name}.png"):
            continue
        found = _is_there(steps) or _is_there(original)
        if not steps.is_symlink():
            shutil.rmtree(steps, ignore_errors=True)
        with suppress(OSError):
            original.unlink(missing_ok=True)
        return found
    return False


def _saved(plan: Plan, entry: Entry, is_listed: Callable[[str], bool]) -> dict[int, str]:
    listed: defaultdict[str, deque[str]] = defaultdict(deque)
    for picture in entry.pictures:
        listed[picture.picture].append(picture.file)
    taken = {picture.file for picture in entry.pictures}
    unlisted = _unlisted(plan, entry, taken)
    made: dict[int, str] = {}
    for index, planned in enumerate(plan.pictures()):
        if not any(listed.values()) and unlisted is not None and not unlisted:
            break  # no file could be one of the remaining pictures
        request = _started(planned, made)
        rows = listed[digest(request)]
        path = _place_of(entry, rows.popleft()) if rows else None
        if path is None and (unlisted is None or unlisted):
            path = _found(request, plan, entry, lambda name: name in taken or is_listed(name))
        if path is not None:
            made[index] = str(path)
            taken.add(path.name)
            (unlisted or set()).discard(path.name)
    return made


def _place_of(entry: Entry, name: str) -> Path | None:
    """The path of a line's picture, also after `!keep` or `!drop`; None if it is gone."""
    places = (entry.folder / name, entry.folder / KEPT / name, entry.folder / TRASH / name)
    return next(filter(_is_there, places), None)


def _unlisted(plan: Plan, entry: Entry, listed: Collection[str]) -> set[str] | None:
    """Files with the line's number that the ledger does not list; None if file names do not contain it."""
    if plan.output.fnformat != filenames.DEFAULT:
        return None
    start = f"{entry.number:06}."
    with sentences(entry.folder), suppress(FileNotFoundError), os.scandir(entry.folder) as found:
        return {path.name for path in found if path.name.startswith(start) and path.name not in listed}
    return set()


def _is_there(path: Path) -> bool:
    """Whether `path` exists. Raises OutputError if the system does not tell: the file would be made a second time."""
    with sentences(path.parent):
        return exists(path)


def _without_strip(plan: Plan, entry: Entry, made: Mapping[int, str]) -> Iterator[tuple[int, Redrawn]]:
    """Pictures in `made` that lack the requested strip or animation."""
    asked: dict[Literal["steps", "gif"], str] = {}
    if plan.output.strip:
        asked["steps"] = ".steps.png"
    if plan.output.gif:
        asked["gif"] = ".steps.gif"
    for index, path in made.items() if asked else ():
        stem = _steps_stem(plan, index, path)
        lacks = frozenset(kind for kind, ending in asked.items() if not _is_there(entry.folder / f"{stem}{ending}"))
        if lacks and plan.picture(index).steps_taken > 0:
            yield index, Redrawn(stem, lacks)


def _steps_stem(plan: Plan, index: int, path: str) -> str:
    """The file name, without its extension, of the strip for the picture at `path`, number `index` of `plan`."""
    if plan.output.fnformat == filenames.DEFAULT:
        return Path(path).stem
    assert plan.number is not None or path
    number = plan.number or 0
    stems = [filenames.stem(number, plan.picture(other).request) for other in range(index + 1)]
    return next(islice(filenames.alternatives(stems[-1]), stems[:-1].count(stems[-1]), None))


def _started(planned: Planned, made: dict[int, str]) -> Request:
    """The request of `planned`, with the path of the file that it starts from."""
    if planned.source is None or planned.source not in made:
        return planned.request
    return replace(planned.request, init_image=made[planned.source])


def _found(request: Request, plan: Plan, entry: Entry, is_listed: Callable[[str], bool]) -> Path | None:
    """The file of a picture that was saved without a row in the ledger."""
    assert entry.number is not None
    if plan.output.fnformat == filenames.DEFAULT:
        stem = filenames.stem(entry.number, request)
    else:
        stem = filenames.picture_stem(plan.output.fnformat, entry.number, request)
    for name in filenames.alternatives(stem):
        path = entry.folder / f"{name}.png"
        try:
            is_newer = path.stat().st_mtime > entry.at - _SLACK
        except OSError:
            return None
        if is_newer and _digest_of(path) == digest(request) and not is_listed(path.name):
            return path
    return None


def _line_of(path: str) -> str:
    """The line stored in the picture at `path`; "" if there is none."""
    try:
        recipe = metadata.read(path)
    except PictureError:
        return ""
    return recipe.line if recipe is not None else ""


def _digest_of(path: Path) -> str:
    try:
        recipe = metadata.read(path)
    except PictureError:
        return ""
    return digest(recipe.request) if recipe is not None and recipe.request is not None else ""


NOT_IN_IDENTITY = ("outdir", "batch_size")
"""Defaults that do not affect the picture: its folder, and how many are made at once."""
_OF_A_FOLDER = {"output_unwritable", "output_failed", "disk_full"}
"""Codes of an OutputError that is about a folder, not about anything else that a batch writes to."""
_REFERENCE = re.compile(r"""(?:^|[\s="']|-[A-Za-z])-([1-9][0-9]{0,8})(?![^\s"'])""")


def identity(line: str, session: Session) -> str:
    """A digest of everything that determines the pictures of `line`: its text, the defaults, referenced pictures.

    Random seeds are not part of it, nor is the line number, as the file may be edited.
    """
    settings = {name: value for name, value in session.defaults.items() if name not in NOT_IN_IDENTITY}
    backs = [int(back) for back in _REFERENCE.findall(line)]
    references = [Path(session.made[-back].path).name for back in backs if back <= len(session.made)]
    content = json.dumps([line.strip(), session.model, settings, references], sort_keys=True, default=str)
    return sha256(content.encode()).hexdigest()[:16]


def refers_back(line: str) -> bool:
    """Whether `line` may refer to an earlier picture or seed (`-1`, `-2`, …)."""
    return _REFERENCE.search(line) is not None


def outdir(draft: Draft, session: Session) -> str:
    """The output folder of `draft`."""
    folder: str = in_force("outdir", {**session.defaults, **draft.chain_switches})
    return folder


@contextmanager
def own_folder(column: int | None) -> Iterator[None]:
    """Blame an unusable folder only on the line whose -o, at `column`, names it."""
    try:
        yield
    except OutputError as error:
        if error.code in _OF_A_FOLDER:
            error.column = column
        raise


def is_of_one_line(error: InvokeError) -> bool:
    """Whether lines after one that failed with `error` can still be made and saved."""
    return not isinstance(error, OutputError) or error.column is not None


def own_column(draft: Draft) -> int | None:
    """The column of the line's own -o, if it has one."""
    return {name: column for part in draft.parts for name, column in part.columns.items()}.get("outdir")
