"""`--shard I/N`: one contiguous part of a file, for job arrays. Nothing but the output folder is shared.

Every shard reads every line, so that `!set` holds, and makes those of its own block. The first shard that begins in a
folder reserves a number for each line of the file there; the others find that in `.invoke-shards/`:

    SOURCE.N.1.json     {"base": 0, "lines": 640, "run_seed": 1592514025}
    SOURCE.N.1.3        exists once shard 3 has begun, and is locked while it is at work

A shard that begins again without `--resume` begins the next run, `SOURCE.N.2.json`, which the others join.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path

from invoke import files
from invoke.errors import OutputError
from invoke.locks import locked, try_lock
from invoke.outputs.numbering import Numbers
from invoke.outputs.writer import sentences

FOLDER = ".invoke-shards"
LARGEST_RECORD = 10_000
"""Bytes."""
_MOST = {"base": 10**9, "lines": 10**9, "run_seed": 2**32 - 1}
"""Field of a record → its largest value."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, counted from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def block(self, lines: int) -> range:
        """Its lines, counted from 1: the blocks partition `lines` lines and differ in size by at most one."""
        return range((self.index - 1) * lines // self.count + 1, self.index * lines // self.count + 1)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The numbers and seed that the shards of one run share in one folder."""

    base: int
    run_seed: int

    def number(self, line: int) -> int:
        """The number in the file names of `line`, which counts from 1."""
        return self.base + line

    def seeds(self, line: int) -> Callable[[], int]:
        """The generator of a line's random seeds: the same on every machine, in any order of the lines."""
        draws = count()
        return lambda: int.from_bytes(blake2b(f"{self.run_seed}:{line}:{next(draws)}".encode(), digest_size=4).digest())


class ShardFolder:
    """The folders that one shard of a file of `lines` lines writes to. `source` identifies the file."""

    def __init__(self, shard: Shard, source: str, lines: int, *, resume: bool) -> None:
        self.shard = shard
        self._source = re.sub(r"[^0-9A-Za-z]", "", source)[:16] or "lines"
        self._lines = lines
        self.block = shard.block(lines)
        """The lines that this shard makes."""
        self._resume = resume
        self._reservations: dict[Path, Reservation] = {}
        self._held: list[int] = []

    def join(self, folder: Path) -> Reservation:
        """The reservation in `folder`, made by the first shard. Raises OutputError."""
        if folder not in self._reservations:
            self._reservations[folder] = self._join(folder)
        return self._reservations[folder]

    def close(self) -> None:
        """Release this shard's locks."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def _join(self, folder: Path) -> Reservation:
        place = folder / FOLDER
        with sentences(place):
            files.make_folder(place)
        with locked(_open(place / "lock")):
            run = self._newest(place)
            if run and not self._resume and self._marker(place, run).exists():
                self._hold(self._marker(place, run))  # refused while that one is running
                run = 0
            if self._resume and not run:
                self._refuse_other_count(folder, place)
            record = self._record(place, run) if run else None
            if record is None:
                run, record = self._newest(place) + 1, self._reserve(folder)
                file = place / f"{self._source}.{self.shard.count}.{run}.json"
                files.replace(file, json.dumps(record).encode())
            self._hold(self._marker(place, run))
        if record["lines"] != self._lines:
            raise OutputError(
                f"the file has {self._lines} lines now, and had {record['lines']} when its first shard began",
                code="other_shards",
                hint="start all shards again in another folder (-o)",
            )
        return Reservation(record["base"], record["run_seed"])

    def _reserve(self, folder: Path) -> dict[str, int]:
        numbers = Numbers(folder)
        numbers.scan()
        base = numbers.claim(self._lines) - 1
        return {"base": base, "lines": self._lines, "run_seed": secrets.randbelow(2**32)}

    def _marker(self, place: Path, run: int) -> Path:
        return place / f"{self._source}.{self.shard.count}.{run}.{self.shard.index}"

    def _newest(self, place: Path) -> int:
        """The number of the latest run of these shards in a folder; 0 if there is none."""
        return max((int(match[2]) for match in self._runs(place) if int(match[1]) == self.shard.count), default=0)

    def _runs(self, place: Path) -> Iterator[re.Match[str]]:
        pattern = re.compile(rf"{self._source}\.(\d{{1,9}})\.(\d{{1,9}})\.json")
        return (match for name in os.listdir(place) if (match := pattern.fullmatch(name)))  # noqa: PTH208

    def _record(self, place: Path, run: int) -> dict[str, int]:
        file = place / f"{self._source}.{self.shard.count}.{run}.json"
        try:
            record = json.loads(files.read_file(file, LARGEST_RECORD, follow=False))
            return {name: _checked(record[name], most) for name, most in _MOST.items()}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise OutputError(
                f"{file}: this file was not written by a shard", code="other_shards", hint="remove it and start again"
            ) from None

    def _refuse_other_count(self, folder: Path, place: Path) -> None:
        others = sorted({int(match[1]) for match in self._runs(place)})
        if others:
            raise OutputError(
                f"{folder}: this file was begun there in {others[-1]} shards, not in {self.shard.count}",
                code="other_shards",
                hint=f"--shard {min(self.shard.index, others[-1])}/{others[-1]} --resume",
            )

    def _hold(self, marker: Path) -> None:
        descriptor = _open(marker)
        self._held.append(descriptor)
        if not try_lock(descriptor):
            raise OutputError(
                f"{marker.parent.parent}: shard {self.shard} is already running there",
                code="batch_running",
                hint="wait until it has ended, or end it; then --resume",
            )


def _open(file: Path) -> int:
    return files.open_file(file, os.O_RDWR | os.O_CREAT)


def _checked(value: object, most: int) -> int:
    """A number that a shard has written. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError
    return value
