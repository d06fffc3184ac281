"""Messages between a program's process and its engine's: pickled, one after another, on a pipe."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.engine import Job
from invoke.errors import InvokeError
from invoke.events import EngineEvent, EngineState
from invoke.models import Registry
from invoke.options import EngineOptions


@dataclass(frozen=True, slots=True)
class Stay:
    """How long an engine waits for the next program after its own has ended (`--warm`), and for which programs."""

    seconds: float
    fit: Mapping[str, str]
    """See `warm.fit`."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: the engine's options."""

    options: EngineOptions
    stay: Stay | None = None
    """None: the engine ends with its program, or stays as long as an earlier program asked for."""


@dataclass(frozen=True, slots=True)
class SetModels:
    """The list of models. The second message; sent again when the list changes."""

    models: Registry


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model, after all earlier requests."""

    model: str


@dataclass(frozen=True, slots=True)
class Generate:
    """Make pictures; answers have the same `call`."""

    call: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Compute where a picture shows what a text names; answers have the same `call`."""

    call: int
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Unload all models; answers have the same `call`."""

    call: int


@dataclass(frozen=True, slots=True)
class CheckDevice:
    """Check whether the requested device exists; the answer has the same `call`."""

    call: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a picture after the current step, or before it begins."""

    call: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The engine's state has changed."""

    state: EngineState
    in_memory: tuple[str, ...] | None = None
    """Names of the loaded models; None: unchanged."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat: the process is alive, even if it is busy."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a picture, or the error that it failed with."""

    call: int
    event: EngineEvent | InvokeError
    index: int = 0
    """The index of the job in the call."""


@dataclass(frozen=True, slots=True)
class Done:
    """The last answer to a call: it is finished, cancelled, or failed with `error`."""

    call: int
    error: InvokeError | None = None
    traceback: str = ""
    """The traceback of an unexpected error."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Agree to the download that a picture waits for: the answer to `Event(call, DownloadRequired(…))`."""

    call: int


Question = Start | SetModels | Load | Generate | Segment | Unload | CheckDevice | Confirm | Cancel
Answer = StateChanged | Beat | Event | Done
