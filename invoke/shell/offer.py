"""What completion can offer in a sitting: files with their sizes, models, pictures and seeds."""

import os
from collections.abc import Callable, Iterable
from time import perf_counter

from invoke.command.render import render_switch
from invoke.command.sources import Sources
from invoke.command.wildcard_files import WildcardFiles
from invoke.session import Session
from invoke.shell.picture_size import picture_size
from invoke.switches import by_name, in_force

BUDGET = 0.008
"""Seconds spent on looking at pictures for one answer; the files after that go without a size."""


def sources(session: Session) -> Sources:
    """What there is now."""
    kinds: dict[str, dict[str, str]] = {}
    for spec in session.models:
        kinds.setdefault(spec.kind, {})[spec.name] = spec.description
    return Sources(
        models=kinds.pop("model", {}),
        added=kinds,
        made=tuple(session.made),
        changed={name: " ".join(render_switch(by_name()[name], value)) for name, value in session.changed.items()},
        wildcards=lambda: WildcardFiles(session.wildcards).known,
        outdir=in_force("outdir", session.defaults),
        folder=_folder,
        about_picture=_about_pictures(),
    )


def _folder(path: str) -> Iterable[tuple[str, bool]]:
    try:
        with os.scandir(path) as entries:
            return [(entry.name, _is_folder(entry)) for entry in entries]
    except (OSError, ValueError):
        return ()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _about_pictures() -> Callable[[str], str]:
    """Tells sizes for as long as the budget lasts, from the first question on."""
    deadline: float | None = None

    def about(path: str) -> str:
        nonlocal deadline
        if deadline is None:
            deadline = perf_counter() + BUDGET
        if perf_counter() > deadline:
            return ""
        size = picture_size(path)
        return f"{size[0]}×{size[1]}" if size else "no picture"

    return about
