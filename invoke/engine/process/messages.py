"""Messages between the shell's process and the engine's, pickled one after another on a pipe."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoke.engine import Job
from invoke.errors import InvokeError
from invoke.events import EngineEvent, EngineState
from invoke.models import Registry
from invoke.options import EngineOptions


@dataclass(frozen=True, slots=True)
class Stay:
    """How long an engine waits for the next program once its own has gone (`--warm`), and which one may have it."""

    seconds: float
    fit: Mapping[str, str]
    """See `warm.fit`."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: how to compute."""

    options: EngineOptions
    stay: Stay | None = None
    """None: it ends with its program, or stays for as long as an earlier program has said."""


@dataclass(frozen=True, slots=True)
class SetModels:
    """The models that can be named from now on. The second message, and again when the list has changed."""

    models: Registry


@dataclass(frozen=True, slots=True)
class Load:
    """Make a model ready when there is nothing else to do."""

    model: str


@dataclass(frozen=True, slots=True)
class Generate:
    """Make pictures; the answers carry the same `call`."""

    call: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Say where a picture shows what a text names; its answers carry the same `call`."""

    call: int
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Let go of all that is loaded; the answers carry the same `call`."""

    call: int


@dataclass(frozen=True, slots=True)
class CheckDevice:
    """Say whether the device that is asked for is there; its answer carries the same `call`."""

    call: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a picture after the step that is running, or before it begins."""

    call: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """What the engine is doing from now on."""

    state: EngineState
    in_memory: tuple[str, ...] | None = None
    """The entries of the list of models that are loaded; None: as before."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The process lives, whatever it is busy with."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a picture, or it failed."""

    call: int
    event: EngineEvent | InvokeError
    index: int = 0
    """Which one of the call's."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more will be told of a picture: it is made, cancelled, or failed with `error`."""

    call: int
    error: InvokeError | None = None
    traceback: str = ""
    """Of a failure that no user can cause."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Go on with the download that a picture waits for: the answer to `Event(call, Wanted(…))`."""

    call: int


Question = Start | SetModels | Load | Generate | Segment | Unload | CheckDevice | Confirm | Cancel
Answer = StateChanged | Beat | Event | Done
