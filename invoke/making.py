"""Lines that are being carried out: what is kept of everything that happens to their pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from invoke.command.plan import Output, Plan, Planned
from invoke.command.render import render
from invoke.errors import InvokeError
from invoke.events import Detected, Drawn, EngineEvent, Event, Finished, Pixels, Previews, Saved, Step
from invoke.outputs.naming import seed_shown
from invoke.outputs.writer import Job
from invoke.pictures import read_pixels
from invoke.request import Request

AHEAD = 4
"""So many pictures the engine knows of at once: it draws on while one is saved."""


@dataclass
class Line:
    """One plan, and what has come of it."""

    number: int
    """Among the lines that are carried out together."""
    plan: Plan
    job: Job
    paths: dict[int, str] = field(default_factory=dict)
    """Index → where the picture is."""
    seeds: dict[int, int] = field(default_factory=dict)
    error: InvokeError | None = None
    """The first one; no picture is begun after it."""
    _grid: list[tuple[Pixels, str]] = field(default_factory=list)
    _sweep: list[tuple[Pixels, str]] = field(default_factory=list)

    def output(self, index: int) -> Output:
        return self.plan.output if index == 0 else replace(self.plan.output, log_tokenization=False)  # once is enough

    def keep(self, index: int, path: str, request: Request) -> None:
        """A picture that was made before."""
        self.paths[index], self.seeds[index] = path, request.seed
        if self.plan.output.grid or self.plan.labels:
            self.show(index, read_pixels(path), request)

    def show(self, index: int, image: Pixels, request: Request) -> None:
        """On the sheets that are asked for."""
        if self.plan.output.grid:
            self._grid.append((image, f"seed {seed_shown(request)}"))
        if self.plan.labels:
            self._sweep.append((image, self.plan.labels[index * len(self.plan.labels) // self.plan.count]))

    def sheets(self) -> Iterator[Saved]:
        """Of all pictures, saved."""
        if self._grid:
            yield self.job.save_grid(self._grid, ai_label=self.plan.output.ai_label)
        if self._sweep:
            columns = self.plan.columns * (self.plan.count // len(self.plan.labels))
            yield self.job.save_sweep(self._sweep, columns, ai_label=self.plan.output.ai_label)


@dataclass
class Making:
    """One picture of a line."""

    line: Line
    index: int
    planned: Planned
    previews: Previews
    _frames: list[tuple[Pixels, str]] = field(default_factory=list)
    _drawn: Finished | None = None

    def keep(self, event: EngineEvent) -> Iterator[Event]:
        """`event`, and the files that come of it, saved."""
        yield event
        job, output, request = self.line.job, self.line.output(self.index), self.planned.request
        match event:
            case Detected() if output.save_intermediates:
                yield job.save_detected(request, event)
            case Step(index, total, _, Pixels() as image) if self._is_kept(index, total):
                if output.save_intermediates:
                    yield job.save_step(request, event, ai_label=output.ai_label)
                if output.strip or output.gif:
                    self._frames.append((image, f"{index}/{total}"))
            case Drawn(picture):
                self._drawn = picture
                if output.save_original:
                    yield job.save_original(request, picture, render(picture.request), output, self.planned.template)
            case Finished():
                saved = job.save_image(event, render(event.request), output, self.planned.template)
                self.line.paths[self.index], self.line.seeds[self.index] = saved.path, request.seed
                yield saved
                yield from self._sheets(event, (self._drawn or event).image)
                self.line.show(self.index, event.image, event.request)

    def _is_kept(self, index: int, total: int) -> bool:
        """Whether this step is saved, rather than only looked at. The last of `total` may be those of a finish."""
        return self.previews.kept(index, min(total, self.planned.steps_taken))

    def _sheets(self, finished: Finished, drawn: Pixels) -> Iterator[Saved]:
        """The steps as a strip and as an animation, where they are asked for; both end with what was drawn."""
        if not self._frames:
            return
        job, output = self.line.job, self.line.plan.output
        frames = [*self._frames[:-1], (drawn, self._frames[-1][1])]
        if output.strip:
            yield job.save_strip(finished.request, frames, ai_label=output.ai_label)
        if output.gif:
            yield job.save_gif(finished.request, [image for image, _ in frames])


def pictures(lines: list[Line], *, watched: bool) -> Iterator[list[Making]]:
    """What is still to be made of `lines`, in groups that are handed to the engine at once, in order.

    A picture that starts from another one of its line waits for that; after an error, a line goes no further.
    """
    group: list[Making] = []
    for line in lines:
        for index, planned in enumerate(line.plan.pictures()):
            if index in line.plan.made:
                line.keep(index, line.plan.made[index], planned.request)
                continue
            if planned.source is not None and planned.source not in line.paths:
                yield group
                group = []
            if line.error is not None:
                break
            if planned.source is not None:
                start = line.paths[planned.source]
                planned = replace(planned, request=replace(planned.request, init_image=start))  # noqa: PLW2901
            group.append(Making(line, index, planned, replace(line.output(index).previews, watched=watched)))
            if len(group) >= max(AHEAD, 2 * planned.request.batch_size):
                yield group
                group = []
    if group:
        yield group
