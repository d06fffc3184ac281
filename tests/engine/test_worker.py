"""The engine in its own process: pictures, cancelling, dying and freezing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from invoke.engine.diffusion_engine import DiffusionEngine
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import EngineError, ModelError, PictureError
from invoke.events import Freed, Loading, Previews, Step
from invoke.models import ModelSpec, Registry, read_registry
from invoke.options import EngineOptions
from tests import making, preloaded
from tests.engine.making import finished, notes
from tests.line_contexts import PICTURES
from tests.making import ARequest
from tests.patience import PATIENCE, until

ROOT = Path(__file__).parents[2]
LONG = 900
pytestmark = pytest.mark.usefixtures("preloaded_engines")
FIRE = PICTURES / "fire-drawing.png"


@pytest.fixture(scope="module")
def shared() -> Iterator[RemoteEngine]:
    engine = RemoteEngine(Registry({}), EngineOptions(device="cpu"))
    yield engine
    engine.close()


@pytest.fixture
def remote(shared: RemoteEngine) -> RemoteEngine:
    return shared


def test_a_remote_engine_draws_the_same_as_one_in_this_process(
    remote: RemoteEngine, engine: DiffusionEngine, a_request: ARequest
) -> None:
    for request in (a_request(), a_request(scheduler="k_euler_a", prompt="the " * 80)):
        ours, theirs = (list(e.generate(request, previews=Previews(2))) for e in (engine, remote))
        assert finished(ours).image == finished(theirs).image
        assert finished(ours).facts.hashes == finished(theirs).facts.hashes
        assert notes(ours) == notes(theirs)
        steps = [[event for event in events if isinstance(event, Step)] for events in (ours, theirs)]
        assert steps[0] == steps[1]


def test_a_missing_device_is_reported_before_loading() -> None:
    with closing(RemoteEngine(Registry({}), EngineOptions(device="cuda:99"))) as engine:
        with pytest.raises(EngineError, match="--device cuda:99: this machine has no such device, only ") as caught:
            engine.check_device()
        assert caught.value.code == "no_device"
        assert str(engine.state) == "starting"
    with closing(RemoteEngine(Registry({}), EngineOptions(device="cpu"))) as engine:
        engine.check_device()


def test_an_engine_can_be_closed_with_unread_answers(a_request: ARequest) -> None:
    engine = RemoteEngine(Registry({}), EngineOptions(device="cpu"))
    answers = engine.generate(a_request(steps=300), previews=Previews(1))
    next(answers)
    process = engine._process
    assert process is not None
    until(lambda: any(waiting.full() for waiting in process._answers.values()))
    engine.close()
    assert not process._reader.is_alive()
    assert process._popen.returncode is not None
    assert all(stream is not None and stream.closed for stream in (process._popen.stdin, process._popen.stdout))


def test_loading_runs_in_the_background_and_is_in_the_state(folder: Path, a_request: ARequest) -> None:
    engine = RemoteEngine(Registry({}), EngineOptions(device="cpu"))
    try:
        assert str(engine.state) == "not started"
        engine.load(str(folder))
        assert str(engine.state) == "starting", "nobody has waited for it"
        seen = _watch(engine, "ready")
        expected = ["starting", f"loading {folder}", f"ready: {folder} on cpu float32"]
        assert seen in (expected, [expected[0], expected[-1]]), "who looks seldom misses what is between"
        assert len(list(engine.generate(a_request()))) > 0
    finally:
        engine.close()


def test_a_closed_picture_stops_and_the_engine_is_usable_at_once(remote: RemoteEngine, a_request: ARequest) -> None:
    """All its steps would take longer than the test allows."""
    expected = finished(remote.generate(a_request())).image
    process = remote._process
    for index in (0, 1):
        running = remote.generate(a_request(steps=LONG, width=1024, height=1024))
        for event in running:
            if isinstance(event, Step) and event.index == index:
                break
        running.close()  # type: ignore[attr-defined]
        assert finished(remote.generate(a_request())).image == expected
        assert remote._process is process is not None, "nothing was killed for it"


def test_a_slow_or_leaving_reader_does_not_block_the_engine(remote: RemoteEngine, a_request: ARequest) -> None:
    first = remote.generate(a_request(steps=300), previews=Previews(1))
    next(first)
    process = remote._process
    assert process is not None
    until(lambda: any(waiting.full() for waiting in process._answers.values()))
    second = remote.generate(a_request(seed=2))
    first.close()  # type: ignore[attr-defined]
    assert finished(second)


def test_errors_of_users_arrive_unchanged(remote: RemoteEngine, a_request: ARequest, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"nowhere\.png: there is no such picture"):
        list(remote.generate(a_request(init_image="nowhere.png")))
    with pytest.raises(ModelError, match="no model is called"):
        list(remote.generate(a_request(model="nowhere")))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model_index.json").write_text("{}")
    with pytest.raises(ModelError):
        list(remote.generate(a_request(model=tmp_path / "m")))
    assert finished(remote.generate(a_request()))


def test_internal_errors_keep_their_traceback(
    remote: RemoteEngine, a_request: ARequest, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EngineError, match="the engine failed: TypeError: ") as caught:
        list(remote.generate(a_request(guidance_scale="much")))
    assert "log" in caught.value.hint
    assert "Traceback" in caplog.text
    assert "stable_diffusion.py" in caplog.text
    assert finished(remote.generate(a_request()))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSEGV])
def test_a_picture_is_drawn_by_a_new_engine_when_one_dies(
    end: signal.Signals, remote: RemoteEngine, a_request: ARequest
) -> None:
    expected = finished(remote.generate(a_request(steps=50))).image
    running = remote.generate(a_request(steps=50))
    _until_the_first_step(running)
    assert remote._process is not None
    os.kill(remote._process.pid, end)
    rest = list(running)
    why = f"the engine process died (killed by {end.name})"
    assert notes(rest) == [f"{why}: trying this picture again on a new engine"]
    assert finished(rest).image == expected


def test_a_worker_that_dies_between_pictures_is_replaced(remote: RemoteEngine, a_request: ARequest) -> None:
    assert finished(remote.generate(a_request()))
    assert remote._process is not None
    os.kill(remote._process.pid, signal.SIGKILL)
    _watch(remote, "stopped")
    assert finished(remote.generate(a_request()))


def test_a_stuck_picture_can_be_abandoned(remote: RemoteEngine, a_request: ARequest) -> None:
    running = remote.generate(a_request(steps=LONG))
    _until_the_first_step(running)
    assert remote._process is not None
    os.kill(remote._process.pid, signal.SIGSTOP)
    remote.kill()
    with pytest.raises(EngineError, match="died"):
        list(running)
    assert finished(remote.generate(a_request()))


def test_ctrl_c_does_not_reach_the_worker(remote: RemoteEngine, a_request: ARequest) -> None:
    assert finished(remote.generate(a_request()))
    assert remote._process is not None
    pid = remote._process.pid
    os.kill(pid, signal.SIGINT)
    assert finished(remote.generate(a_request()))
    assert remote._process.pid == pid
    assert os.getsid(pid) != os.getsid(0)


PARENT = """
import sys, time
from invoke.engine.process.remote import RemoteEngine
from invoke.models import Registry
engine = RemoteEngine(Registry({}))
engine.load(sys.argv[1])
states = ["starting", "loading", "ready"]
while not str(engine.state).startswith(tuple(states[states.index(sys.argv[2]) :])):
    time.sleep(0.01)
