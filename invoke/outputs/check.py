"""`!check`: compares an output folder with its ledgers, logs and numbers.

Nothing is changed. Each finding says what is wrong and how to repair it. Files are read one at a time.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from invoke import files
from invoke.errors import OutputError
from invoke.images import LARGEST_FILE
from invoke.images.png_chunks import SIGNATURE, is_whole
from invoke.outputs import ledger, logs, numbering
from invoke.outputs.gallery import NAME as GALLERY
from invoke.outputs.moving import KEPT, TRASH
from invoke.outputs.writer import INTERMEDIATES, sentences
from invoke.text import clean, counted

Problem = Literal["missing", "torn", "unlisted", "double", "unfinished", "left behind", "not ours"]
"""`missing`: listed but not there. `unlisted`: there but not in a log. `not ours`: a link or FIFO in its place."""

LEDGERS = ".invoke-ledger*.jsonl"
SINGLE = (logs.TEXT, logs.MARKDOWN, GALLERY)
RESUME = "running the same batch with --resume makes what is missing"
MOST_PIXELS = 2**29
"""Pixels of all frames of a GIF that are looked at: several seconds."""
_GIF_END = b";"
SHOWN = 5
"""Maximum number of names shown per finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in the folder."""

    what: Problem
    names: tuple[str, ...]
    """Files, or lines of a batch."""
    where: str
    """Where it was found, or what is wrong."""
    mend: str

    def __str__(self) -> str:
        shown = ", ".join(map(clean, self.names[:SHOWN]))
        more = f" and {len(self.names) - SHOWN:,} more" if len(self.names) > SHOWN else ""
        return f"{self.what}: {shown}{more} ({self.where}): {self.mend}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check."""

    pictures: int
    rows: int
    """Rows of logs and ledgers."""
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        seen = f"{counted(self.pictures, 'picture')} and {counted(self.rows, 'row')} of logs and ledgers"
        return f"{seen}: {counted(len(self.findings), 'finding') if self.findings else 'no problems'}"


def check_folder(folder: Path) -> Checked:
    """Check everything that this program writes in `folder`. Raises OutputError if it cannot be read."""
    with sentences(folder):
        if not folder.is_dir():
            raise OutputError(f"{folder}: there is no such folder", code="no_folder", hint="!check FOLDER")
        names = sorted(os.listdir(folder))  # noqa: PTH208
    return _Check(folder, names).run()


