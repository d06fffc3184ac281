"""Plans lines when they are entered, and runs them when it is their turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from invoke.errors import InvokeError
from invoke.language.parse import Draft
from invoke.language.seeds import Seeds
from invoke.shell.queue import Promise, Queue, QueuedLine

if TYPE_CHECKING:  # imported later, so that the prompt opens faster
    from invoke.language.plan import Plan
    from invoke.language.resolve.line_context import LineContext
    from invoke.session import Session
    from invoke.shell.terminal import Terminal
    from invoke.shell.watch import Watcher

PROMISED = 64
"""How many pictures of a queued line later lines may refer to."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Queues lines, resolved with the state at the moment they are entered."""

    session: Session
    terminal: Terminal
    queue: Queue
    watcher: Watcher
    run_command: Callable[[str, int | None], None]
    """Runs a command in the thread of the queue."""

    def plan(self, draft: Draft, line: str, number: int | None) -> None:
        """Plan `draft`, announce it, and queue it. Raises InvokeError."""
        from invoke.language.resolve import resolve
        from invoke.language.resolve.init_image import refers_back
        from invoke.shell.watch import announce

        context = self.session.context(Seeds())
        waits = refers_back(draft) and not self.queue.is_empty
        if waits:
            context = self._with_promises(context)
        try:
            plan = resolve(draft, context)
        except InvokeError as error:
            if not (waits and any(path in error.message for path in context.promised)):
                raise
            self.terminal.say("this line is planned later: it needs pictures that are not made yet")
            self.queue.put(QueuedLine(line, partial(self._plan_and_draw, draft, context, number), number))
            return
        announce(plan, self.terminal)
        if waits:
            self.queue.put(
                QueuedLine(
                    line,
                    partial(self._plan_again_and_draw, draft, context, plan, number),
                    number,
                    plan=plan,
                    promised=tuple(promises(plan, number)),
                )
            )
        else:
            self.put(plan, line, number)

    def resolve(self, draft: Draft) -> Plan:
        """Plan `draft` as if it were entered now. Raises InvokeError."""
        from invoke.language.resolve import resolve

        return resolve(draft, self.context())

    def context(self) -> LineContext:
        """The context of a line that is entered now."""
        return self._with_promises(self.session.context())

    def put(self, plan: Plan, line: str, number: int | None) -> None:
        """Queue `plan`, which has already been announced."""
        draw = partial(self._draw, plan, number)
        self.queue.put(QueuedLine(line, draw, number, plan=plan, promised=tuple(promises(plan, number))))

    def put_command(self, line: str, number: int | None) -> None:
        self.queue.put(QueuedLine(line, partial(self.run_command, line, number), number))

    def _draw(self, plan: Plan, number: int | None) -> None:
        self.watcher.draw(plan, number)

    def _plan_again_and_draw(self, draft: Draft, context: LineContext, plan: Plan, number: int | None) -> None:
        """Plan the line again, now that the pictures it refers to exist, and draw it."""
        again = self._resolve_now(draft, context)
        before, after = plan.picture(0).request.init_path, again.picture(0).request.init_path
        if after is not None and after != before:
            self.terminal.say(f"{_numbered(number)}starts from {after}")
        for note in again.notes:
            if note not in plan.notes:
                self.terminal.note(note)
        self.watcher.draw(again, number)

    def _plan_and_draw(self, draft: Draft, context: LineContext, number: int | None) -> None:
        from invoke.shell.watch import announce

        plan = self._resolve_now(draft, context)
        announce(plan, self.terminal)
        self.watcher.draw(plan, number)

    def _resolve_now(self, draft: Draft, context: LineContext) -> Plan:
        """Resolve with the current pictures, but otherwise the state when the line was entered."""
        from invoke.language.resolve import resolve

        now = self.session.context()
        assert isinstance(context.draw_seed, Seeds)
        seeds = context.draw_seed.again()
        return resolve(draft, replace(context, newest=now.newest, by_line=now.by_line, promised={}, draw_seed=seeds))

    def _with_promises(self, context: LineContext) -> LineContext:
        promised = [promise for queued in self.queue.lines for promise in queued.promised]
        by_line = {number: list(made) for number, made in context.by_line.items()}
        for promise in promised:
            if promise.number is not None:
                made = by_line.setdefault(promise.number, [])
                if promise.index >= len(made):
                    made.append((promise.path, promise.seed))
        return replace(
            context,
            newest=[*context.newest, *((promise.path, promise.seed) for promise in promised)],
            by_line=by_line,
            promised={promise.path: promise.size for promise in promised},
        )


def promises(plan: Plan, number: int | None) -> Iterator[Promise]:
    """The first pictures that `plan` will make."""
    for index in range(min(plan.count, PROMISED)):
        request = plan.picture(index).request
        name = f"the picture of {_numbered(number).strip() or 'the previous line'}"
        path = name if plan.count == 1 else f"{name}, number {index + 1}"
        yield Promise(path, request.seed, request.finished_size, number, index)


def _numbered(number: int | None) -> str:
    return "" if number is None else f"[{number}] "
