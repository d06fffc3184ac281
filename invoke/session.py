"""Session: defaults, history, and running plans."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from invoke.engine import Engine
from invoke.errors import CommandError, InvokeError, ModelError
from invoke.events import Event, single
from invoke.language.parse import Draft, column_in_line, parse
from invoke.language.seeds import DrawSeed, random_seed
from invoke.language.set_reset import read_reset
from invoke.language.switches import by_name
from invoke.models import DEFAULT_MODEL, Registry
from invoke.models.loadable import check_loadable
from invoke.paths import config_folder, expanded, is_there, wildcard_folders

if TYPE_CHECKING:  # the prompt does not need the imports for planning and saving
    from pathlib import Path

    from invoke.language.launch import Launch
    from invoke.language.plan import Plan
    from invoke.language.resolve.line_context import LineContext
    from invoke.outputs.writer import LineFiles, Writer


REMEMBERED = 1000
"""How far back `-I -N` and `-S -N` reach."""


class HistoryItem(NamedTuple):
    """A picture of this session."""

    path: str
    seed: int


class Session:
    """Plans lines with the settings in force and runs them, without a terminal.

    `launch` are the defaults of the launch, `save_intermediates` applies if neither line nor launch sets it.
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
        presets_file: Path | None = None,
    ) -> None:
        self.engine = engine
        self.models = models
        self.downloads = downloads
        """Whether models may be downloaded without asking."""
        self.watched = False
        """Whether a user watches pictures being made."""
        self.models_file = models_file
        """Path of the user's own list of models, which may not exist."""
        self.presets_file = presets_file
        """Path of the presets, which may not exist."""
        self.wildcards = wildcards
        """Folders of the files that `--wild` draws from."""
        self.defaults: dict[str, Any] = dict(launch or {})
        """The defaults of the launch, changed by `!set`."""
        self.model = models.find(self.defaults.pop("model", DEFAULT_MODEL)).name
        self._launch = {**self.defaults, "model": self.model}
        self.made: deque[HistoryItem] = deque(maxlen=REMEMBERED)
        """The newest pictures, oldest first."""
        self.made_by_line: dict[int, list[HistoryItem]] = {}
        """Number of a line at the prompt → its pictures, in order."""
        self.dropped_from = ""
        """The folder from which `!drop` took the last picture; "" if none."""
        self._save_intermediates = save_intermediates
        self._writers: dict[str, Writer] = {}

    def set_default(self, line: str) -> None:
        """Make `-s 20 -C 5` defaults (`!set`); `reset` resets all, `reset -s` that one.

        Raises CommandError if a switch cannot be one.
        """
        if (taken_back := read_reset(line)) is not None:
            self._reset([row.name for row in taken_back] or list({"model": ""} | self.defaults))
            return
        draft = parse(line)
        from invoke.language.presets import refuse_presets

        refuse_presets(draft, "!set")
        if draft.prompt is not None:
            raise CommandError(
                "only switches can be set",
                code="bad_value",
                hint="!set -s 20, !set reset",
                column=column_in_line(draft, 0),
            )
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
        """Long name → value, of the session's defaults that differ from those of the launch."""
        now = {**self.defaults, "model": self.model}
        return {name: value for name, value in now.items() if name not in self._launch or self._launch[name] != value}

    def _reset(self, names: Iterable[str]) -> None:
        """Reset to the defaults of the launch."""
        for name in names:
            if name == "model":
                self.switch(self._launch["model"])
            elif name in self._launch:
                self.defaults[name] = self._launch[name]
            else:
                self.defaults.pop(name, None)

    def switch(self, model: str) -> None:
        """Use this model for lines without `-m`. Raises ModelError."""
        spec = self.models.find(model)
        check_loadable(spec)
        self.model = spec.name

    def set_models(self, models: Registry) -> None:
        """Replace the registry of models."""
        self.models = models
        self.engine.set_models(models)

    def plan(self, line: str) -> Plan:
        """Plan `line`, a prompt with switches. Raises InvokeError."""
        return self.resolve(parse(line))

    def resolve(self, draft: Draft, draw_seed: DrawSeed = random_seed) -> Plan:
        """Plan `draft` with the current settings. Raises InvokeError."""
        from invoke.language.resolve import resolve

        return resolve(draft, self.context(draw_seed))

    def context(self, draw_seed: DrawSeed = random_seed) -> LineContext:
        """A snapshot of the context in which lines are planned."""
        from invoke.language.resolve.line_context import LineContext

        return LineContext(
            models=self.models,
            model=self.model,
            defaults=dict(self.defaults),
            newest=tuple(self.made),
            by_line=dict(self.made_by_line),
            draw_seed=draw_seed,
            presets=self.presets,
            save_intermediates=self._save_intermediates,
            wildcards=self.wildcards,
        )

    def presets(self) -> Mapping[str, str]:
        """The current presets, name → line. Raises CommandError if the file cannot be read."""
        from invoke.language.presets import read_presets

        return read_presets(self.presets_file) if self.presets_file is not None else {}

    def submit(self, line: str) -> Generator[Event, None, None]:
        """Plan and run `line`."""
        return self.run(self.plan(line))

    def claim(self, plan: Plan) -> Plan:
        """`plan` with the number of its files, for callers that need it beforehand.

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
        """The same for several plans, whose pictures are drawn at once if `batch_size` allows it.

        Each event comes with the index of its plan; one that fails yields its error at the end; the others continue.
        """
        from invoke.workers.line_run import LineRun, groups

        lines = [LineRun(number, plan, self.files(plan)) for number, plan in enumerate(plans)]
        try:
            for group in groups(lines, watched=self.watched):
                jobs = [(run.task.request, run.task.previews) for run in group]
                with closing(self.engine.generate_batch(jobs)) as happened:
                    for place, event in happened:
                        run = group[place]
                        if isinstance(event, InvokeError):
                            run.line.error = run.line.error or event
                            continue
                        yield from ((run.line.number, kept) for kept in run.keep(event))
        finally:  # in the order of the lines, not of completion
            for line in lines:
                line.files.close()
                self.remember(line.made)
        for line in lines:
            for saved in line.sheets() if line.error is None else ():
                yield line.number, saved
            if line.error is not None:
                yield line.number, line.error

    def files(self, plan: Plan) -> LineFiles:
        """The files of `plan`, under its number. Raises OutputError."""
        return self.writer(plan.output.outdir).begin(plan.number)

    def remember(self, pictures: Iterable[tuple[str, int]]) -> None:
        """Record finished pictures, as (path, seed), so that later lines can refer to them."""
        self.made.extend(list(starmap(HistoryItem, pictures)))

    def moved(self, old: str, new: str) -> None:
        """Record that the picture at `old` was moved to `new`."""
        for items in (self.made, *self.made_by_line.values()):
            for index, item in enumerate(items):
                if item.path == old:
                    items[index] = item._replace(path=new)

    def begin_line(self, number: int) -> None:
        """Line `number` has made nothing yet: numbers begin again after `!clear`, and a line may be made once more."""
        self.made_by_line.pop(number, None)

    def remember_line(self, number: int, path: str, seed: int) -> None:
        """Record the next picture of the prompt's line `number` (`-I 12.3`)."""
        self.made_by_line.setdefault(number, []).append(HistoryItem(path, seed))

    def writer(self, outdir: str) -> Writer:
        """The folder's only writer, which scans the folder once."""
        if outdir not in self._writers:
            from invoke.outputs.writer import Writer

            self._writers[outdir] = Writer(outdir)
        writer = self._writers[outdir]
        writer.check()
        return writer


def session_of(launch: Launch, engine: Engine, models: Registry, *, save_intermediates: int = 0) -> Session:
    """A session with the defaults of `launch` and the user's files. Raises ModelError."""
    return Session(
        engine,
        models,
        launch=launch.defaults,
        save_intermediates=save_intermediates,
        downloads=launch.on("yes"),
        models_file=models_file(launch),
        wildcards=wildcard_folders(),
        presets_file=config_folder() / "presets.yaml",
    )


def models_file(launch: Launch) -> Path:
    """The user's own list of models; one given with `--config` must exist. Raises ModelError."""
    if not launch.on("config"):
        return config_folder() / "models.yaml"
    file = expanded(launch.options["config"])
    if not is_there(file):
        raise ModelError(f"{file}: there is no such list of models")
    return file
