"""The ledger by itself: when and in which calls it is written, and what is read back."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoke.errors import OutputError
from invoke.outputs.ledger import NAME, Entry, Ledger, PictureRow, all_rows, is_held, rows

LINE, OTHER = "9d3c", "77e0"
_opened: list[Ledger] = []


def run(folder: Path, source: str = "a.txt", **more: Any) -> Ledger:
    ledger = Ledger(source, **more)
    _opened.append(ledger)
    return ledger


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close the files of ledgers abandoned as by a kill."""
    yield
    while _opened:
        _opened.pop()._earlier_rows.close()


def made(ledger: Ledger, folder: Path, line: str = LINE, *, number: int = 1, pictures: int = 1) -> Entry:
    """A line with pictures that is not finished."""
    entry = ledger.claim(ledger.entry(folder, line), number, [5, 6])
    for index in range(pictures):
        ledger.made(entry, PictureRow(f"{index:x}", f"{number:06}.{index}.png", index))
    return entry


def kill(ledger: Ledger) -> None:
    """Leave `ledger` as a process that is killed does: the system closes what it has opened."""
    if ledger._held is not None:
        os.close(ledger._held)
        ledger._held = None


class Calls:
    """The names of the calls that change a file, in their order; one of them may fail."""

    NAMES = ("open", "write", "fsync", "ftruncate", "close")

    def __init__(self, patch: pytest.MonkeyPatch, turn: int = 0, number: int = errno.EIO) -> None:
        self.made: list[str] = []
        self._turn, self._number = turn, number
        for name in self.NAMES:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.made.append(name)
            if len(self.made) == self._turn:
                if name == "close":
                    real(*given)
                raise OSError(self._number, os.strerror(self._number))
            return real(*given, **named)

        return call


