"""A batch on workers gives the names, pixels and sheets of one engine, in any order and with any faults."""

from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from invoke.errors import EngineError, ExitStatus
from invoke.events import EngineState
from invoke.outputs import metadata
from invoke.workers.host import Host
from tests.batches import Batches
from tests.workers.lanes import SETUP, FakeLanes, GoneLanes, HostedFake

DRAWING = "test-pictures/fire-drawing.png"
LINES = [
    "a fire -S 1 -n 3 -g",
    "a boat -S 5 --strip --gif",
    f"a tree -S 9 -n 2 -v 0.3 -I {DRAWING}",
    "nonsense -W",
    f"a tree -S 20 -n 3 -v 0.3 --drift -I {DRAWING}",
    "!set -s 3",
    "a house -S 30 -n 2 |> at night -f 0.5 -S 40 |> in snow -f 0.5 -S 50",
    "a castle -S 60 --sweep steps=2,3,3",
    "a ruin -I -2 -S 70",
    "a wood {oak|elm|fir} -S 80 --wild -n 2",
    "a hill -S 90 --save_intermediates 1",
    "a lake -S 100 --fnformat same.png",
    "a lake -S 101 --fnformat same.png",
    "a fire -S 1 -n 2",
]


def pixels(path: Path) -> int:
    with Image.open(path) as image:
        return hash(b"".join(frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(image)))


