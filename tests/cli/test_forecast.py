"""The summary of a dry run, and the recorded speeds it uses (spec, section 1)."""

import json
from pathlib import Path

import pytest

from invoke.cli.forecast import Forecast
from invoke.errors import EngineError
from invoke.outputs.speeds import FILE, KEPT, Speed, Speeds
from tests.batches import Batches
from tests.fakes import FakeEngine
from tests.line_contexts import plan
from tests.shell.talk import Talk


@pytest.fixture
def speeds(home: Path) -> Path:
    return home / "state" / "invoke-shell" / FILE


def forecast(batches: Batches, *lines: str) -> str:
    return batches.run(lines, dry_run=True).stderr.splitlines()[-1]


def a_speed(**more: object) -> Speed:
    expected = {"model": "pocket", "width": 64, "height": 64, "device": "cpu", "dtype": "float32"}
    expected |= {"threads": 2, "workers": 1, "call": 2, "rest": 1}
    return Speed(**(expected | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "impossible", ["1, 0, 1.0, 1.0", "1, 1, NaN, 1", "1, 1, 1, Infinity", "1, 1, -1, 1", "1e999, 1, 1, 1"]
)
def test_a_speed_that_nothing_has_is_not_believed(batches: Batches, speeds: Path, impossible: str) -> None:
    speeds.parent.mkdir(parents=True, exist_ok=True)
    speeds.write_text(f'[["pocket", 64, 64, "cpu", "float32", {impossible}]]', encoding="utf-8")
    assert "no estimate" in forecast(batches, "a cat")


def test_a_dry_run_ends_with_a_summary(batches: Batches) -> None:
    result = forecast(batches, "a cat -n 3", "# nothing", "a dog -s 10 -A k_heun", "a well -lit room")
    assert result == (
        "2 lines, 4 pictures, 25 calls of the model: "
        "no estimate: no picture of this size has been made here yet; 1 line failed"
    )


def test_the_estimate_uses_the_speed_of_recent_pictures(batches: Batches) -> None:
    stored = Speeds()
    stored.learn(a_speed())
    stored.save()
    assert forecast(batches, "a cat -n 3 -s 10").endswith(": about 63 seconds at the speed of recent pictures")
    assert forecast(batches, "a cat -s 100 -n 9").endswith(": about 30 minutes at the speed of recent pictures")
    assert forecast(batches, "a cat -s 10", "a dog -W 128 -n 2").endswith(
        "about 21 seconds at the speed of recent pictures, and 2 of a size not yet made here"
    )
    done = batches.run(["a cat -s 10", "a dog -W 128 -n 2"], dry_run=True, as_json=True).of_type("done")[0]
    assert done["planned"] == {"lines": 2, "pictures": 3, "calls": 14, "seconds": 21.0, "unknown": 2}


def test_the_speed_of_a_batch_is_recorded(batches: Batches, speeds: Path) -> None:
    batches.run(["a cat -n 2"], FakeEngine(pause=0.02))
    ((model, width, height, device, dtype, _, workers, call, rest),) = json.loads(speeds.read_text(encoding="utf-8"))
    assert (model, width, height, device, dtype, workers) == ("pocket", 64, 64, "cpu", "float32", 1)
    assert call >= 0.02
    assert rest > 0
    assert speeds.stat().st_mode & 0o777 == 0o600
    assert "at the speed of recent pictures" in forecast(batches, "a dog -s 50")


def test_the_speed_at_the_prompt_is_recorded(tmp_path: Path, speeds: Path) -> None:
    Talk(tmp_path).type("a cat")
    assert speeds.exists()


def test_pictures_without_meaningful_speed_are_not_recorded(batches: Batches, speeds: Path) -> None:
    batches.run(["a cat -W 512 -H 512 --hires_fix", "a cat --sweep width=64,128"])
    batches.run(["a cat"], FakeEngine(EngineError("no")))
    assert not speeds.exists()


def test_the_average_favours_recent_speeds_and_separates_devices() -> None:
    stored = Speeds()
    for call in (1.0, 2.0):
        stored.learn(a_speed(call=call, rest=0.0))
    stored.learn(a_speed(device="cuda", call=0.1, rest=0.0))
    stored.save()
    (picture,) = plan("a cat -s 10 -W 64 -H 64").pictures()
    assert Speeds().seconds(picture, "cpu") == pytest.approx(13.0)
    assert Speeds().seconds(picture, "cuda:0") is None
    assert Speeds().seconds(picture) == pytest.approx(1.0), "the newest, where no device is named"


def test_speeds_are_recorded_per_number_of_workers() -> None:
    """A number of workers without record is assumed to share the same cores."""
    stored = Speeds()
    stored.learn(a_speed(call=2.0, rest=0.0))
    (picture,) = plan("a cat -s 10 -W 64 -H 64").pictures()
    assert stored.seconds(picture, threads=1, workers=4) == pytest.approx(80.0)
    stored.learn(a_speed(call=3.0, rest=0.0, threads=1, workers=2))
    assert stored.seconds(picture, threads=1, workers=2) == pytest.approx(30.0)
    assert stored.seconds(picture, threads=1, workers=4) == pytest.approx(60.0)
    stored.learn(a_speed(call=2.5, rest=0.0, threads=1))
    assert stored.seconds(picture, threads=2) == pytest.approx(20.0)
    stored.learn(a_speed(call=0.1, rest=0.0, device="cuda", threads=0))
    assert stored.seconds(picture, "cuda", workers=4) == pytest.approx(1.0), "each has a card of its own"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{}", "[[1]]", '[["pocket", 64, 64, "cpu", "float32", 1, 1, "x", null]]']
)
def test_a_damaged_file_of_speeds_counts_as_empty(speeds: Path, text: str, batches: Batches) -> None:
    speeds.parent.mkdir(parents=True)
    speeds.write_text(text, encoding="utf-8")
    assert "no estimate" in forecast(batches, "a cat")
    batches.run(["a cat"])
    assert "at the speed" in forecast(batches, "a cat")


def test_an_unwritable_state_folder_does_not_fail_the_batch(batches: Batches, home: Path) -> None:
    (home / "state").touch()
    assert batches.run(["a cat"]).status == 0


def test_only_the_newest_speeds_are_kept(speeds: Path) -> None:
    stored = Speeds()
    for index in range(KEPT + 50):
        stored.learn(a_speed(model=f"model {index}"))
    stored.save()
    (picture,) = plan("a cat -W 64 -H 64").pictures()
    assert Speeds().seconds(picture) is None
    assert len(json.loads(speeds.read_text(encoding="utf-8"))) == KEPT


def test_a_line_of_a_million_pictures_is_summed_without_planning_each() -> None:
    total = Forecast()
    total.add(plan("a cat -n 1000000 -s 10"), lambda planned: 1.5)
    assert (total.pictures, total.calls, total.seconds) == (1_000_000, 10_000_000, 1_500_000)
    assert str(total).endswith("about 17 days at the speed of recent pictures")
