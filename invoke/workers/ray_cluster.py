"""Lanes that are Ray actors (`--ray`), on this machine or on a cluster. The only module that imports Ray.

An actor is a light process without torch: it hosts the same engine process as everywhere. Ray places it, starts it
again elsewhere where a node is lost, and carries messages; queue, attempts and deadlines are the scheduler's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pickle
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import psutil

from invoke import signals
from invoke.errors import CommandError, EngineError, InvokeError
from invoke.language.launch_options import LOCAL_RAY
from invoke.workers.host import Host, HostedEngine, Setup
from invoke.workers.messages import Gone, Hello, Lost, Message, Up
from invoke.workers.sent_files import FileFolder, read_files, with_paths
from invoke.workers.task import Task

if TYPE_CHECKING:
    from ray import ObjectRef

log = logging.getLogger(__name__)

REACHABLE = 5.0
"""Seconds in which something must listen at the address: `ray.init` would wait for minutes."""
CONNECTING = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "2",  # that many attempts, of 20
    "RAY_py_gcs_connect_timeout_s": "5",  # each, of 30
}
"""Timeouts for joining a cluster: give up soon if it is not Ray or refuses the token."""
OBJECT_STORE = 256 << 20
"""Bytes of shared memory of a local cluster: pictures only pass through."""
FILES_KEPT = 64
"""Contents of files that stay in the cluster for later tasks."""
LONGEST_FOLDER = 40
"""Longest folder, in characters: Ray puts sockets below it, whose paths are limited to 107."""
PACKAGE = "invoke-shell"
ENGINE = "invoke.workers.host:remote_engine"


def refuse_missing() -> None:
    """Raises CommandError if Ray is not installed; it is not imported for that."""
    if importlib.util.find_spec("ray") is None:
        raise CommandError(
            "--ray needs Ray, which is not installed", code="usage", hint="pip install 'invoke-shell[ray]'"
        )


class RayActors:
    """One actor for each lane; `count` None: one for each GPU of the cluster, or for each CPU if there are no GPUs.

    `engine` names the function that makes an actor's engine of a Setup: `module:function`.
    """

    def __init__(self, address: str, setup: Setup, count: int | None, *, log_file: str = "", engine: str = "") -> None:
        self._actors: list[Any] = []
        self._waiting: dict[Any, int] = {}
        """Pending Ray call → its lane."""
        self._ready: deque[tuple[int, Message]] = deque()
        self._files: OrderedDict[bytes, ObjectRef[bytes]] = OrderedDict()
        self._cluster = _Cluster(address, count or os.cpu_count() or 1, log_file)
        try:
            self._begin(setup, count, engine)
        except BaseException:
            self._cluster.close()
            raise

    def __len__(self) -> int:
        return len(self._actors)

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        """See `Lanes.give`. The files that `tasks` read travel along, each content once."""
        refs = {path: self._put(data) for task in tasks for path, data in read_files(task.request).items()}
        run = self._actors[lane].run.options(num_returns="streaming", max_task_retries=0)
        self._waiting[run.remote(call, pickle.dumps(tuple(tasks)), list(refs), *refs.values())] = lane

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        """See `Lanes.wait`."""
        import ray

        if not self._ready:
            ready, _ = ray.wait(list(self._waiting), num_returns=1, timeout=timeout)
            for waitable in ready:
                lane = self._waiting.pop(waitable)
                self._ready += ((lane, message) for message in self._read(lane, waitable))
        return self._ready.popleft() if self._ready else None

    def kill(self, lane: int) -> None:
        """See `Lanes.kill`. Ray restarts the actor, on another node if this one does not answer."""
        import ray

        self._waiting = {waitable: of for waitable, of in self._waiting.items() if of != lane}
        ray.kill(self._actors[lane], no_restart=False)
        self._greet(lane)

    def close(self) -> None:
        """See `Lanes.close`."""
        import ray

        with contextlib.suppress(Exception):  # the cluster may have ended
            for actor in self._actors:
                ray.kill(actor)
        self._cluster.close()

    def _begin(self, setup: Setup, count: int | None, engine: str) -> None:
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        threads = max(1, setup.options.threads)
        needs = {"num_gpus": 1, "num_cpus": 1} if gpus and setup.options.device != "cpu" else {"num_cpus": threads}
        options = {"max_restarts": -1, "max_task_retries": 0, **needs}
        if "num_gpus" not in needs:
            setup = replace(setup, options=replace(setup.options, threads=threads))
        actor = ray.remote(Actor).options(**options)
        words = version(PACKAGE), pickle.dumps(setup), engine, self._cluster.folder
        lanes = count or (gpus if "num_gpus" in needs else max(1, cpus // threads))
        self._actors = [actor.remote(*words) for _ in range(lanes)]
        for lane in range(lanes):
            self._greet(lane)

    def _greet(self, lane: int) -> None:
        """Request the lane's description; answered once the actor has started, after any number of attempts."""
        self._waiting[self._actors[lane].hello.options(max_task_retries=-1).remote()] = lane

    def _read(self, lane: int, waitable: Any) -> Iterator[Message]:
        """Handle the result of a Ray call."""
        import ray

        is_hello = isinstance(waitable, ray.ObjectRef)
        try:
            found = ray.get(waitable if is_hello else next(waitable))
        except StopIteration:
            return
        except ray.exceptions.RayTaskError as error:  # an internal error
            log.error("a worker failed\n%s", error)
            yield Gone(f"the worker failed: {error.cause!r}")
            return
        except ray.exceptions.RayError as error:
            log.warning("a worker was lost: %s", error)
            if is_hello:
                yield Gone(_never_started(error))
                return
            yield Lost(_how_it_was_lost(error))
            self._greet(lane)
            return
        if isinstance(found, Hello):
            yield Up(found)
        elif isinstance(found, InvokeError):
            yield Gone(found.message)
        else:
            self._waiting[waitable] = lane
            yield from found

    def _put(self, data: bytes) -> ObjectRef[bytes]:
        import ray

        digest = sha256(data).digest()
        if digest not in self._files:
            self._files[digest] = ray.put(data)
            if len(self._files) > FILES_KEPT:
                self._files.popitem(last=False)
        self._files.move_to_end(digest)
        return self._files[digest]


