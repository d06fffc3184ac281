"""Reports of runs without a prompt: paths for pipes, sentences for people, JSON for scripts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isinf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from invoke.cli.forecast import Forecast
from invoke.errors import InvokeError, OutputError
from invoke.events import Downloading, DownloadRequired, Event, Finished, Loaded, Loading, Note, Saved, Step
from invoke.language.parse import Draft
from invoke.language.plan import Plan
from invoke.models.hub.consent import described
from invoke.text import clean, counted, say
from invoke.workers.messages import Hello

if TYPE_CHECKING:
    from invoke.commands.verdict import Verdict

STEPS_A_SECOND = 4
ON_THE_WAY = ("step", "control")
"""Kinds of intermediate files, whose paths are not written to pipes."""


@dataclass
class Tally:
    """Totals of a run."""

    made: int = 0
    """Number of pictures."""
    failed: int = 0
    """Number of failed lines."""
    skipped: int | None = None
    """Number of lines that were already finished; None without `--resume`."""
    seconds: float = 0.0
    forecast: Forecast | None = None
    """The cost estimate of a dry run."""
    workers: int | None = None
    """Number of workers; None: the program's own engine made the pictures."""
    retried: int = 0
    """Number of pictures that were started again because a worker was lost."""
    is_cut: bool = False
    """Whether the batch ended early and can be resumed."""


class Report(Protocol):
    """Reports what happens; `line` counts from 1."""

    out: TextIO

    def read(self, line: int, draft: Draft) -> None:
        """A line that was parsed but has no plan."""
        ...

    def plan(self, line: int, plan: Plan) -> None: ...

    def event(self, line: int, event: Event, *, picture: int | None = None, worker: int | None = None) -> None:
        """An event of a line; with workers, of its picture `picture` on `worker` (both count from 1)."""
        ...

    def starting(self, workers: int) -> None:
        """So many workers are started."""
        ...

    def worker(self, worker: int, state: str, hello: Hello | None, reason: str) -> None:
        """A worker, counted from 1, is `up`, `lost` or `gone`, for `reason`."""
        ...

    def verdict(self, line: int, verdict: Verdict) -> None: ...

    def output(self, line: int, text: str) -> None:
        """One line of a command's output."""
        ...

    def skipped(self, line: int, paths: list[str]) -> None:
        """A line was already finished; `paths` are its pictures."""
        ...

    def error(self, line: int, error: InvokeError) -> None: ...

    def warn(self, line: int, text: str) -> None:
        """A warning, shown even with `-q`; `line` is 0 if it concerns no line."""
        ...

    def end(self, line: int, *, made: int, failed: bool, seconds: float) -> None:
        """A line has ended: the number of pictures made, and whether it failed."""
        ...

    def done(self, tally: Tally) -> None: ...


