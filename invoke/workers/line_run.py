"""A running line: which of its pictures can be started, and which files are saved."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from invoke.errors import InvokeError
from invoke.events import EngineEvent, Event, Saved, Started
from invoke.images import read_pixels
from invoke.language.plan import Plan, Planned
from invoke.outputs import png
from invoke.outputs.encoded import EncodedFile
from invoke.outputs.filenames import seed_shown
from invoke.outputs.writer import LineFiles, PictureNames
from invoke.prompts import read_prompt
from invoke.request import Request
from invoke.workers.task import PictureEncoder, Task

AHEAD = 4
"""Pictures given to one engine at once, so that it continues while one is saved."""
WINDOW = 16
"""Times `--batch_size`: number of pictures searched for those that can be drawn at once."""


@dataclass
class LineRun:
    """A plan and its results so far."""

    number: int
    """Identifies it among the lines that run at the same time."""
    plan: Plan
    files: LineFiles
    paths: dict[int, str] = field(default_factory=dict)
    """Index → path of the picture."""
    seeds: dict[int, int] = field(default_factory=dict)
    error: InvokeError | None = None
    """The first error; no picture is started after it."""

    def __post_init__(self) -> None:
        self._planned = enumerate(self.plan.pictures())
        self._next: tuple[int, Planned] | None = None
        self._advance()

    @property
    def next(self) -> Planned | None:
        """The picture to start next; None if there is none, or one has failed."""
        return self._next[1] if self._next is not None and self.error is None else None

    @property
    def is_blocked(self) -> bool:
        """Whether the next picture starts from an unfinished one of this line."""
        return self.next is not None and self.next.source is not None and self.next.source not in self.paths

    def take(self, *, watched: bool = False) -> PictureRun:
        """Start the next picture and reserve its file name. Raises OutputError."""
        assert self._next is not None
        index, planned = self._next
        if planned.source is not None:
            start = self.paths[planned.source]
            planned = replace(planned, request=replace(planned.request, init_image=start))
        output = self.plan.output if index == 0 else replace(self.plan.output, log_tokenization=False)  # once is enough
        task = Task(
            planned.request,
            replace(output.previews, watched=watched),
            output,
            planned.steps_taken,
            planned.template,
        )
        redrawn = self.plan.redrawn.get(index)
        if redrawn is None:
            names, only = self.files.claim(planned.request, output, planned.label), None
        else:
            names, only = PictureNames(redrawn.stem, redrawn.stem), redrawn.kinds
        self._advance()
        return PictureRun(self, index, task, names, only)

    @property
    def made(self) -> list[tuple[str, int]]:
        """Path and seed of the finished pictures, in the order of the line."""
        return [(self.paths[index], self.seeds[index]) for index in sorted(self.paths)]

    def sheets(self) -> Iterator[Saved]:
        """Save the sheets (`--grid`, `--sweep`) of all pictures. Raises OutputError or PictureError."""
        output, labels = self.plan.output, self.plan.labels
        if not (output.grid or labels) or not self.paths:
            return
        pictures = {index: read_pixels(self.paths[index]) for index in sorted(self.paths)}
        if output.grid:
            yield self.files.save_grid(
                [(image, _label(self.plan.picture(index))) for index, image in pictures.items()],
                self.plan.line,
                ai_label=output.ai_label,
            )
        if labels:
            share = self.plan.count // len(labels)
            yield self.files.save_sweep(
                [(image, labels[index // share]) for index, image in pictures.items()],
                self.plan.columns * share,
                self.plan.line,
                ai_label=output.ai_label,
            )

    def _advance(self) -> None:
        """Advance to the next picture that is not made, or lacks files."""
        for index, planned in self._planned:
            if index not in self.plan.made:
                self._next = index, planned
                return
            self.paths[index], self.seeds[index] = self.plan.made[index], planned.request.seed
            if index in self.plan.redrawn:
                self._next = index, planned
                return
        self._next = None


def _label(planned: Planned) -> str:
    """Of a picture on a contact sheet: its seed, and the words that `--wild` has drawn for it."""
    seed = f"seed {seed_shown(planned.request)}"
    return f"{seed}: {planned.request.prompt}" if "prompt" in planned.template else seed


@dataclass
class PictureRun:
    """One picture of a line."""

    line: LineRun
    index: int
    task: Task
    names: PictureNames
    only: frozenset[str] | None = None
    """Kinds of files that are missing of a picture saved earlier; None: all are made."""

    def __post_init__(self) -> None:
        self._encoder = PictureEncoder(self.task)
        self._is_begun = False

    def keep(self, event: EngineEvent) -> Iterator[Event]:
        """`event`, and the files that come of it, encoded here and saved. Raises OutputError."""
        yield event
        if isinstance(event, Started):
            if self._is_begun and self.only is None:  # a second time, after an engine died
                self.line.files.drop_steps(self.names)
            self._is_begun = True
            png.prepare()  # the engine draws in the meantime
        yield from map(self.save, filter(self.needs, self._encoder.encode(event)))

    def needs(self, file: EncodedFile) -> bool:
        """Whether a file of the picture is to be saved."""
        return self.only is None or file.kind in self.only

    def save(self, file: EncodedFile) -> Saved:
        """Write one of the picture's files. Raises OutputError."""
        saved = self.line.files.save(self.names, file)
        if file.kind == "image":
            self.line.paths[self.index], self.line.seeds[self.index] = saved.path, self.task.request.seed
        return saved


def groups(lines: Sequence[LineRun], *, watched: bool) -> Iterator[list[PictureRun]]:
    """What is to be made of `lines`, in groups that one engine is given at once.

    With `--batch_size`, pictures that can be drawn side by side are brought together, whatever stands between them:
    a network is always asked about so many at once, and what is missing is computed for nothing. All others keep
    their order. A picture that starts from another one of its line waits for that; after an error, a line goes no
    further.
    """
    begun: dict[Hashable, list[PictureRun]] = {}
    for line in lines:
        while line.next is not None:
            if line.is_blocked:
                yield from begun.values()
                begun = {}
            if line.next is None or line.is_blocked:
                break
            run = line.take(watched=watched)
            kind, most = _kind(run.task.request), _most(run.task.request)
            begun.setdefault(kind, []).append(run)
            if len(begun[kind]) >= most:
                yield begun.pop(kind)
    yield from begun.values()


def _kind(request: Request) -> Hashable:
    """The key of pictures that can be drawn at once; None: drawn alone."""
    if request.batch_size == 1:
        return None
    controls = tuple(control[0] for control in request.controls)
    loras = read_prompt(request.prompt, request.negative_prompt).loras
    return request.batch_size, request.model, request.size, request.guidance_scale <= 1, request.reuse, controls, loras


def _most(request: Request) -> int:
    """Number of pictures with the same key that are given to an engine at once."""
    return AHEAD if request.batch_size == 1 else max(AHEAD, WINDOW * request.batch_size)
