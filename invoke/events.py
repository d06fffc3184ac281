"""Events: progress and results while a picture is made, as data for progress bars, JSON, tests and pipes."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from invoke.errors import InvokeError
from invoke.request import Mode, Request


@dataclass(frozen=True, slots=True)
class Pixels:
    """A finished or half-finished picture: RGB, 8 bits, `height × width × 3` bytes, rows from the top."""

    width: int
    height: int
    data: bytes
    alpha: bytes | None = None
    """Opacity, 8 bits, `height × width`, of a finished picture that is transparent in places."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """How surely a picture shows what a text names, 0..1: native float32, rows from the top, over the whole picture."""

    width: int
    height: int
    data: bytes
    weights: str
    """SHA-256 of the segmentation model."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What made a picture, beyond its request: what is needed to make it again or to say why not."""

    mode: Mode
    steps_taken: int
    """Number of calls of the denoiser."""
    painted: float
    """Share of the picture's pixels that were repainted, 0..1."""
    device: str
    dtype: str
    versions: dict[str, str] = field(default_factory=dict)
    """Library name → version."""
    hashes: dict[str, str] = field(default_factory=dict)
    """`init_image`, `mask_image`, `control picture`, `ControlNet NAME`, `model`, … → SHA-256."""
    seconds: float = 0.0
    threads: int = 0
    """Of each operation on a CPU: with others, last bits differ. 0: on another device, or not recorded."""


@dataclass(frozen=True, slots=True)
class Previews:
    """Previews of a picture that is being made: which steps carry one, and of what."""

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
"""For a user who watches a picture being made: about this many of its steps are shown."""
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
    """What an engine is doing, for toolbars and for those who wait."""

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
    """A download is running; with a `total_mb` of 0 the hub is still being asked."""

    model: str
    done_mb: float
    total_mb: float


@dataclass(frozen=True, slots=True)
class Freed:
    """Nothing is loaded any more. Bytes of the device's memory that the engine held, and holds now."""

    device: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Started:
    """A picture is begun; `total` calls of the denoiser will follow."""

    request: Request
    mode: Mode
    total: int
    painted: float


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found in the init picture for the control `number` (from 1), where steps are shown as well."""

    number: int
    image: Pixels


@dataclass(frozen=True, slots=True)
class Note:
    """Information for the user that is not an error."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """The denoiser was called `index` times of `total`; index 0 is what it will be given first."""

    index: int
    total: int
    timestep: float
    image: Pixels | None = None
    """On the way, when asked for (`Previews`); it may be smaller than the result."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture is made; it is not saved yet."""

    request: Request
    image: Pixels
    facts: RunInfo


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """A picture is drawn that is still to be enlarged."""

    picture: Finished
    """As it is now; its request asks for no more."""


Sheet = Literal["grid", "sweep", "steps", "gif"]
Masked = Literal["selected", "deselected", "masked"]
"""What `!mask` makes of a picture."""
Kind = Literal["image", "original", "step", "control", Sheet, Masked, "gallery"]
"""Of a file. An `original` is a picture as it was before it was finished, a `control` what was found for one."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file is written whole. `line` is the canonical line that makes it again ("" for a sheet)."""

    path: str
    kind: Kind
    line: str = ""
    request: Request | None = None
    facts: RunInfo | None = None


T = TypeVar("T")


def single(happened: Generator[tuple[int, T | InvokeError], None, None]) -> Generator[T, None, None]:
    """What happened where only one thing was asked for. Raises the error that it failed with."""
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
