"""The main loop: read, run, again."""

from collections.abc import Sequence
from typing import Protocol

from invoke.errors import ExitStatus
from invoke.shell.keys import held_keys
from invoke.shell.sitting import Entry, Sitting


class LineReader(Protocol):
    """Where lines come from: `prompt.Prompt`, or a list in a test."""

    def read(self, entry: Entry) -> Sequence[str]: ...

    def has_typed_ahead(self) -> bool: ...

    def forget_typed(self) -> None: ...


def loop(sitting: Sitting, prompt: LineReader) -> ExitStatus:
    """Run what is entered until the user leaves. Ctrl-C never does."""
    with held_keys():
        while not sitting.leaving:
            try:
                lines = prompt.read(sitting.take_entry())
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            try:
                for line in lines:
                    sitting.enter(line)
            except KeyboardInterrupt:
                prompt.forget_typed()
            if prompt.has_typed_ahead():
                sitting.take_entry()  # what was typed meanwhile must not end up inside a line that comes back
    return ExitStatus.OK
