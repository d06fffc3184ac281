"""CommandContext: what a command can use of its caller, the shell at its prompt or a batch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from invoke.commands.verdict import Verdict
    from invoke.errors import InvokeError
    from invoke.events import Event, Pixels
    from invoke.language.parse import Draft
    from invoke.language.plan import Plan
    from invoke.language.seeds import DrawSeed
    from invoke.session import Session


class CommandContext(Protocol):
    """The surroundings of a command: `shell.repl.Repl`, or a line of `cli.batch.Batch`."""

    session: Session

    @property
    def in_file(self) -> bool:
        """Whether the command stands in a file of lines or after `invoke`, not at the prompt."""
        ...

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be made or written."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether an error has ended the batch, so that the rest of a command is left out."""
        ...

    @property
    def columns(self) -> int | None:
        """The width of the terminal that reads the answer; None without one."""
        ...

    def say(self, text: str) -> None:
        """One or more lines of the command's answer."""
        ...

    def confirm(self, text: str) -> None:
        """A sentence for a person at the prompt: what has been changed. A batch leaves it out."""
        ...

    def note(self, text: str) -> None: ...

    def fail(self, error: InvokeError) -> None:
        """Report an error of one of several things; the others are still done."""
        ...

    def ask(self, question: str) -> bool:
        """Whether the user agrees; outside the prompt, whether the launch has agreed beforehand (`--yes`)."""
        ...

    def watch(self, events: Generator[Event, None, None] | Generator[Event | Verdict, None, None]) -> None:
        """Run `events` to the end and show each. Raises what they raise, and KeyboardInterrupt."""
        ...

    def make(self, typed: Draft, plans: Callable[[DrawSeed], Sequence[Plan]]) -> None:
        """Make the pictures of the `plans` of a line that reads as `typed`, with seeds drawn so. Raises InvokeError."""
        ...

    def make_files(self, outdir: str, column: int | None, events: Callable[[], Generator[Event, None, None]]) -> None:
        """Run the `events` of a command that writes files of its own into `outdir`, named at `column` of the line.

        Raises InvokeError.
        """
        ...

    def put_back(self, text: str, column: int | None = None) -> None:
        """Have the next prompt start with `text`; outside the prompt it is the command's answer."""
        ...

    def leave(self) -> None:
        """End the shell or the batch."""
        ...


class LineHistory(Protocol):
    """The lines typed so far, numbered from 1."""

    @property
    def lines(self) -> Sequence[str]: ...

    @property
    def first(self) -> int:
        """The number of the first line that is known."""
        ...

    @property
    def last(self) -> int:
        """The number of the newest line; 0 where there is none."""
        ...

    def line(self, number: int) -> str | None: ...

    def find(self, text: str) -> Sequence[tuple[int, str]]: ...

    def clear(self) -> None: ...


class QueuedLine(Protocol):
    """A line that is not finished."""

    @property
    def line(self) -> str: ...

    @property
    def number(self) -> int | None:
        """Of the line in the history."""
        ...

    @property
    def state(self) -> str: ...

    @property
    def seconds(self) -> float | None:
        """How long it will take; None if unknown."""
        ...


class LineQueue(Protocol):
    """The lines that are not finished, and what can be done about them."""

    @property
    def paused(self) -> str:
        """Why no line is begun; "" where one is as soon as it can be."""
        ...

    def listed(self) -> Sequence[QueuedLine]:
        """In the order in which they run."""
        ...

    def cancel_number(self, number: int) -> int:
        """Cancel the lines of that number, and say how many these were."""
        ...

    def cancel_last(self) -> int: ...

    def cancel_all(self) -> int: ...

    def move_first(self, number: int) -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class PromptContext(CommandContext, Protocol):
    """What only the prompt has."""

    def draw(self, image: Pixels) -> None:
        """Show a picture, where the terminal can."""
        ...

    @property
    def queue(self) -> LineQueue | None:
        """None where each line is finished before the next one is read."""
        ...

    @property
    def history(self) -> LineHistory: ...

    def submit(self, line: str) -> None:
        """Run `line` as if it had been typed."""
        ...

    def replay(self, line: str) -> bool:
        """Run a line of a file and report its error; False when it failed."""
        ...

    @property
    def is_leaving(self) -> bool: ...

    def replaying(self) -> AbstractContextManager[None]:
        """While this holds, lines come from a file; `!quit` there ends the file, not the shell."""
        ...
