"""The ! commands, the same at the prompt and in files. A row of `language.command_table` names the function it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, cast

from invoke.commands.context import CommandContext, PromptContext
from invoke.language.command_table import YES, CommandSpec, find
from invoke.language.parse import CommandCall

Function = Callable[[Any, CommandCall], None]
"""Given a PromptContext where the row is not for files, else a CommandContext. Raises InvokeError."""


def run(context: CommandContext, call: CommandCall, *, alone: bool = False) -> None:
    """Run a command of a file of lines, or of the launch. Raises InvokeError."""
    row = find(call, in_file=True, alone=alone)
    if context.dry_run and row.changes_files:
        return
    function_of(row)(*_agreed(context, row, call))


def run_at_prompt(context: PromptContext, call: CommandCall) -> None:
    """Run a command that was typed at the prompt, or that stands in a file replayed there. Raises InvokeError."""
    row = find(call, in_file=context.in_file)
    function_of(row)(*_agreed(context, row, call))


def function_of(row: CommandSpec) -> Function:
    """What a row runs; its module is imported when the command is first used."""
    module, _, name = (row.runs or f"{row.name}.{row.name}").partition(".")
    return cast(Function, getattr(import_module(f"invoke.commands.{module}"), name))


class _Agreeing:
    """A context in which every question has been answered with yes beforehand: `!del_model NAME --yes`."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def ask(self, question: str) -> bool:
        return True


def _agreed(context: CommandContext, row: CommandSpec, call: CommandCall) -> tuple[CommandContext, CommandCall]:
    """The command without its `--yes`, where it is one that asks."""
    rest = call.rest.removesuffix(YES).rstrip()
    if not row.asks or not f" {call.rest}".endswith(f" {YES}"):
        return context, call
    return cast(CommandContext, _Agreeing(context)), replace(call, rest=rest)
