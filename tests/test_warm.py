"""Warm engines: a program reuses the engine of the previous one, or starts its own."""

import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import psutil
import pytest

from invoke.engine.process import wire
from invoke.engine.process.messages import Answer, Question, Stay
from invoke.engine.process.remote import RemoteEngine
from invoke.engine.process.warm import finding, fit, socket_folder
from invoke.engine.process.warm import waiting as waiting_engine
from invoke.engine.process.warm.fit import digest, read_fit
from invoke.engine.process.warm.handshake import receive_line, send_line
from invoke.errors import EngineError, InvokeError
from invoke.events import Finished, Step
from invoke.models import Registry, read_registry
from invoke.options import EngineOptions
from tests import making
from tests.fake_worker import impatient
from tests.patience import until
from tests.program import ROOT, invoke
from tests.warmth import engines_at, left, waiting

WORKER = "tests.fake_worker"
MINUTE = 60.0
CLIENT = """
import sys
from invoke.engine.process.remote import RemoteEngine
from invoke.engine.process.warm import finding, socket_folder
from invoke.events import Step
from invoke.models import read_registry
from tests.making import a_request
socket_folder.GREETING = finding.PATIENCE = 120.0
engine = RemoteEngine(read_registry(), module="tests.fake_worker", warmth=60.0)
for event in engine.generate(a_request(prompt="slow", steps=500)):
    if isinstance(event, Step) and event.index == 1:
        print(engine._process.pid, flush=True)
"""


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all tests, so that most of them find a waiting engine; none is left at the end."""
    home = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        _settle(home, patch)
        with engines_at(home, patch):
            yield home


@pytest.fixture(autouse=True)
def folder(home: Path, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where engines wait. What a test has used waits again at its end, and one at most is there for the next."""
    _settle(shared_home, monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared_home / "run"))
    yield shared_home / "run" / "invoke-warm"
    until(lambda: {engine.pid for engine in left(shared_home)} <= {int(name.split(".")[1]) for name in waiting()})
    if len(waiting()) > 1:
        finding.cool()


def _settle(home: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "INVOKE_FAULTS", *(f"XDG_{name}_HOME" for name in ("CONFIG", "STATE", "CACHE", "DATA"))):
        patch.setenv(name, str(home))
    patch.setenv("HF_HUB_OFFLINE", "1")


def _engine(warmth: float | None = MINUTE, **options: Any) -> RemoteEngine:
    return RemoteEngine(read_registry(), EngineOptions(**options), module=WORKER, warmth=warmth)


def _draw(warmth: float | None = MINUTE, prompt: str = "a cat", seed: int = 7) -> tuple[int, bytes]:
    """As a whole program would: the engine's process number, and the picture. One that stays waits by then."""
    with closing(_engine(warmth)) as engine:
        drawn = _drawn_by(engine, prompt, seed)
    if warmth:
        until(waiting)
    return drawn


def _drawn_by(engine: RemoteEngine, prompt: str = "a cat", seed: int = 7) -> tuple[int, bytes]:
    *_, last = engine.generate(making.a_request(prompt=prompt, seed=seed, steps=3))
    assert isinstance(last, Finished)
    assert engine._process is not None
    return engine._process.pid, last.image.data


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_later_launches_reuse_the_engine_and_get_their_own_pictures() -> None:
    drawn = [_draw(seed=seed) for seed in (1, 2, 1, 3)]
    assert len({pid for pid, _ in drawn}) == 1
    assert [picture[:3] for _, picture in drawn] == [bytes([0, 0, seed]) for seed in (1, 2, 1, 3)]
    assert len(waiting()) == 1


def test_an_engine_stays_only_with_warm_and_no_warm_ignores_it() -> None:
    finding.cool()
    first, _ = _draw(0.0)
    until(lambda: _is_gone(first))
    assert not waiting()
    warm, _ = _draw()
    none, _ = _draw(None)
    assert none != warm
    assert _draw(0.0)[0] == warm
    until(lambda: len(waiting()) == 1)


def test_two_simultaneous_launches_use_two_engines() -> None:
    finding.cool()
    warm, _ = _draw()
    with closing(_engine()) as one, closing(_engine()) as two:
        drawn = [_drawn_by(engine, seed=seed) for seed, engine in enumerate((one, two))]
        assert [picture[:3] for _, picture in drawn] == [bytes([0, 0, 0]), bytes([0, 0, 1])]
        assert drawn[0][0] == warm != drawn[1][0]
        assert not waiting()
    until(lambda: len(waiting()) == 2)
    assert finding.cool() == 2


