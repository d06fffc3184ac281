"""`!doctor`, `invoke doctor`: information about the system, to paste into a bug report."""

import locale
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

import invoke
from invoke.commands.context import CommandContext
from invoke.commands.info import places
from invoke.engine.process.remote import RemoteEngine
from invoke.engine.process.warm.finding import Status, statuses
from invoke.engine.process.warm.fit import Fit, differences
from invoke.engine.process.warm.socket_folder import IS_SUPPORTED
from invoke.errors import InvokeError
from invoke.language.parse import CommandCall
from invoke.language.render import render_switch
from invoke.language.switches import by_name
from invoke.models.hub.cache import hub_cache
from invoke.paths import expanded
from invoke.session import Session
from invoke.text import one_line
from invoke.versions import version_of

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "pillow",
    "prompt_toolkit",
)
EXTRAS = ("spandrel", "opencv-python-headless", "open_clip_torch", "ray")
TERMINAL = ("TERM", "TERM_PROGRAM", "COLORTERM", "TMUX", "SSH_TTY", "NO_COLOR", "WSL_DISTRO_NAME")
"""Variables that identify the terminal."""
COMPUTING = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT")
"""Variables that affect how pictures are made."""


def doctor(context: CommandContext, call: CommandCall) -> None:
    """`!doctor`: versions, device, memory, terminal, folders. It contains no prompts or picture names."""
    context.say("\n".join(f"{title:<11}{_short(text)}" for title, text in _findings(context.session)))


def _findings(session: Session) -> Iterator[tuple[str, str]]:
    yield "invoke", f"{invoke.__version__} in {Path(invoke.__file__).parent}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}) in {sys.prefix}"
    yield "system", f"{platform.platform()} · {platform.machine()}"
    yield "libraries", " · ".join(f"{name} {version_of(name) or 'MISSING'}" for name in LIBRARIES)
    yield "extras", " · ".join(f"{name} {version_of(name) or 'none'}" for name in EXTRAS)
    yield (
        "processor",
        f"{os.cpu_count()} threads, {_usable()} usable · {psutil.virtual_memory().total / 1e9:.0f} GB memory",
    )
    yield "warm", _warm(session)  # before this program claims one
    yield "engine", _engine(session)
    yield "model", session.model
    variables = session.defaults
    words = (word for name, value in variables.items() for word in render_switch(by_name()[name], value))
    yield "in force", " ".join(words) or "none"
    yield "terminal", f"{_variables(TERMINAL)} · {_size()} · {locale.getpreferredencoding(False)}"
    yield "variables", _variables(COMPUTING)
    yield from ((place.what, str(place.path) + ("" if place.exists else " (not there)")) for place in places(session))
    yield (
        "free disk",
        f"{_free(expanded(str(variables.get('outdir', '.'))))} for pictures · {_free(hub_cache())} for models",
    )


def _engine(session: Session) -> str:
    """Device and precision, or why there are none; starts the engine if it is not running."""
    if not isinstance(session.engine, RemoteEngine):
        return "in this process"
    try:
        place = session.engine.place(session.model)
    except InvokeError as error:
        return f"does not start: {error.message}"
    return "{} · {}".format(*place) if place else f"cannot load {session.model}: {session.engine.state}"


def _warm(session: Session) -> str:
    """The warm engines, and whether each fits this program."""
    if not IS_SUPPORTED:
        return "warm engines are supported only on Linux"
    fit = session.engine.fit if isinstance(session.engine, RemoteEngine) else {}
    return " · ".join(_waiting(status, fit) for status in statuses()) or "no engine is waiting"


def _waiting(status: Status, fit: Fit) -> str:
    others = differences(status.fit, fit)
    models = ", ".join(map(one_line, status.models)) or "no model"
    ends = time.time() + status.left
    return (
        f"engine {status.pid}: idle since {_clock(status.since)}, ends at {_clock(ends)}, "
        f"{status.bytes / 1e6:.0f} MB, {models}, {'fits' if not others else 'differs in ' + ', '.join(others)}"
    )


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _usable() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _variables(names: tuple[str, ...]) -> str:
    return " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ) or "nothing"


def _size() -> str:
    if not sys.stdout.isatty():
        return "standard output is not a terminal"
    columns, lines = shutil.get_terminal_size()
    return f"{columns}×{lines}"


def _free(folder: Path) -> str:
    """Free space at the nearest existing parent folder."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.absolute().parent
    return f"{shutil.disk_usage(folder).free / 1e9:.0f} GB"


def _short(text: str) -> str:
    """`text` with the home folder replaced by `~`, to hide the user's name."""
    home = os.path.expanduser("~")  # noqa: PTH111 - a home that is unknown stays `~`
    return text.replace(home + os.sep, "~/") if len(home) > 1 else text
