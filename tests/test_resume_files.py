"""`--resume` makes whatever is missing of a line: pictures, strips, animations, sheets, rows of logs."""

import errno
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from invoke.errors import ExitStatus
from invoke.outputs import logs
from invoke.outputs.ledger import NAME, rows
from tests.batches import Batches
from tests.faults import Killed, full_after_one_picture, its_process_gone, killed_at_call

LINES = ["a cat --strip --gif -n 2", "a dog --strip --gif --grid -S 5", "a cat --strip --gif -n 2"]


def is_complete(folder: Path) -> None:
    """Check that every file of LINES exists once and complete, with one row in each log and in the ledger."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith((".", "invoke_log")))
    grids = [name for name in names if ".grid." in name]
    pictures = [name for name in names if name.count(".") == 2 and name not in grids]
    assert len(pictures) == 5, names
    stems = [name.removesuffix(".png") for name in pictures]
    steps = [f"{stem}.steps.{kind}" for stem in stems for kind in ("gif", "png")]
    assert names == sorted([*pictures, *steps, *grids])
    assert len(grids) == 1
    for name in names:
        with Image.open(folder / name) as image:
            image.load()
    for log in (logs.TEXT, logs.MARKDOWN):
        assert Counter(logs.names(folder, log)) == Counter(pictures), log
    listed = Counter(row["file"] for row in rows(folder / NAME) if "file" in row)
    assert set(listed) <= set(pictures)
    assert not list(folder.rglob("*.tmp"))


def test_a_kill_at_any_system_call_can_be_resumed(tmp_path: Path) -> None:
    """Every third call, and the one after the last; `make torture` takes each."""
    for turn in range(1, 10_000, 3):
        batches = Batches(tmp_path / str(turn))
        with suppress(Killed), killed_at_call(turn) as made:
            batches.run(LINES)
        with its_process_gone():
            outcome = batches.run(LINES, resume=True)
        assert outcome.status is ExitStatus.OK, outcome.stderr
        is_complete(batches.folder)
        if len(made) < turn:
            return
    pytest.fail("there is no end of calls")


def test_a_missing_strip_is_made_again_and_the_picture_kept(batches: Batches) -> None:
    batches.run(LINES)
    forget_the_end(batches.folder)
    before = {path.name: path.stat().st_mtime_ns for path in batches.folder.glob("0*")}
    lost = [path for path in batches.folder.glob("*.steps.gif") if path.name.startswith(("000001", "000002"))]
    content = {path.name: path.read_bytes() for path in lost}
    for path in lost:
        path.unlink()
    outcome = batches.run(LINES, resume=True, as_json=True)
    assert [event["kind"] for event in outcome.of_type("file")] == ["gif"] * 3
    assert outcome.of_type("image") == []
    is_complete(batches.folder)
    after = {path.name: path.stat().st_mtime_ns for path in batches.folder.glob("0*")}
    assert {name for name in after if before[name] != after[name]} == set(content)
    assert {name: (batches.folder / name).read_bytes() for name in content} == content, "the same steps again"
    assert "drawn again: their strip is missing" in str(outcome.of_type("plan")[0]["notes"])


@pytest.mark.parametrize("ending", [".png", ".steps.gif", NAME])
def test_a_file_whose_stat_fails_is_not_made_again(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    batches.run(LINES)
    forget_the_end(batches.folder)
    before, stat = sorted(batches.folder.iterdir()), os.stat

    def failing(path: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(str(batches.folder)) and str(path).endswith(ending):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return stat(path, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", failing)
        outcome = batches.run(LINES, resume=True)
        assert outcome.status
        assert outcome.engine.requests == []
        assert "Permission denied" in outcome.stderr or "permission" in outcome.stderr
    batches.run(LINES, resume=True)
    assert sorted(batches.folder.iterdir()) == before


def test_a_strip_named_by_fnformat_is_found(batches: Batches) -> None:
    lines = ["a cat --strip --sweep s=2,3 -S 7 --fnformat {prompt}-{steps}.png"]
    batches.run(lines)
    forget_the_end(batches.folder)
    assert batches.run(lines, resume=True).engine.requests == []
    forget_the_end(batches.folder)
    (batches.folder / "000001.7-01.steps.png").unlink()
    assert [request.steps for request in batches.run(lines, resume=True).engine.requests] == [3]


def test_rows_missing_from_the_logs_are_added_once(batches: Batches) -> None:
    batches.run(LINES)
    forget_the_end(batches.folder)
    text = batches.folder / logs.TEXT
    whole = text.read_text(encoding="utf-8")
    text.write_text("".join(whole.splitlines(keepends=True)[:3]) + "torn", encoding="utf-8")
    (batches.folder / logs.MARKDOWN).unlink()
    assert batches.run(LINES, resume=True).engine.requests == []
    is_complete(batches.folder)
    assert sorted(text.read_text(encoding="utf-8").splitlines()) == sorted(whole.splitlines())


def test_a_batch_killed_and_resumed_repeatedly_is_complete(batches: Batches) -> None:
    for turn in (20, 45, 60, 75, 15, 5):
        with its_process_gone(), suppress(Killed), killed_at_call(turn):
            batches.run(LINES, resume=True)
    with its_process_gone():
        batches.run(LINES, resume=True)
    is_complete(batches.folder)


def test_pictures_without_ledger_rows_are_found_by_name(batches: Batches) -> None:
    batches.run(["a cat -n 4 -S 1"])
    forget_the_end(batches.folder)
    ledger = batches.folder / NAME
    kept = [
        row for row in ledger.read_bytes().splitlines(keepends=True) if b".2.png" not in row and b".4.png" not in row
    ]
    ledger.write_bytes(b"".join(kept))
    (batches.folder / "000001.1.png").unlink()
    (batches.folder / "000001.3.png").unlink()
    outcome = batches.run(["a cat -n 4 -S 1"], resume=True)
    assert [request.seed for request in outcome.engine.requests] == [1, 3]
    assert [path.name for path in batches.pictures] == [f"000001.{seed}.png" for seed in (1, 2, 3, 4)]


def test_deleted_pictures_are_made_again_with_a_note(batches: Batches) -> None:
    batches.run(["a cat -n 3 -S 1", "a dog -S 9"])
    for seed in (1, 3):
        (batches.folder / f"000001.{seed}.png").unlink()
    outcome = batches.run(["a cat -n 3 -S 1", "a dog -S 9"], resume=True)
    assert "note: 2 finished pictures are missing and will be made again" in outcome.stderr
    assert "1 line skipped" in outcome.stderr
    assert [request.seed for request in outcome.engine.requests] == [1, 3]
    assert batches.prompts() == Counter({"a cat": 3, "a dog": 1})


def test_a_batch_of_four_is_resumed_with_batch_size_1(batches: Batches) -> None:
    batches.run(["a cat -n 4 -S 1"], batch_size=4)
    forget_the_end(batches.folder)
    (batches.folder / "000001.3.png").unlink()
    outcome = batches.run(["a cat -n 4 -S 1"], resume=True, batch_size=1)
    assert [request.seed for request in outcome.engine.requests] == [3]


def test_steps_of_a_finished_picture_are_kept(batches: Batches) -> None:
    batches.run(["a cat -n 2 -S 1"], save_intermediates=1)
    forget_the_end(batches.folder)
    (batches.folder / "000001.2.png").unlink()
    steps = {path: path.stat().st_ino for path in (batches.folder / "intermediates" / "000001.1").iterdir()}
    assert steps
    batches.run(["a cat -n 2 -S 1"], resume=True, save_intermediates=1)
    assert {path: path.stat().st_ino for path in (batches.folder / "intermediates" / "000001.1").iterdir()} == steps


def test_a_ledger_that_is_temporarily_unwritable_loses_no_rows(batches: Batches) -> None:
    lines = ["a cat -S 1", "a dog -S 2", "a bird -S 3"]
    real, tries = os.open, iter(range(1000))

    def failing(path: Any, flags: int, *rest: Any) -> int:
        if str(path).endswith(NAME) and flags & os.O_APPEND and next(tries) < 4:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", failing)
        outcome = batches.run(lines, quiet=True)
    assert outcome.status is ExitStatus.OK
    assert outcome.stderr.count("warning: this batch cannot be resumed until this is fixed: ") == 1
    assert batches.run(lines, resume=True).engine.requests == [], "its rows were written later"


BAD = [
    *({"file": name} for name in ("..", ".", "", "a/b.png", "\ud800.png", "x" * 300 + ".png", "a\nb.png", ".h.png", 3)),
    *({"seed": seed} for seed in (-1, 2**32, True, 1.5, "7", None)),
    *({"picture": digest} for digest in ("", "not hex", 5)),
    *({"nth": nth} for nth in (0, -5, True, 10**25, "1")),
    *({"line": line} for line in ("", 7, None)),
]
BAD_CLAIMS = [
    *({"number": number} for number in (-5, 0, 10**25, True, 1.5, "1", None)),
    *({"draws": draws} for draws in (7, [-1], [2**32], [True], ["1"], None)),
    *({"at": at} for at in ("x", None, -1.0, 1e300, True)),
]


@pytest.mark.parametrize("bad", [*BAD, *BAD_CLAIMS], ids=str)
def test_an_invalid_ledger_row_is_ignored(batches: Batches, bad: dict[str, Any]) -> None:
    batches.run(["a cat -n 2 -S 1"])
    forget_the_end(batches.folder)
    ledger = batches.folder / NAME
    kind = "number" if bad in BAD_CLAIMS else "picture"
    row = next(row for row in map(json.loads, ledger.read_bytes().splitlines()) if kind in row)
    with ledger.open("a", encoding="ascii") as file:
        file.write(json.dumps(row | bad) + "\n")
    outcome = batches.run(["a cat -n 2 -S 1"], resume=True)
    assert outcome.status is ExitStatus.OK
    assert outcome.engine.requests == []
    assert [path.name for path in batches.pictures] == ["000001.1.png", "000001.2.png"]


def test_each_row_is_one_write_and_a_claim_precedes_its_pictures(batches: Batches) -> None:
    with killed_at_call(10_000) as made:
        batches.run(["a cat -S 1"])
    claim = made.index("fsync")
    assert "link" not in made[:claim], "no picture before its line is claimed for good"
    assert made[: claim + 1].count("write") == 1


def test_a_torn_row_is_terminated_before_the_next_one(batches: Batches) -> None:
    batches.run(["a cat -S 1"])
    ledger = batches.folder / NAME
    ledger.write_bytes(ledger.read_bytes() + b'{"run": "torn')
    batches.run(["a dog -S 2"])
    assert batches.run(["a dog -S 2"], resume=True).engine.requests == []


def test_a_row_that_does_not_fit_on_the_disk_is_removed(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    batches.run(["a cat -S 1"])
    ledger, real = batches.folder / NAME, os.write
    before = ledger.read_bytes()

    def short(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:5] if bytes(data[:8]) == b'{"run": ' else data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short)
        outcome = batches.run(["a dog -S 2"])
    assert "the disk is full" in outcome.stderr
    assert ledger.read_bytes() == before


def test_init_picture_minus_1_waits_for_the_lines_before_it(batches: Batches) -> None:
    outcome = batches.run(["a fire -S 1", "a cat -S 2", "a dog -I -1 -f 0.5 -S 3"], batch_size=4)
    assert Path(str(outcome.engine.requests[-1].init_image)).name == "000002.2.png"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_output_folder_ends_the_batch_with_status_3(batches: Batches, code: int) -> None:
    """Also if pictures were made before."""
    with full_after_one_picture(code):
        outcome = batches.run(["a cat -S 1", "a dog -S 2", "a bird -S 3"])
    assert outcome.status is ExitStatus.UNUSABLE
    assert outcome.stderr.count("error: ") == 1
    assert [path.name for path in batches.pictures] == ["000001.1.png"]


def forget_the_end(folder: Path) -> None:
    """As if the batch had been killed before the ledger recorded its lines as finished."""
    ledger = folder / NAME
    kept = [row for row in ledger.read_bytes().splitlines(keepends=True) if b'"done"' not in row]
    ledger.write_bytes(b"".join(kept))
