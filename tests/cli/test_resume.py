"""`--resume`: a batch killed at any moment and resumed has every picture once, none damaged (spec, 8)."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from errno import EACCES
from itertools import count
from pathlib import Path
from random import randint
from typing import Any

import pytest

from invoke.errors import EngineError, ExitStatus
from invoke.outputs.ledger import NAME, Ledger
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.faults import Killed, its_process_gone, killed_at_call

LINES = ["a cat", "a dog -S 5 -n 3", "a cat", "a bird -n 2 -S 7"]
PICTURES = Counter({"a cat": 2, "a dog": 3, "a bird": 2})


def a_kill_at(step: int) -> FakeEngine:
    """An engine whose process is killed during its `step`th step, counted over all pictures."""
    steps = count(1)

    def at_step(index: int) -> None:
        if next(steps) >= step:
            raise Killed

    return FakeEngine(at_step=at_step)


def killed(batches: Batches, lines: list[str], step: int, **more: Any) -> None:
    with pytest.raises(Killed):
        batches.run(lines, a_kill_at(step), **more)


# what is skipped


@pytest.mark.parametrize("step", range(1, 22))
def test_a_batch_killed_while_drawing_is_completed(batches: Batches, step: int) -> None:
    killed(batches, LINES, step)
    before = batches.made()
    result = batches.run(LINES, resume=True)
    assert result.status is ExitStatus.OK
    assert batches.prompts() == PICTURES
    assert sum(before.values()) + result.engine.finished == 7, "nothing is made twice"
    assert len({number for _, number in batches.made()}) == 4, "a line goes on under its own number"


def test_finished_lines_are_skipped_with_a_note(batches: Batches) -> None:
    batches.run(LINES)
    again = batches.run(LINES, resume=True)
    assert again.engine.requests == []
    assert again.stderr.startswith("4 lines skipped: already finished\n0 pictures, ")
    result = batches.run([*LINES, "a fish"], resume=True, as_json=True)
    assert [(event["line"], len(event["paths"])) for event in result.of_type("skip")] == [
        (1, 1),
        (2, 3),
        (3, 1),
        (4, 2),
    ]
    assert result.of_type("done")[0] | {"seconds": 0} == {
        "type": "done",
        "made": 1,
        "failed": 0,
        "seconds": 0,
        "skipped": 4,
    }


def test_an_unfinished_line_continues_with_its_seeds(batches: Batches) -> None:
    killed(batches, ["a cat -n 4"], step=3 * 2 + 2)
    first = [path.name for path in batches.pictures]
    result = batches.run(["a cat -n 4"], resume=True, as_json=True)
    seed = int(first[0].split(".")[1])
    assert [path.name for path in batches.pictures] == [f"000001.{seed + k}.png" for k in range(4)]
    assert result.of_type("plan")[0]["notes"][-1] == "2 of 4 pictures already exist"
    assert [image["seed"] for image in result.of_type("plan")[0]["images"]] == [seed + k for k in range(4)]
    assert [event["image"] for event in result.of_type("step") if event["step"] == 2] == [3, 4]


def test_without_resume_everything_is_made_again(batches: Batches) -> None:
    batches.run(LINES)
    batches.run(LINES)
    assert batches.prompts() == PICTURES + PICTURES


def test_resume_continues_the_latest_batch(batches: Batches) -> None:
    batches.run(LINES)
    killed(batches, LINES, 8)
    batches.run(LINES, resume=True)
    assert batches.prompts() == PICTURES + PICTURES, "not that all was finished by the one before"


def test_resume_works_after_other_batches_in_the_same_folder(batches: Batches) -> None:
    killed(batches, LINES, 8)
    batches.run(["a cat", "a whale"], source="other.txt")
    batches.run(["a fish", *LINES])
    batches.run(LINES, resume=True)
    assert batches.prompts() == PICTURES + PICTURES + Counter({"a cat": 1, "a whale": 1, "a fish": 1})


def test_a_renamed_file_is_recognised_by_its_first_line(batches: Batches) -> None:
    killed(batches, LINES, 8, source="old.txt")
    batches.run(LINES, resume=True, source="new.txt")
    assert batches.prompts() == PICTURES


def test_a_failed_line_is_tried_again_with_its_number(batches: Batches) -> None:
    result = batches.run(["a cat -S 1", "a dog -n 2 -S 2", "a bird -S 3"], FakeEngine(None, None, EngineError("no")))
    assert result.status is ExitStatus.FAILED
    assert batches.run(["a cat -S 1", "a dog -n 2 -S 2", "a bird -S 3"], resume=True).status is ExitStatus.OK
    assert [path.name for path in batches.pictures] == [
        "000001.1.png",
        "000002.2.png",
        "000002.3.png",
        "000003.3.png",
    ]


def test_an_interrupted_batch_names_resume(batches: Batches) -> None:
    result = batches.run(["a cat", "a well -lit room", "a dog"], stop_on_error=True)
    assert result.stderr.endswith(" s; run it again with --resume to continue\n")
    for lines in (["a cat", "a well -lit room"], ["a cat", "quit", "a dog"], ["a cat", "!quit", "a dog"]):
        assert "--resume" not in batches.run(lines).stderr


# settings in force


def test_set_commands_of_the_file_apply_to_the_remaining_lines(batches: Batches) -> None:
    lines = ["a cat", "!set -s 3", "a cat", "!set -s 4", "a cat", "a dog"]
    killed(batches, lines, step=3 + 4 + 2)
    result = batches.run(lines, resume=True)
    assert [request.steps for request in result.engine.requests] == [4, 4]
    assert batches.prompts() == Counter({"a cat": 3, "a dog": 1})


def test_changed_settings_make_a_new_picture(batches: Batches) -> None:
    batches.run(["a cat"])
    assert len(batches.run(["a cat"], resume=True, steps=3).engine.requests) == 1
    assert len(batches.run(["a cat"], resume=True, batch_size=4).engine.requests) == 0


def test_references_to_earlier_pictures_keep_their_meaning(batches: Batches) -> None:
    lines = ["a cat -S 1", "a dog -I -1 -f 0.5 -S -1", "a bird -I -2"]
    killed(batches, lines, step=3 + 2 + 1)
    requests = batches.run(lines, resume=True).engine.requests
    assert [(request.prompt, Path(str(request.init_image)).name) for request in requests] == [
        ("a bird", "000001.1.png"),
    ]


# a file that was edited


def test_a_file_with_inserted_removed_and_changed_lines_is_resumed(batches: Batches) -> None:
    batches.run(LINES)
    edited = ["a wolf", "a cat", "a dog -S 5 -n 4", "  a cat", "a cat"]
    result = batches.run(edited, resume=True)
    assert [request.prompt for request in result.engine.requests] == ["a wolf", *["a dog"] * 4, "a cat"]
    assert len(batches.run(edited, resume=True).engine.requests) == 0


def test_a_folder_with_new_pictures_gives_only_the_new_ones(batches: Batches, tmp_path: Path) -> None:
    from PIL import Image

    start = tmp_path / "start"
    start.mkdir()
    for name in ("b", "d"):
        Image.new("RGB", (64, 64)).save(start / f"{name}.png")
    killed(batches, [f"a cat -I {start}"], step=3 + 1)
    for name in ("a", "c"):
        Image.new("RGB", (64, 64)).save(start / f"{name}.png")
    requests = batches.run([f"a cat -I {start}"], resume=True).engine.requests
    assert [Path(str(request.init_image)).stem for request in requests] == ["a", "c", "d"]


# kills at every moment


MOMENTS = {
    "two lines, one twice": (["a cat -n 2", "a dog -S 3", "a dog -S 3"], Counter({"a cat": 2, "a dog": 2}), []),
    "steps": (
        ["a cat -n 2 -S 1 --save_intermediates 1", "a dog -S 3"],
        Counter({"a cat": 2, "a dog": 1}),
        ["intermediates/1", "intermediates/2"],
    ),
    "sheets": (
        ["a cat -n 2 -S 1 -g", "a dog --sweep steps=1,2 -S 3"],
        Counter({"a cat": 2, "a dog": 2}),
        ["grid.png", "sweep.png"],
    ),
    "names of one's own": (
        ["a cat -n 2 -S 1 --fnformat 0{prompt}.png", "a cat -S 1 --fnformat 0{prompt}.png"],
        Counter({"a cat": 3}),
        [],
    ),
    "passed back": (["a cat -S 9", "a dog -I -1 -v 0.3 -n 2 -S 4"], Counter({"a cat": 1, "a dog": 3}), []),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MOMENTS)
def test_a_kill_before_any_system_call_can_be_resumed(kind: str, tmp_path: Path) -> None:
    """Every third call, from another one on each time; the campaign `calls` of `make torture` takes each."""
    lines, pictures, sheets = MOMENTS[kind]
    for number in count(randint(1, 3), 3):
        batches = Batches(tmp_path / str(number))
        with suppress(Killed), killed_at_call(number) as made:
            batches.run(lines)
        with its_process_gone():
            assert batches.run(lines, resume=True).status is ExitStatus.OK, number
        assert Counter(_prompts(batches.folder)) == pictures, number
        assert _others(batches.folder) == sheets, number
        if len(made) < number:
            assert number > 20
            return


def _others(folder: Path) -> list[str]:
    """Sheets and folders of steps, without their numbers, since a claimed number may stay unused."""
    found = [*folder.glob("*.grid*"), *folder.glob("*.sweep*"), *(folder / "intermediates").glob("*")]
    return sorted(re.sub(r"\d{6}\.", "", str(path.relative_to(folder))) for path in found)


def _prompts(folder: Path) -> Iterator[str]:
    from PIL import Image

    from invoke.outputs import metadata

    assert not list(folder.rglob("*.tmp"))
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            image.load()
        recipe = metadata.read(path)
        if recipe is not None and recipe.request is not None:
            yield recipe.request.prompt


# the ledger


def test_ledger_rows_are_json_objects_and_torn_ones_are_ignored(batches: Batches) -> None:
    killed(batches, LINES, 8)
    file = batches.folder / NAME
    rows = file.read_bytes().splitlines()
    assert all(json.loads(row)["run"] for row in rows)
    torn = (
        b'{"run": "x"}\nno row\n[1]\n{"run": 3}\n{"run": "\xff"}\n' + b"\n".join(rows) + b'\n{"run": "' + rows[0][9:30]
    )
    file.write_bytes(torn)
    batches.run(LINES, resume=True)
    assert batches.prompts() == PICTURES


def test_a_file_name_outside_the_folder_is_ignored(batches: Batches) -> None:
    killed(batches, ["a cat -n 2 -S 1"], 5)
    file = batches.folder / NAME
    file.write_text(file.read_text().replace("000001.1.png", "../000001.1.png"), encoding="utf-8")
    (batches.folder.parent / "000001.1.png").touch()
    result = batches.run(["a cat -n 2 -S 1"], resume=True, as_json=True)
    assert all(str(batches.folder) in event["path"] for event in result.of_type("image"))


def test_two_processes_cannot_resume_the_same_batch(batches: Batches) -> None:
    killed(batches, LINES, 8)
    other = Ledger(resume=True)
    other.entry(batches.folder, "some line")
    result = batches.run(LINES, resume=True)
    assert result.status is ExitStatus.UNUSABLE
    assert "another batch is using this folder (resume when it has ended)" in result.stderr
    other.close()
    batches.run(LINES, resume=True)
    assert batches.prompts() == PICTURES


def test_a_batch_with_an_unwritable_ledger_is_made(batches: Batches) -> None:
    (batches.folder / NAME).mkdir(parents=True)
    result = batches.run(LINES)
    assert result.status is ExitStatus.OK
    warning = f"warning: this batch cannot be resumed until this is fixed: {batches.folder / NAME}: "
    assert result.stderr.count(warning) == 1
    assert batches.prompts() == PICTURES


def test_an_unusable_ledger_is_named(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is writable, but the ledger of another user is not."""
    batches.run(LINES[:1])

    opened = os.open

    def only_read(path: str | Path, flags: int, *rest: int) -> int:
        if Path(path).name == NAME and flags & os.O_RDWR:
            raise PermissionError(EACCES, "Permission denied")
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", only_read)
    result = batches.run(LINES)
    assert result.status is ExitStatus.OK
    why = f"{batches.folder / NAME}: no permission to write here"
    assert f"warning: this batch cannot be resumed until this is fixed: {why}" in result.stderr
    result = batches.run(LINES, resume=True)
    assert result.status is ExitStatus.UNUSABLE
    assert f"line 1: error: {why}" in result.stderr


def test_lines_with_their_own_folder_are_resumed_there(batches: Batches, tmp_path: Path) -> None:
    lines = ["a cat", f"a dog -o {tmp_path / 'dogs'}", "a bird"]
    killed(batches, lines, step=3 + 3 + 1)
    assert [request.prompt for request in batches.run(lines, resume=True).engine.requests] == ["a bird"]
    assert (tmp_path / "dogs" / NAME).exists()


def test_a_dry_run_with_resume_shows_the_rest_and_writes_nothing(batches: Batches) -> None:
    killed(batches, LINES, 8)
    before = {path: path.read_bytes() for path in batches.folder.iterdir() if path.is_file()}
    result = batches.run(LINES, resume=True, dry_run=True)
    assert "1 line skipped: already finished" in result.stderr
    assert "3 lines, 5 pictures, 10 calls of the model" in result.stderr
    assert {path: path.read_bytes() for path in batches.folder.iterdir() if path.is_file()} == before
