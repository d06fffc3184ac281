"""One session: defaults, history, and how a plan becomes files."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from invoke.engine import Engine
from invoke.errors import CommandError, InvokeError
from invoke.events import Detected, EngineEvent, Event, Finished, Pixels, Postprocessing, Previews, Saved, Step, single
from invoke.images import read_pixels
from invoke.language.parse import Draft, parse
from invoke.language.plan import Output, Plan, Planned
from invoke.language.render import render
from invoke.language.set_reset import read_reset
from invoke.language.switches import by_name
from invoke.models import DEFAULT_MODEL, Registry
from invoke.models.folder import check_folder
from invoke.outputs.filenames import seed_shown
from invoke.outputs.writer import LineFiles
from invoke.paths import expanded
from invoke.request import LARGEST_SEED, Request

if TYPE_CHECKING:  # a prompt does without what planning and saving need
    from pathlib import Path

    from invoke.language.plan import Plan
    from invoke.outputs.writer import LineFiles, Writer


REMEMBERED = 1000
"""As far back as `-I -N` and `-S -N` reach."""


class HistoryItem(NamedTuple):
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
        wildcards: Sequence[Path] = (),
    ) -> None:
        self.engine = engine
        self.models = models
        self.downloads = downloads
        """Whether models may be fetched without a question."""
        self.watched = False
        """Whether somebody looks on while pictures are made."""
        self.models_file = models_file
        """Where the user's own list of models is, or would be."""
        self.wildcards = wildcards
        """Folders of the files that `--wild` draws from."""
        self.defaults: dict[str, Any] = dict(launch or {})
        """Of the launch, then of `!set`."""
        self.model = models.find(self.defaults.pop("model", DEFAULT_MODEL)).name
        self._launch = {**self.defaults, "model": self.model}
        self.draw_seed: Callable[[], int] = partial(secrets.randbelow, LARGEST_SEED + 1)
        """Where seeds come from that nobody says."""
        self.made: deque[HistoryItem] = deque(maxlen=REMEMBERED)
        """The newest pictures, oldest first."""
        self._save_intermediates = save_intermediates
        self._writers: dict[str, Writer] = {}

    def set_default(self, line: str) -> None:
        """`-s 20 -C 5` as defaults from now on (`!set`); `reset` takes them back, `reset -s` that one.

        Raises CommandError where a switch cannot be one.
        """
        if (taken_back := read_reset(line)) is not None:
            self._reset([row.name for row in taken_back] or list({"model": ""} | self.defaults))
            return
        draft = parse(line)
        if draft.prompt is not None:
            raise CommandError("only switches can be set", code="bad_value", hint="!set -s 20, !set reset", column=0)
        from invoke.language.resolve import refuse_pending

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

    @property
    def changed(self) -> Mapping[str, Any]:
        """Long name → value, of what holds in this sitting and is not what the launch said."""
        now = {**self.defaults, "model": self.model}
        return {name: value for name, value in now.items() if name not in self._launch or self._launch[name] != value}

    def _reset(self, names: Iterable[str]) -> None:
        """Have what the launch said hold again."""
        for name in names:
            if name == "model":
                self.switch(self._launch["model"])
            elif name in self._launch:
                self.defaults[name] = self._launch[name]
            else:
                self.defaults.pop(name, None)

    def switch(self, model: str) -> None:
        """Lines that name no model use this one from now on. Raises ModelError."""
        spec = self.models.find(model)
        folder = expanded(spec.weights)
        if folder.is_dir():
            check_folder(spec.name, folder)
        self.model = spec.name

    def set_models(self, models: Registry) -> None:
        """The models that can be named from now on."""
        self.models = models
        self.engine.set_models(models)

    def plan(self, line: str) -> Plan:
        """What `line`, a prompt with switches, will do. Raises InvokeError."""
        return self.resolve(parse(line))

    def resolve(self, draft: Draft) -> Plan:
        """What `draft` will do, against what is in force now. Raises InvokeError."""
        from invoke.language.resolve import resolve
        from invoke.language.resolve.line_context import LineContext

        world = LineContext(
            models=self.models,
            model=self.model,
            defaults=self.defaults,
            newest=tuple(self.made),
            draw_seed=self.draw_seed,
            save_intermediates=self._save_intermediates,
            wildcards=self.wildcards,
        )
        return resolve(draft, world)

    def submit(self, line: str) -> Generator[Event, None, None]:
        """Plan and run `line`."""
        return self.run(self.plan(line))

    def claim(self, plan: Plan) -> Plan:
        """`plan` with the number of its files, for those who must know it before anything is made.

        Raises OutputError.
        """
        return replace(plan, number=self.writer(plan.output.outdir).begin(plan.number).number)

    def run(self, plan: Plan) -> Generator[Event, None, None]:
        """Make the pictures of `plan` and save each as soon as it is finished.

        Closing the iterator stops after the step that is running and keeps what is finished.
        Raises InvokeError; pictures made before are kept.
        """
        return single(self.run_batch([plan]))

    def run_batch(self, plans: Sequence[Plan]) -> Generator[tuple[int, Event | InvokeError], None, None]:
        """The same for several plans, whose pictures are drawn side by side where `batch_size` says so.

        Each event comes with the index of its plan; one that fails yields its error at the end, the others go on.
        """
        # MOVED

        lines = [LineRun(number, plan, self._files(plan)) for number, plan in enumerate(plans)]
        try:
            for group in pictures(lines, watched=self.watched):
                jobs = [(run.planned.request, run.previews) for run in group]
                with closing(self.engine.generate_batch(jobs)) as happened:
                    for place, event in happened:
                        run = group[place]
                        if isinstance(event, InvokeError):
                            run.line.error = run.line.error or event
                            continue
                        yield from ((run.line.number, kept) for kept in run.keep(event))
        finally:  # in the order of the lines, whichever was finished first
            for line in lines:
                self.remember((line.paths[index], line.seeds[index]) for index in sorted(line.paths))
        for line in lines:
            for saved in line.sheets() if line.error is None else ():
                yield line.number, saved
            if line.error is not None:
                yield line.number, line.error

    def _files(self, plan: Plan) -> LineFiles:
        return self.writer(plan.output.outdir).begin(plan.number)

    def remember(self, pictures: Iterable[tuple[str, int]]) -> None:
        """That these, path and seed, were made: later lines may start from them."""
        self.made += starmap(HistoryItem, pictures)

    def writer(self, outdir: str) -> Writer:
        """The folder's one writer: it looks through the folder once."""
        if outdir not in self._writers:
            from invoke.outputs.writer import Writer

            self._writers[outdir] = Writer(outdir)
        writer = self._writers[outdir]
        writer.check()
        return writer