class TextReport:
    """Prints paths to `out` and, unless quiet, plans, notes, results and errors to `err`."""

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool, single: bool) -> None:
        self.out, self.err = out, err
        self.quiet, self.single = quiet, single
        self.made = 0
        self.lines: int | None = None
        """Number of lines, if known."""
        self._asked: set[str] = set()
        """Models about which the hub was asked."""
        self._skipped = 0
        """Skipped lines that have not been reported yet."""

    def read(self, line: int, draft: Draft) -> None:
        pass

    def end(self, line: int, *, made: int, failed: bool, seconds: float) -> None:
        pass

    def skipped(self, line: int, paths: list[str]) -> None:
        self._skipped += 1

    def plan(self, line: int, plan: Plan) -> None:
        self._say_skipped()
        self._say(line, " · ".join(plan.summary))
        for note in plan.notes:
            self._say(line, f"note: {note}")

    def starting(self, workers: int) -> None:
        self._say(None, f"starting {counted(workers, 'worker')} …")

    def worker(self, worker: int, state: str, hello: Hello | None, reason: str) -> None:
        self._say(None, worker_text(worker, state, hello, reason))

    def event(self, line: int, event: Event, *, picture: int | None = None, worker: int | None = None) -> None:
        match event:
            case Downloading(model, _, 0) if model not in self._asked:
                self._asked.add(model)
                self._say(None, f"asking the hub about {model} …")
            case DownloadRequired():
                self._say(None, f"downloading: {described(event)}")
            case Loading(model):
                self._say(None, f"loading {model} …")
            case Loaded(model, device, dtype, seconds):
                self._say(None, f"{model} is ready on {device} ({dtype}), {seconds:.1f} s")
            case Note(text):
                self._say(line, f"note: {text}")
            case Saved(path, "image", canonical):
                self.made += 1
                if self.quiet or not (self.out.isatty() and self.err.isatty()):  # one screen shows the path once
                    self._give(path)
                self._say_line(f"[{self.made}] {path}: {canonical}")
            case Saved(path, kind) if kind not in ON_THE_WAY:
                self._give(path)

    def verdict(self, line: int, verdict: Verdict) -> None:
        self._print(str(verdict))

    def output(self, line: int, text: str) -> None:
        self._print(text)

    def error(self, line: int, error: InvokeError) -> None:
        where = f", column {error.column + 1}" if error.column is not None else ""
        hint = f" ({error.hint})" if error.hint else ""
        place = f"line {line}{where}: " if line and not self.single else ""
        say(self.err, f"{place}error: {error.message}{hint}")

    def warn(self, line: int, text: str) -> None:
        place = f"line {line}: " if line and not self.single else ""
        say(self.err, f"{place}warning: {text}")

    def done(self, tally: Tally) -> None:
        self._say_skipped()
        failed = f", {counted(tally.failed, 'line')} failed" if tally.failed else ""
        going_on = "; run it again with --resume to continue" if tally.is_cut else ""
        if tally.forecast is not None and tally.forecast.lines:
            self._say(None, f"{tally.forecast}{failed.replace(', ', '; ', 1)}")
        elif not self.single:
            self._say(None, f"{counted(tally.made, 'picture')}{failed}, {tally.seconds:.1f} s{going_on}")

    def _say_skipped(self) -> None:
        if self._skipped:
            self._say(None, f"{counted(self._skipped, 'line')} skipped: already finished")
            self._skipped = 0

    def _give(self, path: str) -> None:
        """Print a path so that a program that reads it can open the file, whatever characters it contains."""
        write(self.out, clean(path) if self.out.isatty() else path)

    def _print(self, text: str) -> None:
        write(self.out, clean(text) if self.out.isatty() else text)

    def _say_line(self, text: str) -> None:
        """Print a saved line, which makes its picture again wherever it is stored."""
        if not self.quiet:
            say(self.err, text, verbatim=True)

    def _say(self, line: int | None, text: str) -> None:
        if not self.quiet:
            total = f" of {self.lines}" if self.lines else ""
            place = f"line {line}{total}: " if line is not None and not self.single else ""
            say(self.err, place + text)