print(engine._process.pid, "torch" in sys.modules, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("when", ["starting", "loading", "ready"])
def test_the_worker_ends_silently_with_its_parent(when: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if when == "starting":
        monkeypatch.delenv(preloaded.SOCKET, raising=False)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PARENT, str(folder), when]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        output = parent.stdout.readline().split()
        worker = psutil.Process(int(output[0])) if output else None
        parent.kill()
        printed = parent.communicate()
    assert worker is not None, printed
    worker.wait(PATIENCE)
    _, torch_is_loaded = output
    assert torch_is_loaded == "False"
    assert printed == ("", "")


def test_importing_the_remote_engine_imports_nothing_heavy() -> None:
    code = "import sys, invoke.engine.process.remote; print({'torch', 'numpy', 'PIL', 'diffusers'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "set()\n"


def test_a_failed_load_is_in_the_state(tmp_path: Path, folder: Path, remote: RemoteEngine) -> None:
    import shutil

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    remote.load(str(broken))
    assert "damaged" in _watch(remote, "not loaded")[-1]


@pytest.mark.parametrize(
    ("first", "line", "state"),
    [
        ("gone", {}, "not loaded: gone: there is no folder"),
        ("tiny", {}, "ready: tiny on cpu"),
        ("gone", {"model": "lost"}, "not loaded: gone: there is no folder"),
        ("tiny", {"model": "lost"}, "ready: tiny on cpu"),
    ],
)
def test_only_failures_of_models_for_lines_are_in_the_state(
    tmp_path: Path, folder: Path, first: str, line: dict[str, str], state: str
) -> None:
    """With `line`, a line fails; without it, a search for a text mask."""
    gone = {name: ModelSpec(name=name, weights=str(tmp_path / name)) for name in ("gone", "lost")}
    clipseg = ModelSpec(name="clipseg", weights=str(tmp_path / "clipseg"), kind="text-mask")
    stored = Registry({"tiny": ModelSpec(name="tiny", weights=str(folder)), "clipseg": clipseg, **gone})
    with closing(RemoteEngine(stored, EngineOptions(device="cpu"))) as engine:
        engine.load(first)
        _watch(engine, state[:5])
        with pytest.raises(ModelError, match="there is no folder"):
            list(engine.generate(making.a_request(**line)) if line else engine.segment(str(FIRE), "hair"))
        assert str(engine.state).startswith(state)


def _until_the_first_step(running: Iterator[object]) -> None:
    for event in running:
        if isinstance(event, Step):
            return


def _watch(engine: RemoteEngine, end: str) -> list[str]:
    """The states of an engine, polled until one begins with `end`."""
    seen: list[str] = []

    def is_at_the_end() -> bool:
        if not seen or seen[-1] != str(engine.state):
            seen.append(str(engine.state))
        return seen[-1].startswith(end)

    until(is_at_the_end, lambda: seen)
    return seen


def test_after_free_the_next_picture_loads_its_model_again() -> None:
    engine = RemoteEngine(read_registry(), EngineOptions(device="cpu"))
    try:
        assert list(engine.unload()) == [Freed("cpu", 0, 0)], "nothing is started for it"
        assert str(engine.state) == "not started"
        request = making.a_request(steps=1)
        expected = finished(engine.generate(request)).image
        assert engine.in_memory == ("pocket",)
        (freed,) = engine.unload()
        assert isinstance(freed, Freed)
        assert freed.before - freed.after > 40_000_000, "its weights are 63 MB"
        assert engine.in_memory == ()
        assert str(engine.state) == "not loaded: the models were unloaded"
        again = list(engine.generate(request))
        assert [event.model for event in again if isinstance(event, Loading)] == ["pocket"]
        assert finished(again).image == expected
        assert engine.in_memory == ("pocket",)
        assert str(engine.state).startswith("ready: ")
    finally:
        engine.close()
