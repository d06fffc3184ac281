"""`.invoke-ledger.jsonl`: what the batches of an output folder have claimed, made and finished, for `--resume`.

A batch is a *run*. Each of its lines is claimed before anything is made of it, gets a row for each picture, and one
when it is done:

    {"run": "5f0c12ab", "from": "77e0…"}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "number": 12, "draws": [1592514025], "at": 1760000000.0}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "picture": "41ab…", "file": "000012.1592514025.png", "seed": …}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "done": true}

`line` is a digest of what a line says and of what is in force when it is read, `nth` counts how often it has come;
`draws` are the seeds that were drawn for it at random, `picture` is a digest of the request. A row is written at once
and read without trust: a torn one is passed over. What was read lies in a temporary database, so memory stays flat.
"""

import errno
import fcntl
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from invoke.errors import OutputError
from invoke.outputs.writer import sentences

NAME = ".invoke-ledger.jsonl"

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
    """A picture that was made of a line."""

    picture: str
    """The digest of its request."""
    file: str
    """Its name in the folder."""
    seed: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a batch, and what became of it earlier."""

    folder: Path
    """Its output folder, as it was typed."""
    line: str
    nth: int
    number: int | None = None
    """Of its files; None: nobody has begun it."""
    draws: tuple[int, ...] = ()
    at: float = 0.0
    """When it was begun, in seconds since 1970."""
    pictures: tuple[PictureRow, ...] = ()
    done: bool = False


class Ledger:
    """The ledgers of all the folders that one batch writes to.

    `source` tells where its lines come from. With `resume`, the batch goes on in each folder with an earlier one: with
    one from the same source, of those rather with one that began with the same line, of those with the newest; from a
    source that is new, with the newest that began with the same line. With `keep` off, nothing is written.
    """

    def __init__(self, source: str = "-", *, resume: bool = False, keep: bool = True) -> None:
        self.resume = resume
        self._source = source
        self.keep = keep
        self._own = secrets.token_hex(4)
        self._runs: dict[str, str] = {}
        """Folder → the run that the batch is there."""
        self._told: set[str] = set()
        """Folders whose ledger knows of this run."""
        self._held: int | None = None
        self._known = sqlite3.connect("")  # on the disk, and deleted by itself
        self._known.executescript(_TABLES)

    def entry(self, folder: Path, line: str) -> Entry:
        """The line that is read next. Raises OutputError."""
        if not (self.keep or self.resume):
            return Entry(folder, line, 1)
        place = _place(folder)
        with sentences(folder / NAME):
            self._join(place, line)
        (nth,) = self._known.execute(_COUNT, (place, line)).fetchone()
        rows = self._known.execute(_FIND, (place, line, str(nth)))
        return _entry(Entry(folder, line, nth), (json.loads(row) for (row,) in rows))

    def claim(self, entry: Entry, number: int, draws: Sequence[int]) -> Entry:
        """The line is made under this number, with these seeds; known even after a power cut. Raises OutputError."""
        if (entry.number, entry.draws) == (number, tuple(draws)):
            return entry
        at = round(time.time(), 3)
        self._write(entry, durable=True, number=number, draws=[*draws], at=at)
        return replace(entry, number=number, draws=tuple(draws), at=at)

    def made(self, entry: Entry, picture: PictureRow) -> None:
        """A picture of the line is saved. Raises OutputError."""
        self._write(entry, picture=picture.picture, file=picture.file, seed=picture.seed)

    def finish(self, entry: Entry) -> None:
        """The line is done. Raises OutputError."""
        self._write(entry, done=True)

    def knows(self, folder: Path, file: str) -> bool:
        """Whether a line of any batch has made `file`: looks through all of the ledger."""
        ledger = folder / NAME
        return ledger.is_file() and any(row.get("file") == file for row in _rows(ledger))

    def close(self) -> None:
        self._known.close()
        if self._held is not None:
            os.close(self._held)

    def _join(self, place: str, line: str) -> None:
        """Find out which run this batch is in a folder, and what that has done."""
        if place in self._runs:
            return
        file = Path(place) / NAME
        is_there = file.is_file()
        if is_there and self.keep:
            # where it may not be written, `claim` says so, and the pictures are made all the same
            with nullcontext() if self.resume else suppress(OSError):
                self._hold(file)
        earlier = self._earlier(file, line) if is_there and self.resume else None
        self._runs[place] = earlier or self._own
        if earlier:
            self._told.add(place)
            rows = (row for row in _rows(file) if row["run"] == earlier and "line" in row)
            values = ((place, str(row["line"]), str(row.get("nth")), json.dumps(row)) for row in rows)
            self._known.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", values)
        self._share()

    def _earlier(self, file: Path, line: str) -> str | None:
        """The run that this batch, which begins with `line`, goes on with."""
        sources: dict[str, bool] = {}
        first: dict[str, bool] = {}
        for row in _rows(file):
            run = row["run"]
            if "from" in row:
                sources[run] = row["from"] == self._source
            elif "line" in row:
                first.setdefault(run, row["line"] == line)
        ranks = [(sources[run], first.get(run, False), place, run) for place, run in enumerate(sources)]
        return max((rank for rank in ranks if any(rank[:2])), default=(None,))[-1]

    def _hold(self, file: Path) -> None:
        """Have others know that a batch is at work here; who resumes must be alone, or a line would be made twice.

        One folder is held, the first one: who resumes begins with the same line.
        """
        if self._held is not None:
            return
        self._held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._held, (fcntl.LOCK_EX if self.resume else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            if self.resume:
                raise OutputError(
                    f"{file.parent}: another batch is at work in this folder",
                    code="batch_running",
                    hint="resume when it has ended",
                ) from None
        except OSError:
            pass  # a file system without locks

    def _share(self) -> None:
        if self._held is not None:
            with suppress(OSError):
                fcntl.flock(self._held, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _write(self, entry: Entry, *, durable: bool = False, **fields: Any) -> None:
        if not self.keep:
            return
        place = _place(entry.folder)
        file, run = Path(place) / NAME, self._runs[place]
        with sentences(entry.folder / NAME):
            if place not in self._told:
                self._hold(file)
                self._share()
                _append(file, {"run": run, "from": self._source}, durable=durable)
                self._told.add(place)
            _append(file, {"run": run, "line": entry.line, "nth": entry.nth, **fields}, durable=durable)


@lru_cache(maxsize=256)
def _place(folder: Path) -> str:
    """What tells a folder from others, however it is typed."""
    return os.path.realpath(folder)


def _entry(entry: Entry, rows: Iterable[dict[str, Any]]) -> Entry:
    """`entry` with what its rows say."""
    pictures: list[PictureRow] = []
    for row in rows:
        match row:
            case {"number": int(number), "draws": [*draws], "at": float(at)} if all(
                type(draw) is int for draw in draws
            ):
                entry = replace(entry, number=number, draws=tuple(draws), at=at)
            case {"picture": str(picture), "file": str(file), "seed": int(seed)} if Path(file).name == file:
                pictures.append(PictureRow(picture, file, seed))
            case {"done": True}:
                entry = replace(entry, done=True)
    return replace(entry, pictures=tuple(pictures))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a ledger that can be read and say whose they are."""
    with file.open("rb") as stream:
        for data in stream:
            with suppress(ValueError, RecursionError):
                row = json.loads(data)
                if isinstance(row, dict) and isinstance(row.get("run"), str):
                    yield row


def _append(file: Path, row: dict[str, Any], *, durable: bool) -> None:
    """One write, so that rows of several batches stay whole; a torn row before it ends there."""
    data = json.dumps(row).encode() + b"\n"
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