AHEAD = 4
"""So many pictures the engine knows of at once: it draws on while one is saved."""


@dataclass
class LineRun:
    """One plan, and what has come of it."""

    number: int
    """Among the lines that are carried out together."""
    plan: Plan
    files: LineFiles
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
            yield self.files.save_grid(self._grid, ai_label=self.plan.output.ai_label)
        if self._sweep:
            columns = self.plan.columns * (self.plan.count // len(self.plan.labels))
            yield self.files.save_sweep(self._sweep, columns, ai_label=self.plan.output.ai_label)


@dataclass
class PictureRun:
    """One picture of a line."""

    line: LineRun
    index: int
    planned: Planned
    previews: Previews
    _frames: list[tuple[Pixels, str]] = field(default_factory=list)
    _drawn: Finished | None = None

    def keep(self, event: EngineEvent) -> Iterator[Event]:
        """`event`, and the files that come of it, saved."""
        yield event
        files, output, request = self.line.files, self.line.output(self.index), self.planned.request
        match event:
            case Detected() if output.save_intermediates:
                yield files.save_detected(request, event)
            case Step(index, total, _, Pixels() as image) if self._is_kept(index, total):
                if output.save_intermediates:
                    yield files.save_step(request, event, ai_label=output.ai_label)
                if output.strip or output.gif:
                    self._frames.append((image, f"{index}/{total}"))
            case Postprocessing(picture):
                self._drawn = picture
                if output.save_original:
                    yield files.save_original(request, picture, render(picture.request), output, self.planned.template)
            case Finished():
                saved = files.save_image(event, render(event.request), output, self.planned.template)
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
        files, output = self.line.files, self.line.plan.output
        frames = [*self._frames[:-1], (drawn, self._frames[-1][1])]
        if output.strip:
            yield files.save_strip(finished.request, frames, ai_label=output.ai_label)
        if output.gif:
            yield files.save_gif(finished.request, [image for image, _ in frames])


def pictures(lines: list[LineRun], *, watched: bool) -> Iterator[list[PictureRun]]:
    """What is still to be made of `lines`, in groups that are handed to the engine at once, in order.

    A picture that starts from another one of its line waits for that; after an error, a line goes no further.
    """
    group: list[PictureRun] = []
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
            group.append(PictureRun(line, index, planned, replace(line.output(index).previews, watched=watched)))
            if len(group) >= max(AHEAD, 2 * planned.request.batch_size):
                yield group
                group = []
    if group:
        yield group
