"""invoke: a shell for working on pictures with Stable Diffusion, image-to-image first."""

__version__ = "0.1.0"

IS_THE_SHELL = True
"""What tells this package from the task runner of the same name."""


def __getattr__(name: str) -> object:
    """Explain what happened to programs that want the task runner `invoke` and find this package."""
    if name in {"Collection", "Config", "Context", "Program", "Result", "Task", "run", "task"}:
        raise ImportError(
            f"cannot import {name}: the folder `invoke` in this Python belongs to invoke-shell, not to the task "
            "runner `invoke`; keep the two in separate environments (pipx install invoke-shell)"
        )
    raise AttributeError(f"module 'invoke' has no attribute '{name}'")
