"""`--install-completion`: installs the script of `--print-completion` where the user's shell finds it."""

import os
from collections.abc import Mapping
from pathlib import Path

from invoke import files
from invoke.errors import CommandError, OutputError
from invoke.language.completion_scripts import PROGRAMS, script
from invoke.language.launch_options import SHELLS
from invoke.models import Registry
from invoke.text import one_of


def install(models: Registry, environment: Mapping[str, str] = os.environ) -> str:
    """Write the script for the shell in `SHELL`; return a sentence that says what to do next.

    Raises CommandError for a shell that is not supported, and OutputError.
    """
    shell = Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise CommandError(
            f"--install-completion: SHELL is '{shell}', not {one_of(SHELLS)}",
            code="usage",
            hint="--print-completion bash prints the script for one of them",
        )
    home = Path(environment.get("HOME") or "~").expanduser()
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    targets = {
        "bash": [data / "bash-completion" / "completions" / name for name in PROGRAMS],
        "zsh": [home / ".zfunc" / "_invoke"],
        "fish": [config / "fish" / "completions" / f"{PROGRAMS[0]}.fish"],
    }[shell]
    for target in targets:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.replace(target, f"{script(shell, models).rstrip()}\n".encode())
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return f"{targets[0]} was written. {_NEXT[shell]}"


_NEXT = {
    "bash": "It works in the next shell, where the package bash-completion is installed.",
    "zsh": "Put `fpath+=~/.zfunc` before `compinit` in ~/.zshrc; it works in the next shell.",
    "fish": "It works in the next shell.",
}
