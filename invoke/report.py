"""What a run without a prompt says: paths for pipes, sentences for people, or JSON for scripts."""

import json
from collections.abc import Callable
from dataclasses import asdict
from math import isinf
from time import monotonic
from typing import Any, Protocol, TextIO

from invoke.command.draft import Draft
from invoke.command.plan import Plan
from invoke.downloads import described
from invoke.errors import InvokeError
from invoke.events import Event, Fetching, Finished, Loaded, Loading, Noted, Saved, Step, Wanted
from invoke.text import clean
from invoke.verify import Verdict

STEPS_A_SECOND = 4


class Report(Protocol):
    """Is told what happens; `line` counts from 1."""

    def read(self, line: int, draft: Draft) -> None:
        """A line that cannot be planned was at least read."""
        ...

    def plan(self, line: int, plan: Plan) -> None: ...

    def event(self, line: int, event: Event) -> None: ...

    def verdict(self, line: int, path: str, verdict: Verdict) -> None: ...

    def error(self, line: int, error: InvokeError) -> None: ...

    def done(self, made: int, failed: int, seconds: float) -> None: ...


class TextReport:
    """Paths on `out`; on `err`, unless quiet, what was planned, noted, made and refused."""

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool, single: bool) -> None:
        self.out, self.err = out, err
        self.quiet, self.single = quiet, single
        self.made = 0

    def read(self, line: int, draft: Draft) -> None:
        pass

    def plan(self, line: int, plan: Plan) -> None:
        self._say(line, " · ".join(plan.story))
        for note in plan.notes:
            self._say(line, f"note: {note}")

    def event(self, line: int, event: Event) -> None:
        match event:
            case Wanted():
                self._say(None, f"fetching: {described(event)}")
            case Loading(model):
                self._say(None, f"loading {model} …")
            case Loaded(model, device, dtype, seconds):
                self._say(None, f"{model} is ready on {device} ({dtype}), {seconds:.1f} s")
            case Noted(text):
                self._say(line, f"note: {text}")
            case Saved(path, "image", canonical):
                self.made += 1
                print(clean(path), file=self.out, flush=True)
                self._say(None, f"[{self.made}] {path}: {canonical}")
            case Saved(path, "grid" | "steps" | "gif" | "original" | "deselected" | "selected" | "masked"):
                print(clean(path), file=self.out, flush=True)

    def verdict(self, line: int, path: str, verdict: Verdict) -> None:
        print(clean(f"{path}: {verdict}"), file=self.out, flush=True)

    def error(self, line: int, error: InvokeError) -> None:
        where = f", column {error.column + 1}" if error.column is not None else ""
        hint = f" ({error.hint})" if error.hint else ""
        place = f"line {line}{where}: " if line and not self.single else ""
        print(clean(f"{place}error: {error.message}{hint}"), file=self.err, flush=True)

    def done(self, made: int, failed: int, seconds: float) -> None:
        if not self.single:
            told = f"{made} picture{'' if made == 1 else 's'}"
            told += f", {failed} line{'' if failed == 1 else 's'} failed" if failed else ""
            self._say(None, f"{told}, {seconds:.1f} s")

    def _say(self, line: int | None, text: str) -> None:
        if not self.quiet:
            place = f"line {line}: " if line is not None and not self.single else ""
            print(clean(place + text), file=self.err, flush=True)


class JsonReport:
    """Newline-delimited JSON; field names do not change once released."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = monotonic) -> None:
        self.out = out
        self.clock = clock
        self.last_step = float("-inf")
        self.image = 0

    def session(self, version: str, model: str, device: str | None, dtype: str | None) -> None:
        """The first object: what the lines will be made with."""
        self._write("session", version=version, model=model, device=device, dtype=dtype)

    def read(self, line: int, draft: Draft) -> None:
        self._plan(line, draft, [])

    def plan(self, line: int, plan: Plan) -> None:
        self.image = 0
        images = [
            {
                "seed": planned.request.seed,
                "width": planned.request.finished_size[0],
                "height": planned.request.finished_size[1],
                "mode": planned.mode,
                "steps": planned.request.steps,
                "steps_taken": planned.steps_taken,
            }
            for planned in plan.pictures()
        ]
        self._plan(line, plan.draft, images, plan.notes)

    def event(self, line: int, event: Event) -> None:
        match event:
            case Step(index, total) if index and self._is_time(last=index == total):
                self._write("step", line=line, image=self.image + 1, step=index, of=total)
            case Fetching(model, done, total):
                self._write("fetch", line=line, model=model, done_mb=round(done), total_mb=round(total))
            case Finished():
                self.image += 1
            case Saved(path, "image", canonical, request, facts):
                assert request is not None
                assert facts is not None
                recipe = asdict(request) | {"facts": asdict(facts), "line": canonical}
                self._write("image", line=line, path=path, seed=request.seed, recipe=recipe)
            case Saved(path, kind):
                self._write("file", line=line, path=path, kind=kind)
            case Noted(text):
                self._write("note", line=line, text=text)

    def verdict(self, line: int, path: str, verdict: Verdict) -> None:
        psnr = None if isinf(verdict.psnr) else round(verdict.psnr, 2)
        self._write("verdict", line=line, path=path, verdict=verdict.kind, psnr=psnr, reasons=verdict.reasons)

    def error(self, line: int, error: InvokeError) -> None:
        more: dict[str, Any] = {}
        if error.column is not None:
            more["column"] = error.column
        if error.hint:
            more["hint"] = error.hint
        self._write("error", line=line, code=error.code, message=error.message, **more)

    def done(self, made: int, failed: int, seconds: float) -> None:
        self._write("done", made=made, failed=failed, seconds=round(seconds, 3))

    def _is_time(self, *, last: bool) -> bool:
        """At most a few steps a second are told, and always the last one."""
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
        print(json.dumps({"type": what} | fields, ensure_ascii=False), file=self.out, flush=True)


def _typed(draft: Draft) -> dict[str, Any]:
    """One part of a line, as it was typed."""
    return {"prompt": draft.prompt or "", "switches": dict(draft.switches)}
