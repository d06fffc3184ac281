"""`!switch`: which model lines are made with that name none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.command.commands import argument
from invoke.command.draft import Bang
from invoke.downloads import size_shown
from invoke.errors import ModelError
from invoke.models import ModelSpec
from invoke.models.cache import hub_address, is_on_disk

if TYPE_CHECKING:
    from invoke.shell.sitting import Sitting


def switch(sitting: Sitting, bang: Bang) -> None:
    """`!switch NAME`: lines that name no model use this one from now on."""
    name = argument(bang, "a model")
    session = sitting.session
    try:
        session.switch(name)
    except ModelError as error:
        error.column = bang.column
        raise
    session.engine.load(session.model)
    sitting.terminal.say(f"{session.model} from now on{_to_fetch(session.models.find(session.model))}")


def _to_fetch(spec: ModelSpec) -> str:
    if hub_address(spec.weights) is None or is_on_disk(spec):
        return ""
    size = size_shown(spec.megabytes) if spec.megabytes else "its weights"
    licence = f" ({spec.licence})" if spec.licence else ""
    return f"; {size}{licence} to fetch first: the next line asks"