def files(folder: Path) -> dict[str, int]:
    """Name → a digest of the pixels, of every picture."""
    found = sorted(path for path in folder.rglob("*.*") if path.suffix in {".png", ".gif"})
    assert not list(folder.rglob("*.tmp"))
    return {str(path.relative_to(folder)): pixels(path) for path in found}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The pictures of LINES by one engine."""
    folder = tmp_path_factory.mktemp("plain")
    output = Batches(folder).run(LINES)
    assert output.status == ExitStatus.FAILED
    return files(folder)


@settings(max_examples=6)
@given(st.integers(1, 5), st.integers(0, 2**32), st.sampled_from([0.0, 0.1]))
def test_workers_make_the_same_names_and_pixels_as_one_engine(
    plain: dict[str, int], workers: int, seed: int, faults: float
) -> None:
    with TemporaryDirectory() as folder:
        lanes = FakeLanes(workers, Random(seed), faults=faults)
        output = Batches(Path(folder)).run(LINES, lanes=lanes)
        assert output.status == ExitStatus.FAILED
        assert output.stderr.count("error:") == 1
        assert files(Path(folder)) == plain


@settings(max_examples=5)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_batch_ended_anywhere_is_resumed_with_other_workers(seed: int, after: int) -> None:
    class Ending(FakeLanes):
        left = after

        def wait(self, timeout: float):  # type: ignore[no-untyped-def]
            if timeout:
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
            return super().wait(timeout)

    lines = [f"picture {k} -S {k} -n 2" for k in range(12)]
    with TemporaryDirectory() as folder:
        batches = Batches(Path(folder))
        with suppress(KeyboardInterrupt):
            batches.run(lines, lanes=Ending(3, Random(seed)))
        assert batches.run(lines, resume=True, lanes=FakeLanes(2, Random(seed))).status == ExitStatus.OK
        assert batches.prompts() == {f"picture {k}": 2 for k in range(12)}
        names = {f"{k + 1:06}.{k + n}.png" for k in range(12) for n in range(2)}
        assert {path.name for path in batches.pictures} == names


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    return Batches(tmp_path / "out")


def test_a_line_that_kills_three_workers_is_skipped(batches: Batches) -> None:
    lanes = FakeLanes(2, Random(1))
    result = batches.run(["a -n 4", "poison -n 3", "b -n 4"], lanes=lanes, as_json=True)
    assert result.status == ExitStatus.FAILED
    assert lanes.deaths <= 3
    assert batches.prompts() == {"a": 4, "b": 4}
    (error,) = result.of_type("error")
    assert (error["line"], error["code"]) == (2, "worker_died")
    assert "died 3 times (killed by SIGSEGV)" in error["message"]
    assert result.of_type("done")[0] == result.of_type("done")[0] | {"workers": 2, "retried": 2, "made": 8, "failed": 1}


def test_events_name_the_picture_and_the_worker(batches: Batches) -> None:
    result = batches.run(["a -n 2"], lanes=FakeLanes(2, Random(1)), as_json=True)
    assert sorted(event["picture"] for event in result.of_type("image")) == [1, 2]
    assert {event["worker"] for event in result.of_type("image")} <= {1, 2}
    up = result.of_type("worker")[0]
    assert (up["state"], up["device"], up["threads"]) == ("up", "cpu", 1)


def test_without_workers_the_batch_ends_with_status_3(batches: Batches) -> None:
    result = batches.run(["a", "b", "c"], lanes=GoneLanes(2))
    assert result.status == ExitStatus.UNUSABLE
    assert result.stderr.count("error:") == 1
    assert "no workers are left: host0: pocket: there is no such model; host1" in result.stderr
    assert batches.run(["a", "b", "c"], resume=True).status == ExitStatus.OK
    assert batches.prompts() == {"a": 1, "b": 1, "c": 1}


class DyingLoader(HostedFake):
    """Dies a given number of times while loading."""

    deaths = 0

    def place(self, model: str) -> tuple[str, str] | None:
        self.deaths -= 1
        self.state = EngineState("ready" if self.deaths < 0 else "stopped")
        return ("cpu", "float32") if self.deaths < 0 else None


def test_an_engine_that_dies_while_loading_is_restarted() -> None:
    engine = DyingLoader()
    engine.deaths = 2
    assert Host(engine, SETUP).hello().device == "cpu"
    engine.deaths = 3
    with pytest.raises(EngineError, match="its engine died 3 times while it loaded pocket"):
        Host(engine, SETUP).hello()


def test_a_worker_of_another_version_is_refused(batches: Batches) -> None:
    lanes = FakeLanes(2, Random(3), versions=["1", "2"])
    result = batches.run([f"{k}" for k in range(6)], lanes=lanes)
    assert result.status == ExitStatus.OK
    assert "torch" in result.stderr
    assert sum(batches.prompts().values()) == 6


def test_a_worker_with_other_weights_is_refused(batches: Batches) -> None:
    lanes = FakeLanes(3, Random(3), weights=["1", "1", "2"])
    result = batches.run([f"{k}" for k in range(12)], lanes=lanes)
    assert result.status == ExitStatus.OK
    assert result.stderr.count("has other weights of pocket than the other workers") in {
        1,
        2,
    }  # the odd one may be first
    assert batches.prompts() == {f"{k}": 1 for k in range(12)}
    recipes = [metadata.read(path) for path in batches.pictures]
    assert len({recipe.facts.hashes["model"] for recipe in recipes if recipe}) == 1


def test_stop_on_error_finishes_the_pictures_in_progress(batches: Batches) -> None:
    lanes = FakeLanes(2, Random(5))
    result = batches.run(["a", "b -n 9", "poison", *(f"{k}" for k in range(50))], lanes=lanes, stop_on_error=True)
    assert result.status == ExitStatus.FAILED
    assert 10 <= sum(batches.prompts().values()) < 60
    assert batches.run(["a", "b -n 9", *(f"{k}" for k in range(50))], resume=True).status == ExitStatus.OK
    assert batches.prompts() == {"a": 1, "b": 9} | {f"{k}": 1 for k in range(50)}


def test_a_line_that_reads_the_output_folder_waits_for_its_pictures(batches: Batches) -> None:
    batches.run(["z -S 9"])
    result = batches.run(["a -S 1", "b -S 2", f"c -S 3 -I {batches.folder}"], lanes=FakeLanes(2, Random(2)))
    assert result.status == ExitStatus.OK
    assert batches.prompts() == {"z": 1, "a": 1, "b": 1, "c": 3}


def test_batch_size_groups_pictures_for_each_worker(batches: Batches) -> None:
    lanes = FakeLanes(2, Random(2))
    batches.run([f"{k}" for k in range(40)], lanes=lanes, batch_size=4)
    assert lanes.largest == 8
    assert sum(batches.prompts().values()) == 40
