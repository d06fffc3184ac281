"""`.invoke-ledger.jsonl`: records which lines the batches of a folder have claimed, made and finished, for `--resume`.

A batch is a *run*. Each line is claimed before it starts, gets a row for each picture, and one when it is done:

    {"run": "5f0c12ab", "from": "77e0…"}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "number": 12, "draws": [1592514025], "at": 1760000000.0}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "picture": "41ab…", "file": "000012.1592514025.png", "seed": …}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "done": true}

`line` is a digest of the line and the defaults in force, `nth` counts its repetitions, `draws` are the seeds drawn at
random for it, and `picture` is a digest of the request. Rows are written at once and not trusted when read: torn or
invalid ones are skipped. A row that cannot be written is kept and retried with the next one. Rows are read into a
temporary database, so that memory use is constant.
"""

import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke import files
from invoke.errors import OutputError
from invoke.locks import try_lock
from invoke.outputs.filenames import is_picture_name
from invoke.outputs.writer import sentences
from invoke.paths import exists
from invoke.request import LARGEST_SEED

NAME = ".invoke-ledger.jsonl"
LONGEST_ROW = 2**22
"""Maximum bytes of a row."""
LARGEST_NUMBER = 10**9

_TABLES = """
    PRAGMA journal_mode = OFF;
    CREATE TABLE seen (folder, line, nth, PRIMARY KEY (folder, line)) WITHOUT ROWID;
    CREATE TABLE rows (folder, line, nth, row);
    CREATE INDEX of_line ON rows (folder, line, nth);
"""
_COUNT = "INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET nth = nth + 1 RETURNING nth"
_FIND = "SELECT row FROM rows WHERE folder = ? AND line = ? AND nth = ? ORDER BY rowid"


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A saved picture of a line."""

    picture: str
    """The digest of its request."""
    file: str
    """Its name in the folder."""
    seed: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a batch, and its earlier state."""

    folder: Path
    """Its output folder, as typed."""
    line: str
    nth: int
    number: int | None = None
    """The number of its files; None: not started."""
    draws: tuple[int, ...] = ()
    at: float = 0.0
    """When it was started, in seconds since 1970."""
    pictures: tuple[PictureRow, ...] = ()
    done: bool = False


class Ledger:
    """The ledgers of all folders that one batch writes to.

    `source` identifies where its lines come from. With `resume`, the batch continues an earlier run in each folder:
    preferably the newest from the same source that began with the same line, else the newest from the same source; if
    the source is new, the newest that began with the same line. Without `keep`, nothing is written.
    """

    def __init__(self, source: str = "-", *, resume: bool = False, keep: bool = True, part: str = "") -> None:
        """`part` identifies the ledger of a shard: `.invoke-ledger.3-of-64.jsonl`."""
        self.resume = resume
        self._name = NAME.replace(".jsonl", f".{part}.jsonl") if part else NAME
        self._source = source
        self.keep = keep
        self._id = secrets.token_hex(4)
        self._runs: dict[str, str] = {}
        """Folder → the batch's run there."""
        self._waiting: dict[str, list[bytes]] = {}
        """Folder → rows that are not written yet."""
        self.trouble: OutputError | None = None
        """Why rows could not be written the last time; they are kept and retried with the next one."""
        self._held: int | None = None
        self._earlier_rows = sqlite3.connect("")  # a temporary database on disk, deleted automatically
        self._earlier_rows.executescript(_TABLES)

    def entry(self, folder: Path, line: str) -> Entry:
        """The entry of the next line. Raises OutputError."""
        if not (self.keep or self.resume):
            return Entry(folder, line, 1)
        place = _place(folder)
        with sentences(folder / self._name):
            self._join(place, line)
        (nth,) = self._earlier_rows.execute(_COUNT, (place, line)).fetchone()
        rows = self._earlier_rows.execute(_FIND, (place, line, str(nth)))
        return _entry(Entry(folder, line, nth), (json.loads(row) for (row,) in rows))

    def claim(self, entry: Entry, number: int, draws: Sequence[int]) -> Entry:
        """Record that the line is started with this number and these seeds; survives a power cut."""
        if (entry.number, entry.draws) == (number, tuple(draws)):
            return entry
        at = round(time.time(), 3)
        self._write(entry, durable=True, number=number, draws=[*draws], at=at)
        return replace(entry, number=number, draws=tuple(draws), at=at)

    def made(self, entry: Entry, picture: PictureRow) -> None:
        """Record a saved picture of the line."""
        self._write(entry, picture=picture.picture, file=picture.file, seed=picture.seed)

    def finish(self, entry: Entry) -> None:
        """Record that the line is done."""
        self._write(entry, done=True)

    def knows(self, folder: Path, file: str) -> bool:
        """Whether a line of any batch made `file`; searches the whole ledger."""
        with sentences(folder / self._name):
            return any(row.get("file") == file for row in rows(folder / self._name))

    def close(self) -> None:
        """Write the remaining rows."""
        self._earlier_rows.close()
        try:
            for place in self._waiting:
                self._append(place, Path(place), durable=False)
        finally:
            held, self._held = self._held, None
            if held is not None:
                with suppress(OSError):
                    os.close(held)

    def _join(self, place: str, line: str) -> None:
        """Determine this batch's run in a folder, and load its earlier rows."""
        if place in self._runs:
            return
        file = Path(place) / self._name
        is_there = exists(file, follow_symlinks=False)
        if is_there and self.keep:
            # if it cannot be written, `claim` reports it; the pictures are made anyway
            with nullcontext() if self.resume else suppress(OSError):
                self._hold(file)
        earlier = self._earlier(file, line) if is_there and self.resume else None
        self._runs[place] = earlier or self._id
        if earlier:
            self._waiting[place] = []
            found = (row for row in rows(file) if row["run"] == earlier and "line" in row)
            values = ((place, row["line"], str(row["nth"]), json.dumps(row)) for row in found)
            self._earlier_rows.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", values)
        self._share()

    def _earlier(self, file: Path, line: str) -> str | None:
        """The run that this batch, which begins with `line`, continues; None if there is none."""
        sources: dict[str, bool] = {}
        first: dict[str, bool] = {}
        for row in rows(file):
            run = row["run"]
            if "from" in row:
                sources[run] = row["from"] == self._source
            elif "line" in row:
                first.setdefault(run, row["line"] == line)
        ranks = [(sources[run], first.get(run, False), place, run) for place, run in enumerate(sources)]
        return max((rank for rank in ranks if any(rank[:2])), default=(None,))[-1]

    def _hold(self, file: Path) -> None:
        """Lock the folder for this batch; a resumed batch must be alone, or a line could be made twice.

        Only the first folder is locked, since a resumed batch begins with the same line.
        """
        if self._held is not None:
            return
        self._held = files.open_file(file, os.O_RDWR | os.O_CREAT)
        if not try_lock(self._held, shared=not self.resume) and self.resume:
            raise OutputError(
                f"{file.parent}: another batch is using this folder",
                code="batch_running",
                hint="resume when it has ended",
            )

    def _share(self) -> None:
        if self._held is not None:
            try_lock(self._held, shared=True)

    def _write(self, entry: Entry, *, durable: bool = False, **fields: Any) -> None:
        if not self.keep:
            return
        place = _place(entry.folder)
        run = self._runs[place]
        waiting = self._waiting.setdefault(place, [_data({"run": run, "from": self._source})])
        waiting.append(_data({"run": run, "line": entry.line, "nth": entry.nth, **fields}))
        self._append(place, entry.folder, durable=durable)

    def _append(self, place: str, folder: Path, *, durable: bool) -> None:
        """Write the waiting rows of a folder."""
        waiting = self._waiting[place]
        try:
            with sentences(folder / self._name):
                if waiting and self._held is None:
                    self._hold(Path(place) / self._name)
                    self._share()
                if waiting:
                    files.append(Path(place) / self._name, b"".join(waiting), durable=durable)
        except OutputError as error:
            self.trouble = error
        else:
            waiting.clear()
            self.trouble = None