def test_a_claim_is_flushed_before_it_returns_and_later_rows_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).touch()
    ledger = run(tmp_path)
    entry = ledger.entry(tmp_path, LINE)
    with monkeypatch.context() as patch:
        calls = Calls(patch)
        entry = ledger.claim(entry, 1, [5])
        assert calls.made == ["open", "write", "fsync", "open", "fsync", "close", "close"], (
            "the folder as well: it is new"
        )
        calls.made.clear()
        ledger.made(entry, PictureRow("ab", "000001.5.png", 5))
        ledger.finish(entry)
        assert calls.made == ["open", "write", "close"] * 2
        calls.made.clear()
        ledger.claim(ledger.entry(tmp_path, OTHER), 2, [6])
        assert calls.made == ["open", "write", "fsync", "close"]
    ledger.close()
    head, *said = map(json.loads, (tmp_path / NAME).read_bytes().splitlines())
    assert head.keys() == {"run", "from"}
    assert [sorted(row.keys() - {"run", "line", "nth"}) for row in said] == [
        ["at", "draws", "number"],
        ["file", "picture", "seed"],
        ["done"],
        ["at", "draws", "number"],
    ]
    assert {row["run"] for row in said} == {head["run"]}


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_failing_call_neither_loses_nor_repeats_a_row(
    turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call fails, then the second, …: rows that could not be written come with the next row."""
    ledger = run(tmp_path)
    entry = ledger.entry(tmp_path, LINE)
    with monkeypatch.context() as patch:
        calls = Calls(patch, turn)
        entry = ledger.claim(entry, 1, [5, 6])
        failed = len(calls.made) >= turn
    assert failed
    ledger.made(entry, PictureRow("0", "000001.0.png", 0))
    assert ledger.trouble is None
    ledger.close()
    written = [row for row in all_rows(tmp_path / NAME) if row is not None and "line" in row]
    assert [row.get("number", row.get("file")) for row in written if "number" in row][-1:] == [1]
    assert [row["file"] for row in written if "file" in row] == ["000001.0.png"]
    again = run(tmp_path, resume=True)
    found = again.entry(tmp_path, LINE)
    assert (found.number, found.draws, found.pictures) == (1, (5, 6), (PictureRow("0", "000001.0.png", 0),))


def test_a_ledger_killed_and_resumed_repeatedly_goes_on(tmp_path: Path) -> None:
    """Each run continues where the previous one was killed: same run, number and draws, no picture twice."""
    first = run(tmp_path)
    made(first, tmp_path, pictures=1)
    kill(first)
    for count in (1, 2, 3):
        ledger = run(tmp_path, resume=True)
        entry = ledger.entry(tmp_path, LINE)
        assert (entry.number, entry.draws, entry.done) == (1, (5, 6), False)
        assert [row.file for row in entry.pictures] == [f"000001.{index}.png" for index in range(count)]
        assert ledger.claim(entry, 1, [5, 6]) is entry, "it is claimed already"
        ledger.made(entry, PictureRow(f"{count:x}", f"000001.{count}.png", count))
        kill(ledger)
    ledger = run(tmp_path, resume=True)
    ledger.finish(ledger.entry(tmp_path, LINE))
    kill(ledger)
    last = run(tmp_path, resume=True).entry(tmp_path, LINE)
    assert last.done
    assert len(last.pictures) == 4
    assert len({row["run"] for row in rows(tmp_path / NAME)}) == 1


def test_a_repeated_line_is_counted_each_time(tmp_path: Path) -> None:
    ledger = run(tmp_path)
    for number in (1, 2):
        ledger.finish(made(ledger, tmp_path, number=number))
    ledger.close()
    again = run(tmp_path, resume=True)
    found = [again.entry(tmp_path, LINE) for _ in range(3)]
    assert [(entry.nth, entry.number, entry.done) for entry in found] == [(1, 1, True), (2, 2, True), (3, None, False)]
    assert again.entry(tmp_path, OTHER) == Entry(tmp_path, OTHER, 1)


@pytest.mark.parametrize(
    ("source", "first", "expected"),
    [
        ("a.txt", LINE, 3),  # the same source and first line, the newest of them
        ("b.txt", OTHER, 2),  # the same source
        ("c.txt", LINE, 3),  # another name of the file: the newest that began so
        ("c.txt", "ff", None),  # nothing like it
        ("a.txt", "ff", 4),  # an edited file: the newest of its runs
    ],
)
def test_resume_chooses_the_latest_run_of_the_same_file_or_first_line(
    source: str, first: str, expected: int | None, tmp_path: Path
) -> None:
    runs = [("a.txt", LINE), ("b.txt", LINE), ("a.txt", LINE), ("a.txt", OTHER)]
    names = []
    for number, (told, line) in enumerate(runs, start=1):
        ledger = run(tmp_path, told)
        made(ledger, tmp_path, line, number=number)
        ledger.close()
        names.append(ledger._id)
    ledger = run(tmp_path, source, resume=True)
    ledger.entry(tmp_path, first)
    joined = ledger._runs[os.path.realpath(tmp_path)]
    assert (names.index(joined) + 1 if joined in names else None) == expected


def test_different_paths_to_one_folder_share_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a link: on many systems the home is one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    ledger = run(tmp_path)
    for number, folder in enumerate((Path("out"), tmp_path / "link", Path("link/../out")), start=1):
        made(ledger, folder, number=number)
    ledger.close()
    assert [row["nth"] for row in rows(tmp_path / "out" / NAME) if "number" in row] == [1, 2, 3]
    assert sum("from" in row for row in rows(tmp_path / "out" / NAME)) == 1


def test_resume_is_refused_while_another_batch_runs(tmp_path: Path) -> None:
    file = tmp_path / NAME
    first = run(tmp_path)
    made(first, tmp_path)
    assert is_held(file)
    with pytest.raises(OutputError, match="another batch is using this folder") as caught:
        run(tmp_path, resume=True).entry(tmp_path, LINE)
    assert caught.value.code == "batch_running"
    second = run(tmp_path)
    made(second, tmp_path, number=2)  # a new batch may write beside it
    for ledger in (first, second):
        assert is_held(file)
        ledger.close()
    assert not is_held(file)
    run(tmp_path, resume=True).entry(tmp_path, LINE)


def test_resume_works_on_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*given: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    made(run(tmp_path), tmp_path)
    assert not is_held(tmp_path / NAME)
    assert run(tmp_path, resume=True).entry(tmp_path, LINE).number == 1


def test_a_shard_has_its_own_ledger_and_a_dry_run_none(tmp_path: Path) -> None:
    made(run(tmp_path, part="3-of-64"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".invoke-ledger.3-of-64.jsonl"]
    dry = Ledger("a.txt", keep=False)
    made(dry, tmp_path / "none")
    dry.finish(dry.entry(tmp_path / "none", LINE))
    dry.close()
    assert not (tmp_path / "none").exists()


def test_a_ledger_knows_the_names_of_its_pictures(tmp_path: Path) -> None:
    ledger = run(tmp_path)
    made(ledger, tmp_path)
    assert ledger.knows(tmp_path, "000001.0.png")
    assert not ledger.knows(tmp_path, "000001.1.png")
    assert not ledger.knows(tmp_path / "none", "000001.0.png")


GOOD = {"run": "5f", "line": "9d", "nth": 1}
PICTURE = {"picture": "41", "file": "000012.7.png", "seed": 7}
CLAIM = {"number": 12, "draws": [7], "at": 1.5}


@pytest.mark.parametrize(
    ("row", "is_read"),
    [
        ({"run": "5f", "from": "x"}, True),
        ({"run": "5g", "from": "x"}, False),
        ({"run": "5f" * 33, "from": "x"}, False),
        (GOOD, False),
        (GOOD | {"done": True}, True),
        (GOOD | {"done": 1}, False),
        (GOOD | {"done": False}, False),
        (GOOD | PICTURE, True),
        (GOOD | PICTURE | {"seed": 2**32 - 1}, True),
        (GOOD | PICTURE | {"seed": 2**32}, False),
        (GOOD | PICTURE | {"seed": 0}, True),
        (GOOD | PICTURE | {"seed": -1}, False),
        (GOOD | PICTURE | {"seed": True}, False),
        (GOOD | PICTURE | {"file": "kept/000012.7.png"}, True),
        (GOOD | PICTURE | {"file": ".trash/000012.7.png"}, True),
        (GOOD | PICTURE | {"file": "other/000012.7.png"}, False),
        (GOOD | PICTURE | {"file": "../000012.7.png"}, False),
        (GOOD | PICTURE | {"file": "kept/../000012.7.png"}, False),
        (GOOD | PICTURE | {"file": "/000012.7.png"}, False),
        (GOOD | PICTURE | {"file": ".."}, False),
        (GOOD | CLAIM, True),
        (GOOD | CLAIM | {"number": 10**9 - 1}, True),
        (GOOD | CLAIM | {"number": 10**9}, False),
        (GOOD | CLAIM | {"number": 1}, True),
        (GOOD | CLAIM | {"number": 0}, False),
        (GOOD | CLAIM | {"draws": []}, True),
        (GOOD | CLAIM | {"draws": [1, -1]}, False),
        (GOOD | CLAIM | {"at": 0.0}, True),
        (GOOD | CLAIM | {"at": -0.1}, False),
        (GOOD | CLAIM | {"at": 1e11}, False),
        (GOOD | CLAIM | {"at": 1}, False),
        (GOOD | CLAIM | {"nth": 0}, False),
        (GOOD | CLAIM | {"nth": 1.0}, False),
        (GOOD | CLAIM | {"line": "XY"}, False),
    ],
    ids=json.dumps,
)
def test_rows_with_valid_fields_are_read(row: dict[str, Any], is_read: bool, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert [*rows(tmp_path / NAME)] == ([row] if is_read else [])
    assert [*all_rows(tmp_path / NAME)] == [row if is_read else None]


@given(st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text), max_size=6))
def test_rows_between_garbage_are_read(tmp_path_factory: pytest.TempPathFactory, others: list[bytes]) -> None:
    file = tmp_path_factory.mktemp("ledger") / NAME
    own = [json.dumps(GOOD | CLAIM | {"number": number}).encode() for number in range(1, len(others) + 2)]
    mixed = [text for pair in zip(own, others, strict=False) for text in pair] + own[len(others) :]
    file.write_bytes(b"\n".join(mixed))
    assert [row["number"] for row in rows(file) if "number" in row] == [*range(1, len(own) + 1)]


def test_a_very_long_row_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.outputs.ledger.LONGEST_ROW", 100)
    long = json.dumps(GOOD | CLAIM | {"draws": [7] * 60}).encode()
    (tmp_path / NAME).write_bytes(long + b"\n" + json.dumps(GOOD | CLAIM).encode() + b"\n")
    assert [row["number"] for row in rows(tmp_path / NAME)] == [12]


def test_a_ledger_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match="it is a folder"):
        [*rows(tmp_path / NAME)]
    with pytest.raises(OutputError):
        run(tmp_path, resume=True).entry(tmp_path, LINE)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / NAME).symlink_to(tmp_path / "elsewhere")
    ledger = run(tmp_path)
    made(ledger, tmp_path / "linked")
    assert ledger.trouble is not None, "nothing is written through a link"
    assert not (tmp_path / "elsewhere").exists()