class Actor:
    """The actor on a node."""

    def __init__(self, package: str, setup: bytes, engine: str, folder: str | None) -> None:
        self._package, self._setup, self._engine = package, setup, engine
        self._files = FileFolder(folder)
        self._host: Host | None = None

    def hello(self) -> Hello | InvokeError:
        """Load the model; return a description of this lane, or an error."""
        if (own := version(PACKAGE)) != self._package:
            return EngineError(f"{socket.gethostname()} has {PACKAGE} {own}, this machine has {self._package}")
        try:
            if self._host is None:
                self._host = self._start()
            return replace(self._host.hello(), node=_node())
        except InvokeError as error:
            error.message = f"{socket.gethostname()}: {error.message}"
            return error

    def run(self, call: int, tasks: bytes, paths: Sequence[str], *contents: bytes) -> Iterator[Sequence[Message]]:
        """Make `tasks`, which read the files `paths` with these contents; messages come in groups."""
        assert self._host is not None
        own = {path: self._files.put(path, data) for path, data in zip(paths, contents, strict=True)}
        back = {copy: path for path, copy in own.items()}
        given: tuple[Task, ...] = pickle.loads(tasks)  # noqa: S301 - as above
        local = [replace(task, request=with_paths(task.request, own), paths=back) for task in given]
        for message in self._host.run(call, local):
            yield [message]

    def _start(self) -> Host:
        setup: Setup = pickle.loads(self._setup)  # noqa: S301 - from our own program, through Ray's authentication
        module, _, name = (self._engine or ENGINE).partition(":")
        make: Callable[[Setup], HostedEngine] = getattr(import_module(module), name)
        return Host(make(setup), setup)


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())[:8]


class _Cluster:
    """The connection to a cluster, or a private one of this machine. Ray's output goes to our log."""

    def __init__(self, address: str, cpus: int, log_file: str) -> None:
        self.folder: str | None = None
        self._before = dict(os.environ)
        self._chatter = contextlib.ExitStack()
        sink = self._chatter.enter_context(Path(log_file or os.devnull).open("a", encoding="utf-8"))  # noqa: SIM115
        self._chatter.enter_context(contextlib.redirect_stdout(sink))
        self._chatter.enter_context(contextlib.redirect_stderr(sink))
        try:
            with _own_signals(), _complaints_in(sink), signals.at_once(self._abandon):
                self._start(cpus) if address == LOCAL_RAY else self._connect(address)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        ray = sys.modules.get("ray")
        with contextlib.suppress(Exception):
            if ray is not None:
                ray.shutdown()
        self._remove_folder()
        self._chatter.close()
        for name in set(os.environ) - set(self._before):
            if name.startswith("RAY_"):
                del os.environ[name]

    def _abandon(self) -> None:
        """Ray ignores signals while it starts: its processes would outlive this one by a minute."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, cpus: int) -> None:
        root = tempfile.gettempdir()
        short = root if len(root) < LONGEST_FOLDER else "/tmp"  # noqa: S108 - the folder made there is ours alone
        self.folder = tempfile.mkdtemp(prefix="invoke-ray-", dir=short)
        os.environ |= {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the only way to make it listen only on 127.0.0.1
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        import ray

        ray.init(
            address="local",
            num_cpus=max(cpus, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE,
            _temp_dir=self.folder,
        )

    def _connect(self, address: str) -> None:
        _insist_on_listener(address)
        for name, value in CONNECTING.items():
            os.environ.setdefault(name, value)
        import ray

        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except RuntimeError as error:
            text = " ".join(str(error).split())
            raise _unusable(address, text.split(". ")[0]) from error
        except Exception as error:
            log.warning("no connection to %s: %s", address, error)
            raise _unusable(
                address, "it is not a Ray cluster, or it refused the connection (check RAY_AUTH_TOKEN)"
            ) from error


def _insist_on_listener(address: str) -> None:
    """Raises EngineError if the cluster cannot be reached."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHABLE).close()
    except OSError as error:
        raise _unusable(address, f"there is no answer ({error.strerror or error})") from None


def _unusable(address: str, why: str) -> EngineError:
    return EngineError(
        f"--ray {address}: {why}",
        code="no_cluster",
        hint="ray start --head --port=6379 starts one; RAY_AUTH_TOKEN must hold its token",
    )


def _never_started(error: Exception) -> str:
    text = str(error)
    if "No module named 'invoke" in text or "ModuleNotFoundError" in text:
        return f"{PACKAGE} is not installed on a node of the cluster"
    return f"a worker could not be started: {' '.join(text.split())[:200]}"


def _how_it_was_lost(error: Exception) -> str:
    return {
        "ActorUnavailableError": "the connection to its worker broke",
        "ActorDiedError": "its worker was killed",
        "NodeDiedError": "its node was lost",
        "ObjectLostError": "its node was lost",
    }.get(type(error).__name__, type(error).__name__)


@contextlib.contextmanager
def _complaints_in(file: TextIO) -> Iterator[None]:
    """Send the standard error of C++ libraries to `file`: Ray repeats every second why it cannot connect."""
    ours = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restore our signal handlers, which Ray replaces."""
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in ours.items():
            if handler is not None:
                signal.signal(number, handler)
