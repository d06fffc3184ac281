"""Plan: what a line will do, complete with its pictures, their files, a summary and notes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from invoke.events import Previews
from invoke.language.parse import Draft
from invoke.request import Mode, Request
from invoke.samplers import calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where and how a line's pictures are kept."""

    outdir: str
    png_compression: int
    fnformat: str
    grid: bool
    save_intermediates: int
    """Every Nth step is kept as a picture; 0 keeps none."""
    intermediates: Literal["latents", "clean"]
    intermediates_decoder: Literal["linear", "vae"]
    strip: bool
    gif: bool
    ai_label: bool
    save_original: bool = False
    """Whether a picture is also kept as it was before it was finished."""
    log_tokenization: bool = False

    @property
    def previews(self) -> Previews:
        """What the engine is asked for, so that there are steps to keep."""
        every = self.save_intermediates or int(self.strip or self.gif)
        return Previews(every, self.intermediates, self.intermediates_decoder, self.log_tokenization)


@dataclass(frozen=True, slots=True)
class Planned:
    """One picture of a line."""

    request: Request
    mode: Mode
    passes: tuple[int, ...]
    """Points of the schedule that are run, once for each pass: floor(steps × strength)."""
    upscale_steps: int = 0
    """Steps of the diffusion models that enlarge it (`-U`)."""
    source: int | None = None
    """Which picture of the same line it starts from, counted from 0; None: from what its request says."""
    label: str = ""
    """The words that tell it from the others of a sweep over words; part of its file's name."""
    template: Mapping[str, str] = field(default_factory=dict)
    """Texts of the request as they were before `--wild` drew from them: `prompt`, `negative_prompt`."""

    @property
    def points(self) -> int:
        """Of the last pass, which is the only one but for `--hires_fix`."""
        return self.passes[-1]

    @property
    def steps_taken(self) -> int:
        """Calls of the denoiser."""
        return sum(calls(self.request.scheduler, points) for points in self.passes)


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A picture that is saved, and whose steps are drawn again for what is made of them."""

    stem: str
    """What its strip and animation are called, without their endings."""
    kinds: frozenset[Literal["steps", "gif"]]
    """Which of the two is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A line, planned."""

    draft: Draft
    count: int
    picture: Callable[[int], Planned]
    """The kth of `count` pictures, from 0. Made when asked for: a line may want a million."""
    output: Output
    summary: tuple[str, ...]
    """What will happen, in words: mode, sizes, steps."""
    notes: tuple[str, ...]
    """What the user should know: switches without effect, sizes that were rounded, few steps."""
    labels: tuple[str, ...] = ()
    """Of a sweep's sheet, one a picture; none without a sweep."""
    columns: int = 0
    """Of a sweep's sheet."""
    line: str = ""
    """The line with all that is in force: it makes all of the pictures again, but for seeds that `-v` draws."""
    number: int | None = None
    """Of the line's files; None: it is claimed when the first is made."""
    made: Mapping[int, str] = field(default_factory=dict)
    """Index → path of the pictures that a batch which was killed has made already."""
    redrawn: Mapping[int, Redrawn] = field(default_factory=dict)
    """Index → what is missing of those of them whose strip or animation is."""

    def pictures(self) -> Iterator[Planned]:
        """All of them, in order."""
        return (self.picture(index) for index in range(self.count))