class _Check:
    """The check of one folder."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder, self._names = folder, names
        self._pictures = [name for name in names if name.lower().endswith((".png", ".gif")) and name[0] != "."]
        self._present = set(names)
        for moved in (KEPT, TRASH):
            place = folder / moved
            self._present |= set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208
        self._rows = 0

    def run(self) -> Checked:
        with sentences(self._folder):
            found = [*self._not_ours(), *self._logs(), *self._ledgers(), *self._files(), *self._numbers()]
        return Checked(len(self._pictures), self._rows, tuple(found))

    def _not_ours(self) -> Iterator[Finding]:
        ours = [*SINGLE, *(path.name for path in self._folder.glob(LEDGERS))]
        for name in ours:
            kind = _kind(self._folder / name)
            if kind not in {"file", "nothing"}:
                yield Finding("not ours", (name,), f"it is a {kind}", "nothing is written there: move it elsewhere")
        for name in (INTERMEDIATES, numbering.FOLDER):
            kind = _kind(self._folder / name)
            if kind not in {"folder", "nothing"}:
                yield Finding("not ours", (name,), f"it is a {kind}", "nothing is written there: move it elsewhere")

    def _logs(self) -> Iterator[Finding]:
        for log in (logs.TEXT, logs.MARKDOWN):
            rows = Counter(logs.names(self._folder, log))
            self._rows += rows.total()
            if gone := sorted(name for name in rows if name.endswith(".png") and name not in self._present):
                yield Finding("missing", tuple(gone), log, "the line in the log makes it again")
            if unlisted := [name for name in self._pictures if _is_picture(name) and logs.in_a_row(name) not in rows]:
                yield Finding("unlisted", tuple(unlisted), log, "!fetch FILE shows its line")
            if double := sorted(name for name, count in rows.items() if count > 1):
                yield Finding("double", tuple(double), log, "one of the rows can be removed")

    def _ledgers(self) -> Iterator[Finding]:
        for path in sorted(self._folder.glob(LEDGERS)):
            if _kind(path) != "file":
                continue
            torn, missing, double = 0, set[str](), set[str]()
            listed: set[str] = set()
            open_lines: dict[tuple[str, str, int], int] = {}
            newest: dict[str, str] = {}
            for row in ledger.all_rows(path):
                self._rows += 1
                if row is None:
                    torn += 1
                    continue
                if "from" in row:
                    newest[row["from"]] = row["run"]
                elif "file" in row:
                    name = row["file"].rpartition("/")[2]
                    (double if name in listed else listed).add(name)
                    if name not in self._present:
                        missing.add(name)
                elif "line" in row:
                    _follow(open_lines, row)
            if torn:
                rows = (counted(torn, "row"),)
                yield Finding("torn", rows, path.name, "they are skipped; nothing needs to be done")
            if missing:
                yield Finding("missing", tuple(sorted(missing)), path.name, RESUME)
            if double:
                yield Finding("double", tuple(sorted(double)), path.name, "they count once; nothing needs to be done")
            left = sorted(number for (run, *_), number in open_lines.items() if run in newest.values())
            if left and not ledger.is_held(path):
                lines = tuple(f"{number:06}" for number in left)
                yield Finding("unfinished", lines, path.name, "the same batch with --resume finishes these lines")

    def _files(self) -> Iterator[Finding]:
        torn = [name for name in self._pictures if not _is_whole(self._folder / name)]
        if torn:
            yield Finding("torn", tuple(torn), "incomplete", f"remove it; {RESUME}")
        left = [name for name in self._names if files.is_temporary(name) and files.is_abandoned(self._folder / name)]
        if left:
            yield Finding("left behind", tuple(left), "its process has ended", "the next batch removes it")

    def _numbers(self) -> Iterator[Finding]:
        place = self._folder / numbering.FOLDER
        if _kind(place) != "folder":
            return
        counters = sorted(os.listdir(place))  # noqa: PTH208
        following = numbering.following(counters)
        highest = numbering.highest(self._names)
        if len(following) != 1:
            yield Finding("double", tuple(counters), numbering.FOLDER, "keep only the highest: it is the next number")
        elif following[0] <= highest:
            mend = "numbers continue after the highest; nothing needs to be done"
            yield Finding("double", (counters[0],), f"{highest:06} is already taken", mend)


def _follow(open_lines: dict[tuple[str, str, int], int], row: dict[str, Any]) -> None:
    """Track the lines that are claimed but not done, with their numbers."""
    key = row["run"], row["line"], row["nth"]
    if "number" in row:
        open_lines[key] = row["number"]
    elif "done" in row:
        open_lines.pop(key, None)


def _is_picture(name: str) -> bool:
    """Whether a file should have a row in the logs: numbered, and neither a sheet nor a strip."""
    is_sheet = any(name.endswith(f".{kind}.png") for kind in ("grid", "sweep", "steps"))
    return name.endswith(".png") and name[:6].isdecimal() and not is_sheet


def _kind(path: Path) -> str:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "nothing"
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "FIFO"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _is_whole(path: Path) -> bool:
    """Whether a picture is complete and undamaged."""
    try:
        data = files.read_file(path, LARGEST_FILE, follow=False)
    except FileNotFoundError:
        return True  # removed in the meantime
    except OSError:
        return False
    return is_whole(BytesIO(data)) if data.startswith(SIGNATURE) else _is_whole_image(data)


def _is_whole_image(data: bytes) -> bool:
    """Whether a GIF can be read: its end is there, and its frames, as far as they have `MOST_PIXELS`."""
    from PIL import Image

    try:
        with closing(Image.open(BytesIO(data), formats=("GIF",))) as image:
            for frame in range(1 + MOST_PIXELS // (image.width * image.height)):
                image.seek(frame)
                image.load()
    except EOFError:  # all were read
        pass
    except Exception:  # decoders raise all kinds of errors
        return False
    return data.endswith(_GIF_END)
