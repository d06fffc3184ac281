"""What happens while a picture is made, as data: a bar, a JSON line, a test and a pipe read the same."""

from dataclasses import dataclass, field

from invoke.request import Mode, Request


@dataclass(frozen=True, slots=True)
class Pixels:
    """A finished or half-finished picture: RGB, 8 bits, `height × width × 3` bytes, rows from the top."""

    width: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What made a picture, beyond its request: what is needed to make it again or to say why not."""

    mode: Mode
    steps_taken: int
    """Calls of the denoiser that were really made."""
    painted: float
    """Share of the picture's pixels that were repainted, 0..1."""
    device: str
    dtype: str
    versions: dict[str, str] = field(default_factory=dict)
    """Library name → version."""
    hashes: dict[str, str] = field(default_factory=dict)
    """`init_image`, `mask_image`, `model` → SHA-256."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Loading:
    """A model starts to be loaded."""

    model: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready."""

    model: str
    device: str
    dtype: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """A picture is begun; `total` calls of the denoiser will follow."""

    request: Request
    mode: Mode
    total: int
    painted: float


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know and that is no failure."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """The denoiser was called `index` times of `total`; index 0 is what it will be given first."""

    index: int
    total: int
    timestep: float
    image: Pixels | None = None
    """The latents as a picture, when asked for."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture is made; it is not saved yet."""

    request: Request
    image: Pixels
    facts: Facts


@dataclass(frozen=True, slots=True)
class Saved:
    """A file is written whole. `line` is the canonical line that makes it again ("" for a sheet)."""

    path: str
    kind: str
    """`image`, `step`, or a sheet: `grid`, `sweep`, `steps`, `gif`."""
    line: str = ""
    request: Request | None = None
    facts: Facts | None = None


EngineEvent = Loading | Loaded | Started | Noted | Step | Finished
Event = EngineEvent | Saved
