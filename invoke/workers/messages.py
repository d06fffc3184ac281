"""Messages between the scheduler and its lanes; a lane is an engine, on this machine or elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from invoke.errors import InvokeError
from invoke.events import EngineEvent
from invoke.outputs.speeds import Speed
from invoke.workers.task import EncodedPicture, Task


@dataclass(frozen=True, slots=True)
class Hello:
    """Description of a lane, sent once its model is loaded."""

    host: str
    pid: int
    device: str
    dtype: str
    threads: int = 0
    """Threads of each operation on a CPU; 0: PyTorch decides."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version; other versions may give other pictures."""
    node: str = ""
    """Its node in the cluster."""


@dataclass(frozen=True, slots=True)
class Up:
    """The lane is ready for tasks."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, the result or the failure of picture `index` of the tasks given as `call`."""

    call: int
    index: int
    event: EngineEvent | EncodedPicture | InvokeError


@dataclass(frozen=True, slots=True)
class Ended:
    """The tasks given as `call` are over; the lane is free."""

    call: int
    speed: Speed | None = None
    """The measured speed, if there is one."""


@dataclass(frozen=True, slots=True)
class Died:
    """The lane's engine died over the tasks given as `call`; the lane is free, and starts another one."""

    call: int
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The lane has stopped answering; `Up` follows if it comes back."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The lane will not come back."""

    why: str


Message = Up | Happened | Ended | Died | Lost | Gone


class Lanes(Protocol):
    """Engines, numbered from 0. Each sends `Up` when it has loaded its model."""

    def __len__(self) -> int: ...

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        """Let the free `lane` make `tasks`; its messages about them carry `call`."""
        ...

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        """The next message, with its lane; None if there is none within `timeout` seconds."""
        ...

    def kill(self, lane: int) -> None:
        """Abort the work of `lane`; it sends `Up` again, or `Gone`."""
        ...

    def close(self) -> None:
        """End all lanes at once, whatever they are doing."""
        ...
