"""Plan: everything that a line will do: its pictures, their files, a summary and notes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from invoke.events import Previews
from invoke.language.parse import Draft
from invoke.request import Mode, Request
from invoke.samplers import calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where and how a line's pictures are saved."""

    outdir: str
    png_compression: int
    fnformat: str
    grid: bool
    save_intermediates: int
    """Save every Nth step as a picture; 0: none."""
    intermediates: Literal["latents", "clean"]
    intermediates_decoder: Literal["linear", "vae"]
    strip: bool
    gif: bool
    ai_label: bool
    save_original: bool = False
    """Whether to also save the picture before postprocessing."""
    log_tokenization: bool = False

    @property
    def previews(self) -> Previews:
        """The previews that the engine must send so that steps can be saved."""
        every = self.save_intermediates or int(self.strip or self.gif)
        return Previews(every, self.intermediates, self.intermediates_decoder, self.log_tokenization)


@dataclass(frozen=True, slots=True)
class Planned:
    """One picture of a line."""

    request: Request
    mode: Mode
    passes: tuple[int, ...]
    """Points of the schedule that each pass runs: floor(steps × strength)."""
    upscale_steps: int = 0
    """Steps of the diffusion models that upscale it (`-U`)."""
    source: int | None = None
    """The index of the picture of the same line that it starts from; None: as its request says."""
    label: str = ""
    """The words that distinguish it in a sweep over words; part of its file's name."""
    template: Mapping[str, str] = field(default_factory=dict)
    """`prompt` and `negative_prompt` before `--wild` drew from them."""

    @property
    def points(self) -> int:
        """The points of the last pass; only `--hires_fix` has more than one."""
        return self.passes[-1]

    @property
    def steps_taken(self) -> int:
        """Calls of the denoiser."""
        return sum(calls(self.request.scheduler, points) for points in self.passes)


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A saved picture whose steps are drawn again, because its strip or animation is missing."""

    stem: str
    """The file name of its strip and animation, without extension."""
    kinds: frozenset[Literal["steps", "gif"]]
    """Which of them are missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A line, planned."""

    draft: Draft
    count: int
    picture: Callable[[int], Planned]
    """Returns the kth of `count` pictures, from 0. Computed on demand, since a line may ask for a million."""
    output: Output
    summary: tuple[str, ...]
    """What will happen, in words: mode, size, steps."""
    notes: tuple[str, ...]
    """Notes for the user: switches without effect, rounded sizes, few steps."""
    labels: tuple[str, ...] = ()
    """Labels for the sheet of a sweep, one per picture; empty without a sweep."""
    columns: int = 0
    """Columns of the sheet of a sweep."""
    line: str = ""
    """The line with all defaults applied: it makes all pictures again, except for seeds that `-v` draws."""
    sizes_and_steps: tuple[tuple[str, str], ...] = ()
    """The sizes and steps of each part of the chain, in the words of `summary`."""
    number: int | None = None
    """The number in the line's file names; None: it is claimed when the first picture is made."""
    made: Mapping[int, str] = field(default_factory=dict)
    """Index → path of pictures that an interrupted batch has already made."""
    redrawn: Mapping[int, Redrawn] = field(default_factory=dict)
    """Index → missing strip or animation of such a picture."""

    def pictures(self) -> Iterator[Planned]:
        """All pictures, in order."""
        return (self.picture(index) for index in range(self.count))
