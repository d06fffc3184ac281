"""One sitting: what is in force, what was made, and how a line becomes files."""

import secrets
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invoke.command.draft import Draft
from invoke.command.parse import parse
from invoke.command.plan import Output, Plan, Planned
from invoke.command.render import render
from invoke.command.resolve import refuse_pending, resolve
from invoke.command.selection import Selection
from invoke.command.world import World
from invoke.engine import Engine
from invoke.engine.folders import check_folder
from invoke.errors import CommandError
from invoke.events import Detected, Drawn, Event, Finished, Pixels, Saved, Step
from invoke.masks import write_masks
from invoke.models import DEFAULT_MODEL, Registry
from invoke.outputs import naming
from invoke.outputs.naming import seed_shown
from invoke.outputs.writer import Job, Writer
from invoke.request import LARGEST_SEED
from invoke.switches import by_name

REMEMBERED = 1000
"""As far back as `-I -N` and `-S -N` reach."""


@dataclass(frozen=True, slots=True)
class Made:
    """A picture of this sitting."""

    path: str
    seed: int


class Session:
    """Reads lines against what is in force and runs them. Knows no terminal.

    `launch` are the defaults of the launch, `save_intermediates` is for lines and launches that do not say.
    """

    def __init__(  # noqa: PLR0913 - all but the first two by keyword
        self,
        engine: Engine,
        models: Registry,
        *,
        launch: Mapping[str, Any] | None = None,
        save_intermediates: int = 0,
        downloads: bool = False,
        models_file: Path | None = None,
    ) -> None:
        self.engine = engine
        self.models = models
        self.downloads = downloads
        """Whether models may be fetched without a question."""
        self.models_file = models_file
        """Where the user's own list of models is, or would be."""
        self.defaults: dict[str, Any] = dict(launch or {})
        """Of the launch, then of `!set`."""
        self.model = models.find(self.defaults.pop("model", DEFAULT_MODEL)).name
        self.made: deque[Made] = deque(maxlen=REMEMBERED)
        """The newest pictures, oldest first."""
        self._save_intermediates = save_intermediates
        self._writers: dict[str, Writer] = {}

    def set_default(self, line: str) -> Draft:
        """`-s 20 -C 5` as defaults from now on (`!set`).

        Raises CommandError where a switch cannot be one.
        """
        draft = parse(line)
        if draft.prompt is not None:
            raise CommandError("only switches can be set", code="bad_value", hint="!set -s 20", column=0)
        refuse_pending(draft, draft.switches)
        for name in draft.switches:
            if not by_name()[name].launch:
                raise CommandError(
                    f"{by_name()[name].spelling} belongs in a line",
                    code="bad_value",
                    column=draft.columns[name],
                )
        switches = dict(draft.switches)
        if "model" in switches:
            self.switch(switches.pop("model"))
        self.defaults |= switches
        return draft

    def switch(self, model: str) -> None:
        """Lines that name no model use this one from now on. Raises ModelError."""
        spec = self.models.find(model)
        folder = Path(spec.weights).expanduser()
        if folder.is_dir():
            check_folder(spec.name, folder)
        self.model = spec.name

    def know(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self.models = models
        self.engine.know(models)

    def plan(self, line: str) -> Plan:
        """What `line`, a prompt with switches, will do. Raises InvokeError."""
        return self.resolve(parse(line))

    def resolve(self, draft: Draft) -> Plan:
        """What `draft` will do, against what is in force now. Raises InvokeError."""
        world = World(
            models=self.models,
            model=self.model,
            defaults=self.defaults,
            newest=[(made.path, made.seed) for made in self.made],
            draw_seed=lambda: secrets.randbelow(LARGEST_SEED + 1),
            save_intermediates=self._save_intermediates,
        )
        return resolve(draft, world)

    def submit(self, line: str) -> Generator[Event, None, None]:
        """Plan and run `line`."""
        return self.run(self.plan(line))

    def run(self, plan: Plan) -> Generator[Event, None, None]:
        """Make the pictures of `plan` and save each as soon as it is finished.

        Closing the iterator stops after the step that is running and keeps what is finished.
        Raises InvokeError; pictures made before are kept.
        """
        job = self._writer(plan.output.outdir, plan.output.fnformat).begin()
        paths: list[str] = []
        grid: list[tuple[Pixels, str]] = []
        sweep: list[tuple[Pixels, str]] = []
        for index, planned in enumerate(plan.pictures()):
            output = plan.output if index == 0 else replace(plan.output, log_tokenization=False)  # once is enough
            for event in self._make(_from_result(planned, paths), output, job):
                yield event
                if isinstance(event, Finished) and plan.output.grid:
                    grid.append((event.image, f"seed {seed_shown(event.request)}"))
                if isinstance(event, Finished) and plan.labels:
                    sweep.append((event.image, plan.labels[index * len(plan.labels) // plan.count]))
                if isinstance(event, Saved) and event.kind == "image":
                    assert event.request is not None
                    paths.append(event.path)
                    self.made.append(Made(event.path, event.request.seed))
        if grid:
            yield job.save_grid(grid, ai_label=plan.output.ai_label)
        if sweep:
            columns = plan.columns * (plan.count // len(plan.labels))
            yield job.save_sweep(sweep, columns, ai_label=plan.output.ai_label)

    def mask(self, selection: Selection) -> Generator[Event, None, None]:
        """Save what a text selects in a picture (`!mask`). Raises InvokeError."""
        yield from write_masks(self.engine, self._writer(selection.outdir), selection)

    def _writer(self, outdir: str, fnformat: str = naming.DEFAULT) -> Writer:
        """The folder's one writer: it looks through the folder once."""
        if outdir not in self._writers:
            self._writers[outdir] = Writer(outdir)
        writer = self._writers[outdir]
        writer.check(fnformat)
        return writer

    def _make(self, planned: Planned, output: Output, job: Job) -> Iterator[Event]:
        frames: list[tuple[Pixels, str]] = []
        drawn: Finished | None = None
        with closing(self.engine.generate(planned.request, previews=output.previews)) as events:
            for event in events:
                yield event
                if isinstance(event, Detected) and output.save_intermediates:
                    yield job.save_detected(planned.request, event)
                if isinstance(event, Step) and event.image is not None:
                    if output.save_intermediates:
                        yield job.save_step(planned.request, event, ai_label=output.ai_label)
                    if output.strip or output.gif:
                        frames.append((event.image, f"{event.index}/{event.total}"))
                if isinstance(event, Drawn):
                    drawn = event.picture
                    if output.save_original:
                        yield job.save_original(planned.request, drawn, render(drawn.request), output)
                if isinstance(event, Finished):
                    yield job.save_image(event, render(event.request), output)
                    yield from _sheets(event, (drawn or event).image, frames, output, job)


def _sheets(
    finished: Finished, drawn: Pixels, frames: list[tuple[Pixels, str]], output: Output, job: Job
) -> Iterator[Event]:
    """The steps of a picture as a strip and as an animation, where they are asked for; both end with what was drawn."""
    if not frames:
        return
    frames = [*frames[:-1], (drawn, frames[-1][1])]
    if output.strip:
        yield job.save_strip(finished.request, frames, ai_label=output.ai_label)
    if output.gif:
        yield job.save_gif(finished.request, [image for image, _ in frames])


def _from_result(planned: Planned, paths: list[str]) -> Planned:
    """`planned` with the file that it starts from, where that was made by the same line."""
    if planned.source is None:
        return planned
    return replace(planned, request=replace(planned.request, init_image=paths[planned.source]))
