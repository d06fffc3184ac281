"""invoke: a shell for working on pictures with Stable Diffusion, image-to-image first."""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from invoke.api import Picture, Shell
    from invoke.errors import InvokeError

__all__ = ["InvokeError", "Picture", "Shell"]

IS_THE_SHELL = True
"""What tells this package from the task runner of the same name."""


def __getattr__(name: str) -> object:
    """The library, imported when it is asked for; and what happened to programs that want the task runner `invoke`."""
    if name in {"Picture", "Shell"}:
        from invoke import api

        return getattr(api, name)
    if name == "InvokeError":
        from invoke.errors import InvokeError

        return InvokeError
    if name in {"Collection", "Config", "Context", "Program", "Result", "Task", "run", "task"}:
        raise ImportError(
            f"cannot import {name}: the folder `invoke` in this Python belongs to invoke-shell, not to the task "
            "runner `invoke`; keep the two in separate environments (pipx install invoke-shell)"
        )
    raise AttributeError(f"module 'invoke' has no attribute '{name}'")
