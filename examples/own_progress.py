"""A progress bar of your own, from events."""

from invoke import Shell
from invoke.events import Event, Step


def show(event: Event) -> None:
    if isinstance(event, Step):
        print("\r" + "#" * event.index + "." * (event.total - event.index), end="", flush=True)


with Shell(steps=8) as shell:
    for picture in shell.make("a boat on the sea -S 3", on_event=show):
        print("\n", picture.path, sep="")
