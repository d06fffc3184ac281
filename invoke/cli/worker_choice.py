"""Chooses the number, places and devices of workers (`--workers`, `--ray`, `--shard`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

from invoke.errors import CommandError, ModelError
from invoke.language.launch import Launch
from invoke.language.launch_options import AUTO_WORKERS, LOCAL_RAY
from invoke.models import Registry
from invoke.models.hub.locate import is_offline, offline_error, with_local_paths
from invoke.models.loadable import bytes_of_weights
from invoke.options import EngineOptions
from invoke.workers.shard import Shard

if TYPE_CHECKING:
    from invoke.session import Session
    from invoke.workers.pool import WorkerPool

SMALL = 400_000_000
"""Below this many bytes of weights, several single-threaded engines are as fast as one with several threads."""


def refuse_outside_batches(launch: Launch, stream: BinaryIO | None) -> None:
    """Raise CommandError for options that need a batch, and for `--shard` with lines that are not from a file."""
    for name in ("workers", "ray", "shard"):
        if launch.on(name) and stream is None:
            raise CommandError(
                f"--{name} needs a batch (--from-file, or lines on standard input)",
                code="usage",
                hint=f"invoke --{name} {launch.options[name]} --from-file FILE",
            )
    if launch.on("ray"):
        from invoke.workers.ray_cluster import refuse_missing

        refuse_missing()
    if launch.on("shard") and stream is not None and not stream.seekable():
        raise CommandError(
            "--shard needs a file: every shard reads all of its lines",
            code="usage",
            hint="use --from-file FILE instead of a pipe",
        )


def asked_shard(launch: Launch) -> Shard | None:
    """The value of `--shard`: which part of the file to make."""
    if not launch.on("shard"):
        return None
    index, _, count = launch.options["shard"].partition("/")
    return Shard(int(index), int(count))


def count_workers(launch: Launch, options: EngineOptions, models: Registry, model: str) -> int | None:
    """Number of workers to start; None: none, or as many as a Ray cluster has room for."""
    asked = launch.options.get("workers", "")
    if asked and asked != AUTO_WORKERS:
        return int(asked)
    if not asked and launch.options.get("ray") != LOCAL_RAY:
        return None
    if found := len(cards(options)):
        return found
    return cores() if 0 < bytes_of_weights(models.find(model)) < SMALL else 1


def threads_of_each(launch: Launch, options: EngineOptions, count: int | None) -> int:
    """Threads of each of `count` workers: on a CPU, its share of the cores. 0: PyTorch decides.

    The program's own engine uses as many, so that `!verify` makes their pictures again.
    """
    if options.threads or cards(options):
        return options.threads
    if launch.on("ray"):
        return 1 if launch.options["ray"] == LOCAL_RAY else 0
    return max(1, cores() // count) if count else 0


def begin_pool(
    session: Session, launch: Launch, options: EngineOptions, count: int | None, log_file: str
) -> WorkerPool | None:
    """Start the requested workers with `options`; None if there are none. Raises InvokeError."""
    if count is None and not launch.on("ray"):
        return None
    from invoke.workers.host import Setup
    from invoke.workers.messages import Lanes
    from invoke.workers.pool import WorkerPool

    lanes: Lanes
    setup = Setup(options, session.models, session.model, session.downloads)
    if launch.on("ray"):
        from invoke.workers.ray_cluster import RayActors

        lanes = RayActors(launch.options["ray"], setup, count, log_file=log_file)
    else:
        from invoke.workers.processes import Processes

        assert count is not None
        _insist_on_model(session, options)
        found = cards(options)
        threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
        places = [{"CUDA_VISIBLE_DEVICES": found[lane % len(found)]} if found else threads for lane in range(count)]
        lanes = Processes([setup] * count, places)
    return WorkerPool(lanes, session.remember)


def _insist_on_model(session: Session, options: EngineOptions) -> None:
    """Raise the ModelError that would end every worker before they are started, with a hint what to type."""
    spec = session.models.find(session.model)
    is_cut_off = options.offline or is_offline()
    try:
        with_local_paths(spec)
    except ModelError as error:
        if error.code != "not_on_disk":
            raise
        if is_cut_off:
            raise offline_error(spec.name) from None
        if not session.downloads:
            error.hint = "--yes downloads it without asking"
            raise


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cards(options: EngineOptions, ask: Callable[[], Iterable[str]] | None = None) -> list[str]:
    """The CUDA devices to use, as named in `CUDA_VISIBLE_DEVICES`; empty for other devices.

    `ask` lists the machine's devices.
    """
    if options.device not in {"auto", "cuda"}:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in {"", "-1"}]
    return list((ask or _ask_driver)())


@cache
def _ask_driver() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        command = [program, "--query-gpu=uuid", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()
