"""The weights of an entry that is off the list: deleted only where the user says yes to exactly that."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.downloads import size_shown
from invoke.errors import ModelError
from invoke.models.cache import hub_address, kept_folder
from invoke.paths import expanded

if TYPE_CHECKING:
    from invoke.shell.sitting import Sitting


def offer_to_delete(sitting: Sitting, weights: str) -> None:
    """Ask whether `weights` shall be deleted, if nothing on the list uses them. Raises ModelError where they cannot be.

    Only what is one file, or what was fetched from the hub: a folder may hold other things.
    """
    terminal, path = sitting.terminal, _place(weights)
    if path is None or any(_place(spec.weights) == path for spec in sitting.session.models):
        return
    if hub_address(weights) is None and path.is_dir():
        terminal.say(f"its weights stay in {path}")
        return
    size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file() and not file.is_symlink())
    if not terminal.ask(f"its weights are in {path} ({size_shown(size / 1e6)}): delete them as well?"):
        terminal.say("its weights stay")
        return
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise ModelError(f"{path}: cannot be deleted: {error.strerror or error}") from error
    terminal.say(f"deleted: {path}")


def _place(weights: str) -> Path | None:
    """The file or folder, or the folder of the hub's cache, that goes when `weights` go."""
    address = hub_address(weights)
    path = kept_folder(address.repository) if address else expanded(weights)
    return path if weights and path.exists() else None