def test_a_warm_engine_adopts_the_folder_umask_and_environment(
    tmp_path: Path, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm, _ = _draw()
    assert psutil.Process(warm).cwd() == "/"
    assert Path(f"/proc/{warm}/fd/2").readlink() == Path(os.devnull)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITOR", "ed")
    monkeypatch.delenv("PATH")
    before = os.umask(0o027)
    try:
        with closing(_engine()) as engine:
            list(engine.generate(making.a_request(prompt="reports", steps=3)))
            assert engine._process is not None
            assert engine._process._errors is not None
            engine._process._errors.seek(0)
            assert engine._process._errors.read() == b"a complaint"
    finally:
        os.umask(before)
    report = json.loads((shared_home / "report").read_text())
    assert (report["pid"], report["folder"], report["umask"]) == (warm, str(tmp_path), 0o027)
    assert report["environment"]["EDITOR"] == "ed"
    assert "PATH" not in report["environment"]
    assert report["environment"]["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_the_engine_of_a_killed_program_is_reused() -> None:
    warm, _ = _draw()
    for end in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, cwd=ROOT, text=True) as client:
            assert client.stdout is not None
            assert int(client.stdout.readline()) == warm
            client.send_signal(end)
        until(waiting)
        assert _draw(seed=9) == (warm, bytes([0, 0, 9]) * 256)


def test_the_engine_is_reused_after_a_stopped_picture_or_an_error() -> None:
    warm, _ = _draw()
    with closing(_engine()) as engine:
        running = engine.generate(making.a_request(prompt="slow", steps=500))
        for event in running:
            if isinstance(event, Step) and event.index == 2:
                break
        running.close()
    until(waiting)
    assert _draw(seed=8) == (warm, bytes([0, 0, 8]) * 256)


def test_an_engine_ends_after_an_internal_error() -> None:
    warm, _ = _draw()
    with closing(_engine()) as engine, pytest.raises(EngineError, match="the engine failed: KeyError"):
        list(engine.generate(making.a_request(prompt="breaks", steps=3)))
    until(lambda: _is_gone(warm))
    assert not waiting()


def test_a_stopped_engine_is_skipped_until_it_answers_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warm, _ = _draw()
    monkeypatch.setattr(socket_folder, "GREETING", 0.5)
    os.kill(warm, signal.SIGSTOP)
    other, picture = _draw(0.0, seed=5)
    assert other != warm
    assert picture[:3] == bytes([0, 0, 5])
    os.kill(warm, signal.SIGCONT)
    until(lambda: _draw(0.0)[0] == warm)


def test_an_engine_that_dies_or_freezes_is_replaced(shared_home: Path) -> None:
    warm, _ = _draw()
    other, picture = _draw(prompt="dies until 1", seed=4)
    assert other != warm
    assert picture[:3] == bytes([0, 0, 4])
    with closing(_engine()) as engine:
        *_, last = impatient(engine, making.a_request(prompt="freezes", seed=6, steps=3), shared_home)
        assert isinstance(last, Finished)
        assert last.image.data[:3] == bytes([0, 0, 6])
    until(lambda: _is_gone(other))


# what is refused


def _knock(folder: int, data: bytes) -> bytes:
    """The engine's answer to `data`."""
    found = socket_folder.connect(folder, socket_folder.names(folder)[0])
    assert found is not None
    with found[0] as connection:
        connection.sendall(data)
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


class _Evil:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self._command,)


def test_an_invalid_greeting_or_another_fit_is_refused() -> None:
    warm, _ = _draw()
    claim = {"ask": "claim", "fit": digest(read_fit(EngineOptions(), WORKER)), "environment": {}, "umask": 0}
    for data in (
        os.urandom(5000),
        b"{" * 100_000 + b"\n",
        b'{"ask": "cl',
        b"[]\n",
        b'"claim"\n',
        b'{"ask": "sing"}\n',
        json.dumps(claim).encode() + b"\n",  # without its folder
        json.dumps(claim | {"fit": "0" * 16}).encode() + b"\n",
        pickle.dumps(_Evil("true")) + b"\n",
    ):
        with socket_folder.opened() as folder:
            assert folder is not None
            assert _knock(folder, data) == b"", data[:40]
    assert _draw()[0] == warm


