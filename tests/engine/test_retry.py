"""An engine that dies or freezes is replaced; its picture is drawn again, and skipped after three deaths."""

import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invoke.engine.process.remote import RemoteEngine
from invoke.engine.process.retry import EngineDiedError
from invoke.errors import EngineError, ExitStatus, InvokeError, cannot_be_loaded, says_no_memory
from invoke.events import NO_PREVIEWS, Finished, Note, Started
from invoke.models import read_registry
from invoke.options import EngineOptions
from tests import making
from tests.batches import Batches
from tests.fake_worker import impatient

WORKER = "tests.fake_worker"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteEngine]:
    """A RemoteEngine on the engine of the tests."""
    monkeypatch.setenv("INVOKE_FAULTS", str(tmp_path))
    with closing(RemoteEngine(read_registry(), EngineOptions(), module=WORKER)) as engine:
        yield engine


def test_lines_are_drawn_once_although_engines_die(engine: RemoteEngine, tmp_path: Path) -> None:
    """Eight lines, three engines killed."""
    batches = Batches(tmp_path / "out")
    lines = [f"a cat {index}{' dies until 1' if index % 3 == 1 else ''} -S {index}" for index in range(8)]
    outcome = batches.run(lines, engine)
    assert outcome.status is ExitStatus.OK
    assert outcome.stderr.count("trying this picture again on a new engine") == 3
    assert [path.name for path in batches.pictures] == [f"{index + 1:06}.{index}.png" for index in range(8)]


def test_a_line_that_kills_three_engines_is_skipped(engine: RemoteEngine, tmp_path: Path) -> None:
    batches = Batches(tmp_path / "out")
    outcome = batches.run(["a cat -S 1", "a dog dies -S 2", "a bird -S 3"], engine, batch_size=3)
    assert outcome.status is ExitStatus.FAILED
    why = "the engine process died (killed by SIGKILL), as did 2 others with this picture: it is skipped"
    assert f"line 2: error: {why}" in outcome.stderr
    assert (tmp_path / "dies-a-dog-dies").read_bytes() == b"..."
    assert [path.name for path in batches.pictures] == ["000001.1.png", "000003.3.png"]


def test_steps_of_a_retried_picture_are_saved_once(engine: RemoteEngine, tmp_path: Path) -> None:
    batches = Batches(tmp_path / "out")
    batches.run(["a cat dies until 2 -S 1 -s 4 --strip --save_intermediates 1"], engine)
    steps = sorted(path.name for path in (batches.folder / "intermediates" / "000001.1").iterdir())
    assert steps == [f"step-{index:04}.png" for index in range(5)]
    assert sorted(path.name for path in batches.folder.glob("0*")) == ["000001.1.png", "000001.1.steps.png"]


def test_a_frozen_engine_is_replaced(engine: RemoteEngine, tmp_path: Path) -> None:
    events = list(impatient(engine, making.a_request(prompt="freezes", steps=3), tmp_path))
    kinds = [type(event) for event in events]
    assert (kinds.count(Started), kinds.count(Finished)) == (2, 1)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "no step for 2 s; Ctrl-C ends the wait" in notes
    assert re.fullmatch(
        r"the engine was silent for \d s and was stopped: trying this picture again on a new engine", notes[-1]
    )


def test_a_frozen_load_does_not_delay_the_first_json_event(engine: RemoteEngine) -> None:
    """`--json` waits for this."""
    engine.load("pocket")
    process = engine._process
    assert process is not None
    process._popen.send_signal(signal.SIGSTOP)
    engine._patience = 2.0
    assert engine.place("pocket") is None


def test_with_one_attempt_a_dead_engine_is_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_FAULTS", str(tmp_path))
    with closing(RemoteEngine(read_registry(), EngineOptions(), module=WORKER, attempts=1)) as engine:
        with pytest.raises(EngineDiedError, match=r"^the engine process died \(killed by SIGKILL\)$") as caught:
            list(engine.generate(making.a_request(prompt="dies", steps=3)))
        assert caught.value.code == "engine_died"
        assert (tmp_path / "dies-dies").read_bytes() == b".", "no second engine was tried"
        assert isinstance(list(engine.generate(making.a_request(prompt="a cat", steps=3)))[-1], Finished)


def test_an_engine_killed_on_purpose_is_not_retried(engine: RemoteEngine) -> None:
    running = engine.generate_batch([(making.a_request(prompt="slow", steps=200), NO_PREVIEWS)])
    next(running)
    engine.kill()
    with pytest.raises(EngineError, match="died") as caught:
        list(running)
    assert not isinstance(caught.value, EngineDiedError)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_errors_about_memory_are_recognised(error: Exception) -> None:
    assert says_no_memory(error)
    refusal: InvokeError = cannot_be_loaded("sd-1.5", error)
    assert (refusal.message, refusal.code) == ("sd-1.5: out of memory while it was loaded", "out_of_memory")
    try:
        raise ValueError("something else") from error
    except ValueError as outer:
        assert says_no_memory(outer)
    assert not says_no_memory(KeyError("unet"))