def is_held(file: Path) -> bool:
    """Whether a running batch uses the ledger `file`. Raises OSError."""
    descriptor = files.open_file(file, os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=256)
def _place(folder: Path) -> str:
    """A unique key of a folder, however it is typed."""
    return os.path.realpath(folder)


def _entry(entry: Entry, found: Iterable[dict[str, Any]]) -> Entry:
    """`entry` with the content of its rows."""
    pictures: list[PictureRow] = []
    for row in found:
        if "number" in row:
            entry = replace(entry, number=row["number"], draws=tuple(row["draws"]), at=row["at"])
        elif "picture" in row:
            pictures.append(PictureRow(row["picture"], row["file"], row["seed"]))
        else:
            entry = replace(entry, done=True)
    return replace(entry, pictures=tuple(pictures))


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """The valid rows of a ledger; none if there is no ledger. Raises OSError."""
    for row in all_rows(file):
        if row is not None:
            yield row


def all_rows(file: Path) -> Iterator[dict[str, Any] | None]:
    """All rows of a ledger, with None for torn or invalid ones. Raises OSError."""
    try:
        descriptor = files.open_file(file, os.O_RDONLY)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as stream:
        while data := stream.readline(LONGEST_ROW):
            if data.strip():
                yield _row(data)


def _row(data: bytes) -> dict[str, Any] | None:
    """Parse and check one row; None if it is invalid."""
    try:
        row: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    match row:
        case {"run": str(run), "from": str()} if _HEX.fullmatch(run):
            return {"run": run, "from": row["from"]}
        case {"run": str(run), "line": str(line), "nth": int(nth)} if (
            _HEX.fullmatch(run) and _HEX.fullmatch(line) and _is_number(nth) and _says(row)
        ):
            checked: dict[str, Any] = row
            return checked
    return None


_HEX = re.compile(r"[0-9a-f]{1,64}")


def _says(row: dict[str, Any]) -> bool:
    """Whether the values of a row are valid."""
    match row:
        case {"number": number, "draws": [*draws], "at": float(at)}:
            return _is_number(number) and all(map(_is_seed, draws)) and 0 <= at < 1e11
        case {"picture": str(picture), "file": str(file), "seed": seed}:
            return _HEX.fullmatch(picture) is not None and _is_file(file) and _is_seed(seed)
        case {"done": True}:
            return True
    return False


def _is_file(file: str) -> bool:
    """Whether it is the name of a picture in the folder, or in those of `!keep` and `!drop`."""
    folder, slash, name = file.rpartition("/")
    return (not slash or folder in {"kept", ".trash"}) and is_picture_name(name)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 < value < LARGEST_NUMBER


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SEED


def _data(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"
