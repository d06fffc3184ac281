"""CommandContext: what commands can use of their caller, which is the shell or a batch."""

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
    """The caller of a command: `shell.repl.Repl`, or a line of `cli.batch.Batch`."""

    session: Session

    @property
    def in_file(self) -> bool:
        """Whether the command comes from a file of lines or the command line, not from the prompt."""
        ...

    @property
    def dry_run(self) -> bool:
        """Whether this is a dry run, in which nothing is made or written."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether an error has ended the batch, so that the command should stop too."""
        ...

    @property
    def columns(self) -> int | None:
        """The width of the terminal; None if the output is not a terminal."""
        ...

    def say(self, text: str) -> None:
        """Print one or more lines of the command's output."""
        ...

    def confirm(self, text: str) -> None:
        """Tell a person at the prompt what was changed. A batch omits it."""
        ...

    def note(self, text: str) -> None: ...

    def fail(self, error: InvokeError) -> None:
        """Report an error in one of several items; the others continue."""
        ...

    def ask(self, question: str) -> bool:
        """Whether the user agrees; outside the prompt, whether the launch has `--yes`."""
        ...

    def watch(self, events: Generator[Event, None, None] | Generator[Event | Verdict, None, None]) -> None:
        """Consume `events` and show each. Raises their exceptions, and KeyboardInterrupt."""
        ...

    def make(self, typed: Draft, plans: Callable[[DrawSeed], Sequence[Plan]]) -> None:
        """Make the pictures of `plans`, for a line parsed as `typed`; `plans` gets the function that draws seeds.

        Raises InvokeError.
        """
        ...

    def make_files(self, outdir: str, column: int | None, events: Callable[[], Generator[Event, None, None]]) -> None:
        """Run the `events` of a command that writes its own files into `outdir`, named at `column` of the line.

        Raises InvokeError.
        """
        ...

    def put_back(self, text: str, column: int | None = None) -> None:
        """Start the next prompt with `text`; outside the prompt, print it."""
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
        """The number of the oldest line in the history."""
        ...

    @property
    def last(self) -> int:
        """The number of the newest line; 0 if there is none."""
        ...

    def line(self, number: int) -> str | None: ...

    def find(self, text: str) -> Sequence[tuple[int, str]]: ...

    def clear(self) -> None: ...


class QueuedLine(Protocol):
    """An unfinished line."""

    @property
    def line(self) -> str: ...

    @property
    def number(self) -> int | None:
        """The line's number in the history."""
        ...

    @property
    def state(self) -> str: ...

    @property
    def seconds(self) -> float | None:
        """Estimated time left; None if unknown."""
        ...


class LineQueue(Protocol):
    """The unfinished lines, and operations on them."""

    @property
    def paused(self) -> str:
        """Why the queue is paused; "" if it is not."""
        ...

    def listed(self) -> Sequence[QueuedLine]:
        """The lines in the order in which they will run."""
        ...

    def cancel_number(self, number: int) -> int:
        """Cancel the lines with that number; return how many there were."""
        ...

    def cancel_last(self) -> int: ...

    def cancel_all(self) -> int: ...

    def move_first(self, number: int) -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class PromptContext(CommandContext, Protocol):
    """What is available only at the prompt."""

    def draw(self, image: Pixels) -> None:
        """Show a picture, if the terminal can."""
        ...

    @property
    def queue(self) -> LineQueue | None:
        """None if each line is finished before the next one is read."""
        ...

    @property
    def history(self) -> LineHistory: ...

    def submit(self, line: str) -> None:
        """Run `line` as if it had been typed."""
        ...

    def replay(self, line: str) -> bool:
        """Run a line of a file and report its error; False if it failed."""
        ...

    @property
    def is_leaving(self) -> bool: ...

    def replaying(self) -> AbstractContextManager[None]:
        """Context in which lines come from a file; `!quit` ends only the file, not the shell."""
        ...
