"""The ! commands, at the prompt and in files. Each row of `language.command_table` names the function that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, cast

from invoke.commands.context import CommandContext, PromptContext
from invoke.language.command_table import YES, CommandSpec, find
from invoke.language.parse import CommandCall

Function = Callable[[Any, CommandCall], None]
"""Takes a PromptContext if the command works only at the prompt, else a CommandContext. Raises InvokeError."""


def run(context: CommandContext, call: CommandCall, *, alone: bool = False) -> None:
    """Run a command from a file of lines, or from the launch's line. Raises InvokeError."""
    row = find(call, in_file=True, alone=alone)
    if context.dry_run and row.changes_files:
        return
    function_of(row)(*_agreed(context, row, call))


def run_at_prompt(context: PromptContext, call: CommandCall) -> None:
    """Run a command typed at the prompt, or in a file replayed there. Raises InvokeError."""
    row = find(call, in_file=context.in_file)
    function_of(row)(*_agreed(context, row, call))


def function_of(row: CommandSpec) -> Function:
    """The function of a row; its module is imported when the command is first used."""
    module, _, name = (row.runs or f"{row.name}.{row.name}").partition(".")
    return cast(Function, getattr(import_module(f"invoke.commands.{module}"), name))


class _Agreeing:
    """A context that answers every question with yes: `!del_model NAME --yes`."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def ask(self, question: str) -> bool:
        return True


def _agreed(context: CommandContext, row: CommandSpec, call: CommandCall) -> tuple[CommandContext, CommandCall]:
    """Remove `--yes` from a command that asks questions, and answer them with yes."""
    rest = call.rest.removesuffix(YES).rstrip()
    if not row.asks or not f" {call.rest}".endswith(f" {YES}"):
        return context, call
    return cast(CommandContext, _Agreeing(context)), replace(call, rest=rest)