@pytest.mark.parametrize("umask", [-1, 0o1000, "0", None])
def test_invalid_surroundings_are_refused(umask: object, tmp_path: Path) -> None:
    warm, _ = _draw()
    with socket_folder.opened() as folder, (tmp_path / "file").open("w") as file:
        assert folder is not None
        found = socket_folder.connect(folder, socket_folder.names(folder)[0])
        assert found is not None
        fitting = digest(read_fit(EngineOptions(), WORKER))
        claim = {"ask": "claim", "fit": fitting, "environment": {}, "umask": umask}
        with found[0] as connection:
            send_line(connection, claim, 5.0, (file.fileno(), folder))
            with pytest.raises((OSError, ValueError)):
                receive_line(connection, 5.0)
    assert _draw()[0] == warm


def test_a_malicious_pickle_runs_nothing(tmp_path: Path) -> None:
    warm, _ = _draw()
    engine = finding.claim(read_fit(EngineOptions(), WORKER), 2)
    assert engine is not None
    pickle.dump(_Evil(f"touch {tmp_path}/ran"), engine.stdin)
    engine.stdin.flush()
    assert engine.stdout.read() == b""
    engine.stdin.close()
    assert not (tmp_path / "ran").exists()
    assert _draw()[0] == warm


def test_only_classes_of_messages_can_be_received() -> None:
    """Found recursively through the types of the fields."""
    found: set[type] = set()

    def walk(kind: Any) -> None:
        for part in get_args(kind):
            walk(part)
        if isinstance(kind, type) and kind not in found and (is_dataclass(kind) or issubclass(kind, InvokeError)):
            found.add(kind)
            for other in get_type_hints(kind).values() if is_dataclass(kind) else kind.__subclasses__():
                walk(other)

    for kind in (Question, Answer):
        walk(kind)
    names = {(kind.__module__, kind.__qualname__) for kind in found}
    ended = ("invoke.engine.process.retry", "EngineDiedError")  # never sent
    assert names - {ended} <= set(wire.classes())
    rest = {name for module, name in set(wire.classes()) - names}
    assert rest == {"ModelSpec", "Registry", "rebuild"}
    assert all(module.startswith("invoke.") for module, _ in wire.classes())


@pytest.mark.parametrize("spoil", ["link", "file", "group", "stale", "folder"])
def test_an_invalid_socket_or_folder_is_ignored(spoil: str, folder: Path, tmp_path: Path) -> None:
    finding.cool()
    warm, _ = _draw()
    (path,) = folder.iterdir()
    match spoil:
        case "link":
            path.rename(tmp_path / "socket")
            path.symlink_to(tmp_path / "socket")
        case "file":
            path.unlink()
            path.write_bytes(b"")
        case "group":
            folder.chmod(0o750)
        case "stale":
            os.kill(warm, signal.SIGKILL)
            until(lambda: _is_gone(warm))
        case "folder":
            folder.rename(tmp_path / "folder")
            folder.symlink_to(tmp_path / "folder")
    other, picture = _draw(0.0, seed=3)
    assert other != warm
    assert picture[:3] == bytes([0, 0, 3])
    assert path.is_symlink() or path.exists() == (spoil != "stale")  # a socket without a listener is removed
    if spoil == "folder":
        folder.unlink()
        (tmp_path / "folder").rename(folder)
    elif spoil != "stale":
        folder.chmod(0o700)
        path.unlink()
        until(lambda: _is_gone(warm))


def test_an_engine_of_another_user_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    warm, _ = _draw()
    with monkeypatch.context() as patch:
        patch.setattr(socket_folder, "peer", lambda connection: (warm, os.geteuid() + 1))
        assert finding.claim(read_fit(EngineOptions(), WORKER), 2) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1 + os.getuid())
        assert finding.claim(read_fit(EngineOptions(), WORKER), 2) is None
    assert _draw()[0] == warm


# the fit


