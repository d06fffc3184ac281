"""The shell: a prompt that is there at once, with history, completion and commands. Only here is prompt_toolkit known.

`run(session)` talks with the person at the terminal until they leave.
"""

from invoke.shell.start import run

__all__ = ["run"]
