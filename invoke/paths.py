"""Paths as people type them: any text at all, which need not be the name of a file."""

import os
from pathlib import Path


def expanded(typed: str | Path) -> Path:
    """`typed` with `~` as the home folder; an unknown `~user` is a name, where Path.expanduser raises RuntimeError."""
    return Path(os.path.expanduser(typed))  # noqa: PTH111


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; False for a name that none can have, where Path.exists raises OSError."""
    return os.path.exists(path)  # noqa: PTH110
