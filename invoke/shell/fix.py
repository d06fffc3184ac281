"""`!fix` at the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.command.draft import Bang
from invoke.fixing import plans
from invoke.shell.make import make

if TYPE_CHECKING:
    from invoke.shell.sitting import Sitting


def fix(sitting: Sitting, bang: Bang) -> None:
    """Finish the pictures that `bang` names, one after the other. Raises InvokeError."""
    for plan in plans(sitting.session, bang):
        make(sitting.session, plan, sitting.terminal, sitting.number)