def _limits_of(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    row = next(row for row in Path("/proc/self/cgroup").read_text().splitlines() if row.startswith("0::"))
    group = tmp_path / row[3:].strip("/")
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text("1000000000\n")
    patch.setattr(fit, "_CGROUPS", tmp_path)


CHANGES: Mapping[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "OMP_NUM_THREADS": lambda _, patch: patch.setenv("OMP_NUM_THREADS", "3"),
    "LD_PRELOAD": lambda _, patch: patch.setenv("LD_PRELOAD", ""),
    "https_proxy": lambda _, patch: patch.setenv("https_proxy", "http://localhost:1"),
    "HOME": lambda tmp_path, patch: patch.setenv("HOME", str(tmp_path)),
    "LANG": lambda _, patch: patch.setenv("LANG", "tlh"),
    "Python": lambda _, patch: patch.setattr(sys, "version", "4"),
    "this program": lambda tmp_path, patch: patch.setattr(fit, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py")),
    "installed packages": lambda tmp_path, patch: patch.setattr(sys, "path", [str(tmp_path / "site-packages")]),
    "user": lambda _, patch: patch.setattr(os, "getgroups", lambda: [4711]),
    "niceness": lambda _, patch: patch.setattr(os, "getpriority", lambda *_: 5),
    "processors": lambda _, patch: patch.setattr(os, "sched_getaffinity", lambda _: {77}),
    "limits (ulimit)": lambda _, patch: patch.setattr("resource.getrlimit", lambda _: (1, 2)),
    "limits (cgroup)": _limits_of,
    "namespaces": lambda _, patch: patch.setattr(fit, "_link", lambda _: "net:[1]"),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_difference_in_any_part_of_the_fit_needs_another_engine(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site-packages").mkdir()
    before = read_fit(EngineOptions(), WORKER)
    with monkeypatch.context() as patch:
        CHANGES[part](tmp_path, patch)
        after = read_fit(EngineOptions(), WORKER)
    assert fit.differences(before, after) == [part]
    assert digest(before) != digest(after)


def test_the_fit_contains_exactly_the_engine_options(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_fit(EngineOptions(), WORKER)
    names = {f"--{field.name.replace('_', '-')}" for field in fields(EngineOptions)}
    assert names < set(before)
    assert fit.differences(before, read_fit(EngineOptions(threads=3), WORKER)) == ["--threads"]
    assert fit.differences(before, read_fit(EngineOptions(), "another")) == ["module"]
    monkeypatch.setenv("PWD", "/elsewhere")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("XDG_SESSION_ID", "4")
    monkeypatch.chdir("/")
    assert read_fit(EngineOptions(), WORKER) == before


def test_an_engine_does_not_reveal_environment_values(monkeypatch: pytest.MonkeyPatch) -> None:
    finding.cool()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    _draw()
    (status,) = finding.statuses()
    assert "HF_TOKEN" in status.fit
    assert "hf_secret" not in str(status)


# the end


def test_an_engine_ends_when_its_time_is_over() -> None:
    finding.cool()
    with closing(_engine(0.1)) as engine:
        warm, _ = _drawn_by(engine)
    until(lambda: _is_gone(warm))
    assert not waiting()


def test_cool_ends_an_engine() -> None:
    warm, _ = _draw()
    assert finding.cool() == 1
    assert _is_gone(warm)
    assert not waiting()
    assert finding.cool() == 0


@pytest.mark.parametrize("end", ["logout", "SIGTERM", "upgrade"])
def test_an_engine_ends_on_logout_on_a_signal_and_after_an_upgrade(
    end: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding.cool()
    if end == "upgrade":
        old = {**read_fit(EngineOptions(), WORKER), "this program": "old"}
        monkeypatch.setattr(fit, "read_fit", lambda *_: old)
    with closing(_engine()) as engine:
        warm, _ = _drawn_by(engine)
    if end != "upgrade":
        until(waiting)
    if end == "logout":
        next(folder.iterdir()).unlink()
    elif end == "SIGTERM":
        os.kill(warm, signal.SIGTERM)
    until(lambda: _is_gone(warm))
    assert not waiting()


def test_an_engine_without_a_model_does_not_stay() -> None:
    finding.cool()
    with closing(_engine()) as engine:
        engine.set_models(Registry({}))
        engine._running()
        assert engine._process is not None
        pid = engine._process.pid
    until(lambda: _is_gone(pid))
    assert not waiting()


def test_a_socket_is_found_at_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("long" * 50) / ("path" * 50)))
    warm, _ = _draw()
    assert _draw()[0] == warm
    assert finding.cool() == 1


def test_without_a_socket_folder_no_engine_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    with closing(_engine()) as engine:
        pid, picture = _drawn_by(engine, seed=2)
    assert picture[:3] == bytes([0, 0, 2])
    until(lambda: _is_gone(pid))


def test_warm_modules_are_imported_only_when_needed() -> None:
    code = f"""if True:
        import sys
        from invoke.engine.process.remote import RemoteEngine
        from invoke.models import read_registry
        engine = RemoteEngine(read_registry(), module={WORKER!r}, warmth=0.0)
        engine.load("pocket")
        engine.close()
        print(sorted(name for name in sys.modules if "process.warm." in name))
        """
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert "finding" not in output


@pytest.mark.slow
def test_warm_doctor_and_cool_work_in_the_program(tmp_path: Path) -> None:
    """`--warm`, a line without options, `invoke doctor`, `--cool`: the same files as without."""
    finding.cool()
    line = ("-q", "a castle -s 1 -W 64 -H 64 -S 1 --save_intermediates 0")
    places = [tmp_path / name for name in ("cold", "first", "second")]
    for out, warm in zip(places, (("--no-warm",), ("--warm", "1m"), ()), strict=True):
        made = invoke(*warm, "-o", out, *line)
        assert (made.status, made.stderr) == (0, "")
        assert made.paths == [str(out / "000001.1.png")]
        until(waiting) if warm != ("--no-warm",) else None
    assert len({(out / "000001.1.png").read_bytes() for out in places}) == 1
    engines = [int(name.split(".")[1]) for name in waiting()]  # more than one if the machine is busy

    def doctor(*words: str) -> str:
        return " ".join(row for row in invoke("doctor", *words).stdout.splitlines() if row.startswith("warm "))

    # one that does not answer within half a second is left out
    idle = [rf"(?=.*engine {engine}: idle since )" for engine in engines]
    until(lambda: re.match("".join(idle) + ".*, pocket, fits$", doctor()), doctor)
    until(lambda: doctor("--threads", "1").endswith("differs in --threads"), doctor)
    assert re.fullmatch(r"1 warm engine ended\n|\d warm engines ended\n", invoke("--cool").stdout)
    assert invoke("--cool").stdout == "no warm engine was waiting\n"
    assert all(map(_is_gone, engines))


@pytest.mark.parametrize(
    ("meminfo", "group", "is_short"),
    [
        ("MemTotal: 1000 kB\nMemAvailable: 200 kB", {}, False),
        ("MemTotal: 1000 kB\nMemAvailable: 90 kB", {}, True),
        ("", {}, False),
        ("", {"memory.max": "1000", "memory.current": "850", "memory.stat": "anon 1\ninactive_file 0"}, False),
        ("", {"memory.max": "1000", "memory.current": "950", "memory.stat": "inactive_file 10"}, True),
        ("", {"memory.max": "1000", "memory.current": "950", "memory.stat": "inactive_file 200"}, False),
        ("", {"memory.max": "max", "memory.current": "950"}, False),
    ],
)
def test_short_memory_is_detected_from_meminfo_and_cgroups(
    meminfo: str, group: Mapping[str, str], is_short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/user/one"}
    files |= {f"/sys/fs/cgroup/user/{name}": content for name, content in group.items()}
    monkeypatch.setattr(waiting_engine, "read_kernel_file", lambda path: files.get(str(path), ""))
    assert waiting_engine.is_memory_short() is is_short


def test_a_second_idle_engine_ends_after_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two engines with the same fit, the one whose name comes first stays."""
    pid = os.getpid()
    siblings, now = [f"{'a' * 16}.{pid}.{'1' * 16}", f"{'a' * 16}.{pid}.{'2' * 16}"], [1000.0]
    parts = fit.read_files()
    monkeypatch.setattr(socket_folder, "names", lambda *_: siblings)
    monkeypatch.setattr(waiting_engine, "_now", lambda: now[0])
    monkeypatch.setattr(waiting_engine, "is_memory_short", lambda: False)
    engines = [waiting_engine.Waiting(Stay(MINUTE, parts), tuple, lambda: None) for _ in siblings]
    with socket.socket() as listener:
        for engine, name in zip(engines, siblings, strict=True):
            engine._listener, engine._name = listener, name

        def over() -> list[bool]:
            return [engine._is_over(1) for engine in engines]

        assert over() == [False, False]
        now[0] += 9.9
        assert over() == [False, False]
        first = siblings.pop(0)
        assert engines[1]._is_over(1) is False  # the other one is in use
        siblings.insert(0, first)
        now[0] += 0.2
        assert over() == [False, False]
        now[0] += 10.1
        assert over() == [False, True]
        now[0] += MINUTE
        assert over() == [True, True]
