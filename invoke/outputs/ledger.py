"""`.invoke-ledger.jsonl`: what the batches of an output folder have claimed, made and finished, for `--resume`.

A batch is a *run*. Each of its lines is claimed before anything is made of it, gets a row for each picture, and one
when it is done:

    {"run": "5f0c12ab", "from": "77e0…"}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "number": 12, "draws": [1592514025], "at": 1760000000.0}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "picture": "41ab…", "file": "000012.1592514025.png", "seed": …}
    {"run": "5f0c12ab", "line": "9d3c…", "nth": 1, "done": true}

`line` is a digest of what a line says and of what is in force when it is read, `nth` counts how often it has come;
`draws` are the seeds that were drawn for it at random, `picture` is a digest of the request. A row is written at once
and read without trust: one that is torn, or holds what this program does not write, is passed over. A row that cannot
be written is kept and tried again with the next one. What was read lies in a temporary database, so memory stays flat.
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
from invoke.request import LARGEST_SEED

NAME = ".invoke-ledger.jsonl"
LONGEST_ROW = 2**22
"""Bytes of a row that are read."""
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
    """Of its files; None: it has not begun."""
    draws: tuple[int, ...] = ()
    at: float = 0.0
    """When it was begun, in seconds since 1970."""
    pictures: tuple[PictureRow, ...] = ()
    done: bool = False


class Ledger:
    """The ledgers of all the folders that one batch writes to.

    `source` tells where its lines come from. With `resume`, the batch continues an earlier one in each folder: with
    one from the same source, of those rather with one that began with the same line, of those with the newest; from a
    source that is new, with the newest that began with the same line. With `keep` off, nothing is written.
    """

    def __init__(self, source: str = "-", *, resume: bool = False, keep: bool = True, part: str = "") -> None:
        """`part` names the ledger of one shard: `.invoke-ledger.3-of-64.jsonl`."""
        self.resume = resume
        self._name = NAME.replace(".jsonl", f".{part}.jsonl") if part else NAME
        self._source = source
        self.keep = keep
        self._id = secrets.token_hex(4)
        self._runs: dict[str, str] = {}
        """Folder → the run that the batch is there."""
        self._waiting: dict[str, list[bytes]] = {}
        """Folder → rows that are not written yet. A folder that is missing has no row of this run."""
        self.trouble: OutputError | None = None
        """Why rows could not be written the last time; they are kept, and tried again with the next one."""
        self._held: int | None = None
        self._earlier_rows = sqlite3.connect("")  # on the disk, and deleted by itself
        self._earlier_rows.executescript(_TABLES)

    def entry(self, folder: Path, line: str) -> Entry:
        """The line that is read next. Raises OutputError."""
        if not (self.keep or self.resume):
            return Entry(folder, line, 1)
        place = _place(folder)
        with sentences(folder / self._name):
            self._join(place, line)
        (nth,) = self._earlier_rows.execute(_COUNT, (place, line)).fetchone()
        rows = self._earlier_rows.execute(_FIND, (place, line, str(nth)))
        return _entry(Entry(folder, line, nth), (json.loads(row) for (row,) in rows))

    def claim(self, entry: Entry, number: int, draws: Sequence[int]) -> Entry:
        """The line is made under this number, with these seeds; known even after a power cut."""
        if (entry.number, entry.draws) == (number, tuple(draws)):
            return entry
        at = round(time.time(), 3)
        self._write(entry, durable=True, number=number, draws=[*draws], at=at)
        return replace(entry, number=number, draws=tuple(draws), at=at)

    def made(self, entry: Entry, picture: PictureRow) -> None:
        """A picture of the line is saved."""
        self._write(entry, picture=picture.picture, file=picture.file, seed=picture.seed)

    def finish(self, entry: Entry) -> None:
        """The line is done."""
        self._write(entry, done=True)

    def knows(self, folder: Path, file: str) -> bool:
        """Whether a line of any batch has made `file`: looks through all of the ledger."""
        with sentences(folder / self._name):
            return any(row.get("file") == file for row in rows(folder / self._name))

    def close(self) -> None:
        """Write what could not be written before."""
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
        """Find out which run this batch is in a folder, and what that has done."""
        if place in self._runs:
            return
        file = Path(place) / self._name
        is_there = os.path.lexists(file)
        if is_there and self.keep:
            # where it may not be written, `claim` says so, and the pictures are made all the same
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
        """The run that this batch, which begins with `line`, continues."""
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
        """Lock the folder for this batch; one that resumes must be alone, or a line would be made twice.

        One folder is held, the first one: who resumes begins with the same line.
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
        """Write the rows that wait for it."""
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
    """Whether a batch that writes to the ledger `file` is running. Raises OSError."""
    descriptor = files.open_file(file, os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=256)
def _place(folder: Path) -> str:
    """What tells a folder from others, however it is typed."""
    return os.path.realpath(folder)


def _entry(entry: Entry, found: Iterable[dict[str, Any]]) -> Entry:
    """`entry` with what its rows say."""
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
    """The rows of a ledger that this program may have written; none where there is no ledger. Raises OSError."""
    for row in all_rows(file):
        if row is not None:
            yield row


def all_rows(file: Path) -> Iterator[dict[str, Any] | None]:
    """The same, with None for each row that is torn or holds something else. Raises OSError."""
    try:
        descriptor = files.open_file(file, os.O_RDONLY)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as stream:
        while data := stream.readline(LONGEST_ROW):
            if data.strip():
                yield _row(data)


def _row(data: bytes) -> dict[str, Any] | None:
    """One row, each of its values checked as if it had been typed; None for anything else."""
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
    """Whether what a row says of its line is something that can be."""
    match row:
        case {"number": number, "draws": [*draws], "at": float(at)}:
            return _is_number(number) and all(map(_is_seed, draws)) and 0 <= at < 1e11
        case {"picture": str(picture), "file": str(file), "seed": seed}:
            return _HEX.fullmatch(picture) is not None and _is_file(file) and _is_seed(seed)
        case {"done": True}:
            return True
    return False


def _is_file(file: str) -> bool:
    """A picture in the folder, or in one that `!keep` and `!drop` move pictures to."""
    folder, slash, name = file.rpartition("/")
    return (not slash or folder in {"kept", ".trash"}) and is_picture_name(name)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 < value < LARGEST_NUMBER


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SEED


def _data(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"