class JsonReport:
    """Newline-delimited JSON; field names do not change once released."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = monotonic) -> None:
        self.out = out
        self.clock = clock
        self.last_step = float("-inf")
        self._made: Counter[int] = Counter()
        """Line → number of its pictures made; several lines may be in progress."""

    def session(self, version: str, model: str, device: str | None, dtype: str | None) -> None:
        """Write the first object: version, model and device of the run."""
        self._write("session", version=version, model=model, device=device, dtype=dtype)

    def read(self, line: int, draft: Draft) -> None:
        self._plan(line, draft, [])

    def plan(self, line: int, plan: Plan) -> None:
        self._made[line] += len(plan.made)
        images = [
            {
                "seed": planned.request.seed,
                "width": planned.request.finished_size[0],
                "height": planned.request.finished_size[1],
                "mode": planned.mode,
                "steps": planned.request.steps,
                "steps_taken": planned.steps_taken,
                "upscale_steps": planned.upscale_steps,
            }
            for planned in plan.pictures()
        ]
        self._plan(line, plan.draft, images, plan.notes)

    def skipped(self, line: int, paths: list[str]) -> None:
        self._write("skip", line=line, paths=paths)

    def starting(self, workers: int) -> None:
        pass

    def worker(self, worker: int, state: str, hello: Hello | None, reason: str) -> None:
        more: dict[str, Any] = {"reason": reason} if reason else {}
        if hello is not None:
            more = {
                "host": hello.host,
                "node": hello.node,
                "device": hello.device,
                "dtype": hello.dtype,
                "threads": hello.threads,
                **more,
            }
        self._write("worker", worker=worker, state=state, **more)

    def event(self, line: int, event: Event, *, picture: int | None = None, worker: int | None = None) -> None:
        where = {"picture": picture, "worker": worker} if worker is not None else {}
        match event:
            case Step(index, total) if index and self._is_time(last=index == total):
                image = picture or self._made[line] + 1
                self._write("step", line=line, image=image, step=index, of=total, **where)
            case Downloading(model, done, total):
                self._write("fetch", line=line, model=model, done_mb=round(done), total_mb=round(total))
            case Finished():
                self._made[line] += 1
            case Saved(path, "image", canonical, request, facts):
                assert request is not None
                assert facts is not None
                recipe = asdict(request) | {"facts": asdict(facts), "line": canonical}
                self._write("image", line=line, path=path, seed=request.seed, recipe=recipe, **where)
            case Saved(path, kind):
                self._write("file", line=line, path=path, kind=kind, **where)
            case Note(text):
                self.output(line, text)

    def output(self, line: int, text: str) -> None:
        self._write("note", line=line, text=text)

    def verdict(self, line: int, verdict: Verdict) -> None:
        psnr = None if isinf(verdict.psnr) else round(verdict.psnr, 2)
        self._write("verdict", line=line, path=verdict.path, verdict=verdict.kind, psnr=psnr, reasons=verdict.reasons)

    def error(self, line: int, error: InvokeError) -> None:
        more: dict[str, Any] = {}
        if error.column is not None:
            more["column"] = error.column
        if error.hint:
            more["hint"] = error.hint
        self._write("error", line=line, code=error.code, message=error.message, **more)

    def warn(self, line: int, text: str) -> None:
        self.output(line, text)

    def end(self, line: int, *, made: int, failed: bool, seconds: float) -> None:
        self._write("line", line=line, made=made, failed=failed, seconds=round(seconds, 3))

    def done(self, tally: Tally) -> None:
        more: dict[str, Any] = {}
        if tally.skipped is not None:
            more["skipped"] = tally.skipped
        if tally.workers is not None:
            more |= {"workers": tally.workers, "retried": tally.retried}
        if tally.forecast is not None:
            more["planned"] = asdict(tally.forecast)
            if tally.forecast.workers == 1:
                del more["planned"]["workers"]
        self._write("done", made=tally.made, failed=tally.failed, seconds=round(tally.seconds, 3), **more)

    def _is_time(self, *, last: bool) -> bool:
        """Limit reports to a few steps per second, plus always the last step."""
        now = self.clock()
        if not last and now - self.last_step < 1 / STEPS_A_SECOND:
            return False
        self.last_step = now
        return True

    def _plan(self, line: int, draft: Draft, images: list[dict[str, Any]], notes: tuple[str, ...] = ()) -> None:
        self._write(
            "plan",
            line=line,
            **_typed(draft),
            images=images,
            notes=notes,
            **({"before": [_typed(part) for part in draft.parts[:-1]]} if draft.before else {}),
        )

    def _write(self, what: str, /, **fields: Any) -> None:
        # if the output is not UTF-8, escape to ASCII so that it stays valid JSON
        is_utf8 = (self.out.encoding or "utf-8").lower() == "utf-8"
        text = json.dumps({"type": what} | fields, ensure_ascii=not is_utf8)
        write(self.out, text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text))


def worker_text(worker: int, state: str, hello: Hello | None, reason: str) -> str:
    """`worker 2 is ready on cpu (float32, 1 thread)`."""
    if state == "up" and hello is not None and not hello.device:
        return f"worker {worker} is ready; the model is downloaded when the first picture needs it"
    if state == "up" and hello is not None:
        threads = f", {counted(hello.threads, 'thread')}" if hello.threads else ""
        place = f" of {hello.host}" if hello.node else ""
        return f"worker {worker} is ready on {hello.device}{place} ({hello.dtype}{threads})"
    going_on = "; restarting it and making its picture again" if state == "lost" else ""
    return f"worker {worker} is {state}: {reason}{going_on}"


def write(out: TextIO, line: str) -> None:
    """Write to standard output. Raises OutputError; BrokenPipeError passes through."""
    try:
        print(line, file=out, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written: {error.strerror}",
            code="output_lost",
            hint="the pictures made so far are kept",
        ) from error


_UNPRINTABLE = re.compile(r"[^ -~\xa1-\xac\xae-\u02ff]")
"""Characters to escape unless they are printable: line separators split objects, direction marks reorder the text."""


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _typed(draft: Draft) -> dict[str, Any]:
    """One part of a line, as typed."""
    return {"prompt": draft.prompt or "", "switches": dict(draft.switches)}
