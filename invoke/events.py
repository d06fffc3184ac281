"""Events: progress and results while a picture is made, as data for progress bars, JSON, tests and pipes."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from invoke.errors import InvokeError
from invoke.request import Mode, Request


@dataclass(frozen=True, slots=True)
class Pixels:
    """A finished or unfinished picture: RGB, 8 bits, `height × width × 3` bytes, rows from the top."""

    width: int
    height: int
    data: bytes
    alpha: bytes | None = None
    """Opacity, 8 bits, `height × width`, of a finished picture with transparency."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """The score of a text at each place of a picture, 0..1: native float32, rows from the top."""

    width: int
    height: int
    data: bytes
    weights: str
    """SHA-256 of the segmentation model."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What made a picture, beyond its request: needed to make it again or explain a difference."""

    mode: Mode
    steps_taken: int
    """Number of calls of the denoiser."""
    painted: float
    """Fraction of the picture's pixels that was repainted, 0..1."""
    device: str
    dtype: str
    versions: dict[str, str] = field(default_factory=dict)
    """Library name → version."""
    hashes: dict[str, str] = field(default_factory=dict)
    """`init_image`, `mask_image`, `control picture`, `ControlNet NAME`, `model`, … → SHA-256."""
    seconds: float = 0.0
    threads: int = 0
    """Number of threads on a CPU, which affects the last bits. 0: on another device, or not recorded."""


@dataclass(frozen=True, slots=True)
class Previews:
    """The requested previews: which steps have one, and of what."""

    every: int = 0
    """Every Nth step, the one of index 0 and the last; 0: none."""
    of: Literal["latents", "clean"] = "latents"
    """The latents as they are, noise and all, or the clean picture that the network predicts from them."""
    decoder: Literal["linear", "vae"] = "linear"
    """A linear estimate that costs nothing, smaller than the picture, or the model's own decoder."""
    tokens: bool = False
    """Whether the tokens of the prompt are reported before the first step."""
    watched: bool = False
    """Whether a user watches: a few steps then carry a picture in any case."""

    def kept(self, index: int, total: int) -> bool:
        """Whether step `index` of `total` is one of `every`."""
        return self.every > 0 and (index % self.every == 0 or index == total)

    def shown(self, index: int, total: int) -> bool:
        """Whether step `index` of `total` carries a picture."""
        return self.kept(index, total) or (self.watched and index % max(1, total // LOOKS) == 0)


LOOKS = 10
"""Approximate number of steps shown to a watching user."""
NO_PREVIEWS = Previews()


@dataclass(frozen=True, slots=True)
class Loading:
    """Loading of a model has started."""

    model: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready."""

    model: str
    device: str
    dtype: str
    seconds: float


Status = Literal["not started", "starting", "downloading", "loading", "ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """What an engine is doing, for toolbars and callers that wait."""

    status: Status
    model: str = ""
    """The model that is being downloaded or loaded, is ready, or has failed."""
    detail: str = ""
    """Download progress, or why nothing is loaded."""
    device: str = ""
    dtype: str = ""

    @property
    def is_busy(self) -> bool:
        """Whether it is starting, downloading or loading."""
        return self.status in {"starting", "downloading", "loading"}

    def __str__(self) -> str:
        match self.status:
            case "ready":
                return f"ready: {self.where}"
            case "failed":
                return f"not loaded: {self.detail}"
            case "downloading":
                return f"downloading {self.model}: {self.detail}"
            case "loading":
                return f"loading {self.model}"
        return self.status

    @property
    def where(self) -> str:
        """`pocket on cpu float32`."""
        return f"{self.model} on {self.device} {self.dtype}"


@dataclass(frozen=True, slots=True)
class DownloadRequired:
    """A model is not on this disk. Asking for the next event agrees to the download."""

    model: str
    megabytes: int
    """Size of the download left, in millions of bytes."""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Downloading:
    """A download is running; `total_mb` is 0 while the hub is being queried."""

    model: str
    done_mb: float
    total_mb: float


@dataclass(frozen=True, slots=True)
class Freed:
    """All models were unloaded. Bytes of the device's memory that the engine used before and uses now."""

    device: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Started:
    """A picture was started; `total` calls of the denoiser will follow."""

    request: Request
    mode: Mode
    total: int
    painted: float


@dataclass(frozen=True, slots=True)
class Detected:
    """The detected control picture `number` (from 1), sent if steps are shown."""

    number: int
    image: Pixels


@dataclass(frozen=True, slots=True)
class Note:
    """Information for the user that is not an error."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """The denoiser was called `index` times of `total`; index 0 is its first input."""

    index: int
    total: int
    timestep: float
    image: Pixels | None = None
    """On the way, when asked for (`Previews`); it may be smaller than the result."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture is finished but not saved yet."""

    request: Request
    image: Pixels
    facts: RunInfo


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """A picture was drawn and will now be enlarged."""

    picture: Finished
    """The picture before enlarging, with a request that makes just that."""


Sheet = Literal["grid", "sweep", "steps", "gif"]
Masked = Literal["selected", "deselected", "masked"]
"""The results of `!mask`."""
Kind = Literal["image", "original", "step", "control", Sheet, Masked, "gallery"]
"""Kinds of files. An `original` is a picture before postprocessing, a `control` a detected control picture."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file was written completely. `line` is the canonical line that makes it again ("" for a sheet)."""

    path: str
    kind: Kind
    line: str = ""
    request: Request | None = None
    facts: RunInfo | None = None


T = TypeVar("T")


def single(happened: Generator[tuple[int, T | InvokeError], None, None]) -> Generator[T, None, None]:
    """The events of a single piece of work. Raises the error that it failed with."""
    with closing(happened):
        for _, event in happened:
            if isinstance(event, InvokeError):
                raise event
            yield event


EngineEvent = (
    DownloadRequired
    | Downloading
    | Loading
    | Loaded
    | Freed
    | Started
    | Detected
    | Note
    | Step
    | Postprocessing
    | Finished
    | Heatmap
)
Event = EngineEvent | Saved
